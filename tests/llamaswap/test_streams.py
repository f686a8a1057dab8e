"""Events and logs over a connection: opening, ends, refusals."""

import asyncio

import pytest

from aitui import errors
from aitui.domain.events import OtherEvent, RequestsCounted
from aitui.llamaswap.client import LlamaSwapClient
from llamaswap.conftest import server_at
from llamaswap.raw_server import RawRequest, RawServer, always, answer, head

COUNTED = b'event:message\ndata:{"type":"inflight","data":"{\\"total\\":1}"}\n\n'
LOGGED = b'event:message\ndata:{"type":"logData","data":"{\\"data\\":\\"x\\"}"}\n\n'


async def test_events_come_as_they_are_sent_and_end_with_the_stream() -> None:
    go_on = asyncio.Event()

    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(head("text/event-stream") + COUNTED)
        await go_on.wait()
        writer.write(LOGGED)
        writer.close()

    async with RawServer(respond) as there, LlamaSwapClient(server_at(there.url)) as client:
        async with client.events() as events:
            assert await anext(events) == RequestsCounted(1)
            go_on.set()
            assert [event async for event in events] == [OtherEvent("logData")]
        assert there.requests[0].headers["accept"] == "text/event-stream"


async def test_a_stream_outlives_the_time_limit_of_requests() -> None:
    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(head("text/event-stream"))
        await asyncio.sleep(0.5)
        writer.write(COUNTED)
        writer.close()

    async with (
        RawServer(respond) as there,
        LlamaSwapClient(server_at(there.url, 0.2)) as client,
        client.events() as events,
    ):
        assert [event async for event in events] == [RequestsCounted(1)]


async def test_a_server_without_events_is_not_supported() -> None:
    async with (
        RawServer(always(answer("404 page not found", 404, "text/plain"))) as there,
        LlamaSwapClient(server_at(there.url)) as client,
    ):
        with pytest.raises(errors.NotSupported):
            async with client.events():
                pass


async def test_a_connection_that_breaks_is_connection_lost() -> None:
    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        chunk = b"%x\r\n%b\r\n" % (len(COUNTED), COUNTED)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
        writer.close()

    async with (
        RawServer(respond) as there,
        LlamaSwapClient(server_at(there.url)) as client,
        client.events() as events,
    ):
        assert await anext(events) == RequestsCounted(1)
        with pytest.raises(errors.ConnectionLost):
            await anext(events)


async def test_an_error_of_the_reader_comes_out_as_it_is() -> None:
    async def read() -> None:
        async with LlamaSwapClient(server_at(there.url)) as client, client.events() as events:
            async for _ in events:
                raise OSError("the disk is full")

    async with RawServer(always(answer(COUNTED, content_type="text/event-stream"))) as there:
        with pytest.raises(OSError, match="the disk is full"):
            await read()


@pytest.mark.parametrize(
    ("name", "history", "target"),
    [
        ("", True, "/logs/stream"),
        ("proxy", False, "/logs/stream/proxy?no-history"),
        ("author/gemma", True, "/logs/stream/author%2Fgemma"),
    ],
)
async def test_a_log_is_asked_for_by_name(name: str, history: bool, target: str) -> None:
    async with RawServer(always(answer("a\x1b[31mb\n", content_type="text/plain"))) as there:
        async with (
            LlamaSwapClient(server_at(there.url)) as client,
            client.log(name, history=history) as pieces,
        ):
            assert "".join([piece async for piece in pieces]) == "ab\n"
        assert there.requests[0].target == target


async def test_a_log_whose_headers_take_longer_than_any_limit_is_waited_for() -> None:
    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)
        writer.write(answer("late", content_type="text/plain"))

    async with (
        RawServer(respond) as there,
        LlamaSwapClient(server_at(there.url, 0.1)) as client,
        client.log("a") as pieces,
    ):
        assert [piece async for piece in pieces] == ["late"]


async def test_a_log_of_no_model_is_no_such_model() -> None:
    body = "llama-swap: invalid logger. Use 'proxy', 'upstream' or a model's ID"
    async with (
        RawServer(always(answer(body, 400, "text/plain"))) as there,
        LlamaSwapClient(server_at(there.url)) as client,
    ):
        with pytest.raises(errors.NoSuchModel, match="nothing"):
            async with client.log("nothing"):
                pass
