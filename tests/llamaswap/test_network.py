"""The sockets below httpx."""

import asyncio
import socket

import httpcore
import pytest

from aitui.llamaswap.client import LlamaSwapClient
from aitui.llamaswap.transport import ClosingBackend
from llamaswap.conftest import server_at
from llamaswap.raw_server import RawServer, hang, until


async def test_a_socket_that_does_not_take_its_options_is_closed() -> None:
    async with RawServer(hang) as there:
        unknown = (socket.SOL_SOCKET, 9999, 1)
        with pytest.raises(httpcore.ConnectError):
            await ClosingBackend().connect_tcp("127.0.0.1", there.port, socket_options=[unknown])
        await until(lambda: there.connections == 1)
        await there.until_all_hung_up()


async def ended_early(listening: socket.socket, turns: int) -> socket.socket:
    """The server's end of a request that is cancelled so many turns before the end of the loop."""
    listening.setblocking(False)
    loop = asyncio.get_running_loop()
    client = LlamaSwapClient(server_at(f"http://127.0.0.1:{listening.getsockname()[1]}"))
    loading = loop.create_task(client.load("a"))
    accepted, _ = await loop.sock_accept(listening)
    assert await loop.sock_recv(accepted, 10_000)
    loading.cancel()
    for _ in range(turns):
        await asyncio.sleep(0)
    return accepted


@pytest.mark.parametrize("turns", range(12))
def test_a_request_that_is_cancelled_as_the_loop_ends_closes_its_socket(turns: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepted = asyncio.run(ended_early(listening, turns))
    with accepted:
        assert accepted.recv(1) == b""
