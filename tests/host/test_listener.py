"""A loopback URL has the host `local` only where this user's llama-swap listens itself."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.server import Server
from aitui.host.listener import is_own_llama_swap, locate_host
from host.sshd import Sshd

LISTEN = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family) as listening:
    if family == socket.AF_INET6:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listening.bind((sys.argv[1], int(sys.argv[2])))
    listening.listen()
    print(listening.getsockname()[1], flush=True)
    sys.stdin.read()
"""


@contextmanager
def listening(program: Path, address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A program of that name with a socket; its port."""
    if not program.exists():
        shutil.copy(Path(sys.executable).resolve(), program)
    home = {"PYTHONHOME": sys.base_prefix}
    with subprocess.Popen(
        [program, "-S", "-c", LISTEN, address, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **home},
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        yield int(running.stdout.readline())
        running.stdin.close()


def at(port: int, **settings: str) -> Server:
    return Server(f"http://localhost:{port}", "x", origins={"ssh_host": "default"}, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::"])
async def test_ones_own_llama_swap_is_on_this_machine(tmp_path: Path, address: str) -> None:
    with listening(tmp_path / "llama-swap", address) as port:
        server = await locate_host(at(port))
    assert server.ssh_host == "local"
    assert server.origins["ssh_host"] == "its process is your llama-swap on this machine"


@pytest.mark.parametrize("name", ["docker-proxy", "ssh", "rootlessport", "python3"])
async def test_another_program_at_the_port_gives_no_host(tmp_path: Path, name: str) -> None:
    with listening(tmp_path / name) as port:
        assert (await locate_host(at(port))).ssh_host == ""


@pytest.mark.real_server("openssh-server")
def test_an_ssh_forward_gives_no_host(tmp_path: Path, sshd: Sshd) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    known = tmp_path / "known_hosts"
    known.write_text(f"{sshd.known_line}\n")
    options = ("ExitOnForwardFailure=yes", f"UserKnownHostsFile={known}", "BatchMode=yes")
    with listening(tmp_path / "llama-swap") as remote:
        command = [
            *("ssh", "-F", "none", "-i", str(sshd.key), "-p", str(sshd.port)),
            *(part for option in options for part in ("-o", option)),
            *("-L", f"127.0.0.1:{port}:127.0.0.1:{remote}", "127.0.0.1", "echo there; cat"),
        ]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as forward:
            assert forward.stdout is not None
            assert forward.stdout.readline() == b"there\n"
            is_own = is_own_llama_swap(port), is_own_llama_swap(remote)
            # It waits for its channels, were its input only closed.
            forward.terminate()
    assert is_own == (False, True)


async def test_a_port_shared_with_another_program_gives_no_host(tmp_path: Path) -> None:
    with ExitStack() as stack:
        port = stack.enter_context(listening(tmp_path / "llama-swap"))
        stack.enter_context(listening(tmp_path / "ssh", "::1", port))
        assert not is_own_llama_swap(port)


async def test_a_socket_of_another_user_gives_no_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(tmp_path / "llama-swap") as port:
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        assert not is_own_llama_swap(port)


Change = Callable[[Server], Server]


@pytest.mark.parametrize(
    "change",
    [
        lambda server: replace(server, origins={"ssh_host": "environment AI_SERVER_SSH_HOST"}),
        lambda server: replace(server, ssh_host="lab"),
        lambda server: replace(server, url=server.url.replace("localhost", "gpu.example.org")),
    ],
    ids=["set to none", "set", "another machine"],
)
async def test_a_host_that_was_set_stays(tmp_path: Path, change: Change) -> None:
    with listening(tmp_path / "llama-swap") as port:
        server = change(at(port))
        assert await locate_host(server) is server


async def test_no_listener_is_no_host(unused_tcp_port: int) -> None:
    assert not is_own_llama_swap(unused_tcp_port)
