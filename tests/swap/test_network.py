"""The sockets below httpx."""

import socket

import httpcore
import pytest

from aitui.swap.network import ClosingBackend
from swap.raw_server import RawServer, hang, until


async def test_a_socket_that_does_not_take_its_options_is_closed() -> None:
    async with RawServer(hang) as there:
        unknown = (socket.SOL_SOCKET, 9999, 1)
        with pytest.raises(httpcore.ConnectError):
            await ClosingBackend().connect_tcp("127.0.0.1", there.port, socket_options=[unknown])
        await until(lambda: there.connections == 1)
        await there.until_all_hung_up()
