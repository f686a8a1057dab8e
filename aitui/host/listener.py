"""Whether the server behind a loopback URL is a llama-swap of this user's: socket, process, executable.

A port of this machine may lead elsewhere: through an SSH forward, or into a container by docker-proxy.
Then the config file and the service of this machine are not the server's.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from aitui.domain.server import Server

_PROC = Path("/proc")
_LISTENS = "0A"
_LOOPBACK_4, _LOOPBACK_6 = "7F", "00000000000000000000000001000000"
_MAPPED_4 = "0000000000000000FFFF0000"


async def locate_host(server: Server) -> Server:
    """Return the server with the host `local` if its process runs here and no host was set for it."""
    if server.origins.get("ssh_host") != "default" or server.ssh_host or not server.is_loopback:
        return server
    if not await asyncio.to_thread(is_own_llama_swap, server.port):
        return server
    origins = {**server.origins, "ssh_host": "its process is your llama-swap on this machine"}
    return replace(server, ssh_host="local", origins=origins)


def is_own_llama_swap(port: int) -> bool:
    """Whether whatever listens on a port for this machine is llama-swap, run by this user.

    False without a listener, and where the system has no /proc. Blocks for some milliseconds.
    """
    sockets = set(_listening_sockets(port))
    if not sockets or any(uid != os.getuid() for uid, _ in sockets):
        return False
    wanted = {f"socket:[{inode}]" for _, inode in sockets}
    found: set[str] = set()
    for process in _own_processes():
        held = wanted.intersection(_open_files(process))
        if held and not _is_llama_swap(process):
            return False
        found |= held
    return found == wanted


def _listening_sockets(port: int) -> Iterator[tuple[int, int]]:
    """Yield user and inode of each socket that takes connections from this machine to a port."""
    for name in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / name).read_text("ascii").splitlines()[1:]
        except OSError:  # no IPv6, or no /proc
            continue
        for line in lines:
            _, local, _, state, _, _, _, uid, _, inode, *_ = line.split()
            address, _, hexadecimal = local.partition(":")
            if state == _LISTENS and int(hexadecimal, 16) == port and _takes_loopback(address):
                yield int(uid), int(inode)


def _takes_loopback(address: str) -> bool:
    """Whether an address as the kernel writes it, in words of 32 bits, is a loopback or any one."""
    four = address.removeprefix(_MAPPED_4)
    is_loopback = four.endswith(_LOOPBACK_4) if len(four) == 8 else address == _LOOPBACK_6
    return is_loopback or not address.strip("0")


def _own_processes() -> Iterator[Path]:
    for process in _PROC.iterdir():
        # It may have ended.
        with suppress(OSError):
            if process.name.isdecimal() and process.stat().st_uid == os.getuid():
                yield process


def _open_files(process: Path) -> Iterator[str]:
    # It may have ended, or closed one of them.
    with suppress(OSError):
        for file in (process / "fd").iterdir():
            with suppress(OSError):
                yield str(file.readlink())


def _is_llama_swap(process: Path) -> bool:
    """Whether a process is one, and sees the same files as this one: a container doesn't.

    Nix calls what its wrapper runs `.llama-swap-wrapped`; an upgrade puts ` (deleted)` behind the path.
    """
    try:
        name = (process / "exe").readlink().name
        same_root = (process / "root").stat()[1:3] == Path("/").stat()[1:3]
    except OSError:
        return False
    return name.startswith(("llama-swap", ".llama-swap")) and same_root
