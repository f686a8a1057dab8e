"""Check the route to a machine over SSH step by step, before the login."""

import asyncio
import socket

from msgspec import Struct
from msgspec.structs import replace

from aitui.domain.sanitize import sanitize_line
from aitui.errors import HostTimedOut, HostUnreachable
from aitui.host.ssh.address import SshAddress, SshConfigPaths, SshTimeouts

_MOST_JUMPS = 5
_LONGEST_GREETING = 255
"""Bytes: RFC 4253, section 4.2."""
_MOST_BANNER_LINES = 20


class SshRoute(Struct, frozen=True):
    """Where `ssh_host` leads by the user's SSH config; every text is sanitized.

    `host` and `port` are those of the machine that is connected to first: the machine itself, or
    the first of `jumps`. `by_command` is set if a ProxyCommand makes the connection, so that
    nothing can be checked before it. `keys` are the key files to be tried, `locked` those that
    need a passphrase. `agent` is the agent's socket, `agent_keys` its number of keys, None if it
    doesn't answer.
    """

    label: str
    host: str
    port: int
    jumps: tuple[str, ...]
    by_command: bool
    keys: tuple[str, ...]
    locked: tuple[str, ...]
    hardware: tuple[str, ...]
    agent: str
    agent_keys: int | None


async def resolve_route(address: str, ssh_config: SshConfigPaths) -> SshRoute:
    """Read the route from the config, without touching the network. Raises HostError."""
    route, agent = await asyncio.to_thread(_read_route, address, ssh_config)
    return replace(route, agent_keys=await _count_agent_keys(agent) if agent else None)


async def resolve_addresses(route: SshRoute) -> tuple[str, ...]:
    """Look up the addresses of the first machine. Raises HostUnreachable."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(route.host, route.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        said = getattr(error, "strerror", "") or str(error)
        raise HostUnreachable(
            f"There is no host named {route.host}",
            why=sanitize_line(said, 200),
            remedy="check ssh_host in config.toml, or HostName in ~/.ssh/config",
        ) from error
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


async def fetch_greeting(route: SshRoute, seconds: float = SshTimeouts().connect) -> str:
    """Read the version line of the first machine's SSH server (RFC 4253, section 4.2).

    Raises HostUnreachable, HostTimedOut if nothing comes within `seconds`.
    """
    where = f"{route.host} port {route.port}"
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(route.host, route.port, limit=4096)
            try:
                return await _read_greeting(reader, where)
            finally:
                writer.close()
    except TimeoutError as error:
        raise HostTimedOut(
            f"{where} does not answer",
            why=f"no response within {seconds:g} seconds",
            remedy="check that it is on, and that the network lets you reach it",
        ) from error
    except ConnectionRefusedError as error:
        raise HostUnreachable(
            f"{where} refuses connections",
            why="nothing listens on that port",
            remedy="check that sshd runs there, on this port",
        ) from error
    except OSError as error:
        raise HostUnreachable(
            f"{where} can't be reached", why=sanitize_line(error.strerror or str(error), 200)
        ) from error


async def _read_greeting(reader: asyncio.StreamReader, where: str) -> str:
    for _ in range(_MOST_BANNER_LINES):
        try:
            line = await reader.readline()
        except ValueError:  # a line beyond any limit
            break
        if line.startswith(b"SSH-"):
            return sanitize_line(line[:_LONGEST_GREETING].decode("ascii", "replace").strip(), 100)
        if not line:
            break
    raise HostUnreachable(
        f"{where} accepts connections, but does not speak SSH",
        why="another service listens there, or the connection is closed at once",
        remedy="check the port in ssh_host, or Port in ~/.ssh/config",
    )


def _read_route(address: str, ssh_config: SshConfigPaths) -> tuple[SshRoute, str]:
    # Importing asyncssh costs as much as Textual, and this only reads files.
    from aitui.host.ssh.config import read_keys, read_target

    target = read_target(SshAddress.read(address), ssh_config)
    keys = read_keys(target, {})
    refused = {*keys.locked, *keys.wrong, *keys.hardware}
    tried = (path for path in target.identities if path not in refused and path.is_file())
    first = target  # the machine that is connected to first
    for _ in range(_MOST_JUMPS):
        if first.jumps:
            first = read_target(first.jumps[0], ssh_config)
    route = SshRoute(
        label=target.label,
        host=sanitize_line(first.host, 200),
        port=first.port,
        jumps=tuple(sanitize_line(hop.host, 100) for hop in target.jumps),
        by_command=bool(first.command),
        keys=tuple(sanitize_line(str(path), 300) for path in tried),
        locked=tuple(sanitize_line(str(path), 300) for path in (*keys.locked, *keys.wrong)),
        hardware=tuple(sanitize_line(str(path), 300) for path in keys.hardware),
        agent=sanitize_line(target.agent, 300),
        agent_keys=None,
    )
    return route, target.agent


async def _count_agent_keys(path: str) -> int | None:
    import asyncssh

    try:
        async with asyncio.timeout(SshTimeouts().connect), asyncssh.connect_agent(path) as agent:
            return len(await agent.get_keys())
    except (OSError, ValueError, asyncssh.Error, TimeoutError):
        return None
