"""Whoever comes in while a door closes is hung up on, and not forgotten."""

import asyncio
import socket
from contextlib import suppress
from pathlib import Path

import pytest
from yarl import URL

from aitui.demo import ssh_host
from aitui.demo.dialect import Dialect
from aitui.demo.shell_commands import ShellResult
from aitui.demo.ssh_host import DemoSshServer
from demo.lab import lab_config
from stand_in import StandIn

_TURNS = 10


async def come_in(port: int, turns: int) -> socket.socket:
    """A connection that the other side has known for so many turns of the loop."""
    caller = socket.create_connection(("127.0.0.1", port))
    caller.setblocking(False)
    for _ in range(turns):
        await asyncio.sleep(0)
    return caller


async def until_hung_up(caller: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(10):
        with suppress(ConnectionResetError):
            while await loop.sock_recv(caller, 1000):
                pass


async def nothing(_: str) -> ShellResult:
    return ShellResult()


@pytest.mark.parametrize("turns", range(_TURNS))
async def test_the_stand_in_hangs_up_on_who_has_just_come_in(turns: int) -> None:
    async with StandIn(lab_config(Dialect.V218)) as server:
        caller = await come_in(URL(server.url).port or 0, turns)
    with caller:
        await until_hung_up(caller)


@pytest.mark.parametrize("turns", range(_TURNS))
async def test_the_ssh_door_hangs_up_on_who_has_just_come_in(turns: int, tmp_path: Path) -> None:
    async with DemoSshServer(tmp_path, tmp_path, nothing) as door:
        port = int(door.setup.config.read_text().partition("Port ")[2].split()[0])
        caller = await come_in(port, turns)
    with caller:
        await until_hung_up(caller)


@pytest.mark.parametrize("turns", range(2, _TURNS))
async def test_the_ssh_door_hangs_up_also_where_nobody_waits_for_it(
    turns: int, tmp_path: Path
) -> None:
    ports: asyncio.Queue[int] = asyncio.Queue()

    async def stand_open() -> None:
        async with DemoSshServer(tmp_path, tmp_path, nothing) as door:
            set_up = door.setup.config.read_text()
            await ports.put(int(set_up.partition("Port ")[2].split()[0]))
            await asyncio.Event().wait()

    standing = asyncio.create_task(stand_open())
    caller = await come_in(await ports.get(), turns)
    standing.cancel()
    await asyncio.sleep(0)
    standing.cancel()
    with suppress(asyncio.CancelledError):
        await standing
    with caller:
        await until_hung_up(caller)


async def test_an_ssh_door_that_does_not_open_closes_its_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports: list[int] = []

    def fail(_: object, port: int) -> None:
        ports.append(port)
        raise PermissionError

    monkeypatch.setattr(ssh_host, "_write_setup", fail)
    with pytest.raises(PermissionError):
        async with DemoSshServer(tmp_path, tmp_path, nothing):
            pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", ports[0]))
