"""Answers without end, without measure or without sense: bounded in time and memory."""

import asyncio
import gzip
import tracemalloc

import pytest

from aitui import errors
from aitui.llamaswap.client import LlamaSwapClient
from llamaswap.conftest import server_at
from llamaswap.raw_server import RawRequest, RawServer, always, answer, hang, head

PAGE = "<html><head><title>Router</title></head></html>"


async def endless(_: RawRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(head())
    while True:
        writer.write(b"x" * 2**20)
        await writer.drain()


async def drip(_: RawRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(head())
    while True:
        writer.write(b" ")
        await asyncio.sleep(0.02)


async def test_a_body_without_end_is_cut_off_with_memory_bounded() -> None:
    async with RawServer(endless) as there, LlamaSwapClient(server_at(there.url, 60)) as client:
        tracemalloc.start()
        try:
            with pytest.raises(errors.BadResponse, match="more than 32 MiB"):
                await client.models()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 120 * 2**20


async def test_a_body_that_is_announced_as_too_large_is_not_read() -> None:
    async def announce(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n[")
        await asyncio.sleep(60)

    async with RawServer(announce) as there, LlamaSwapClient(server_at(there.url, 30)) as client:
        async with asyncio.timeout(10):
            with pytest.raises(errors.BadResponse, match="more than 32 MiB"):
                await client.models()


async def test_an_error_without_end_is_cut_off() -> None:
    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status=500))
        while True:
            writer.write(b"x" * 2**16)
            await writer.drain()

    async with RawServer(respond) as there, LlamaSwapClient(server_at(there.url)) as client:
        with pytest.raises(errors.ServerError):
            await client.models()


async def test_a_body_that_drips_ends_at_the_time_limit() -> None:
    async with RawServer(drip) as there, LlamaSwapClient(server_at(there.url, 0.3)) as client:
        with pytest.raises(errors.TimedOut, match="GET /running"):
            await client.running()


async def test_headers_that_never_come_end_at_the_time_limit() -> None:
    async with RawServer(hang) as there, LlamaSwapClient(server_at(there.url, 0.3)) as client:
        with pytest.raises(errors.TimedOut, match="GET /running"):
            await client.running()


async def test_headers_without_end_are_no_http() -> None:
    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-Header: " + b"x" * 1000 + b"\r\n")
            await writer.drain()

    async with RawServer(respond) as there, LlamaSwapClient(server_at(there.url)) as client:
        with pytest.raises(errors.ConnectionLost):
            await client.running()


async def test_a_compressed_body_is_refused() -> None:
    bomb = gzip.compress(b"x" * 10_000_000)
    async with (
        RawServer(always(answer(bomb, Content_Encoding="gzip"))) as there,
        LlamaSwapClient(server_at(there.url)) as client,
    ):
        with pytest.raises(errors.BadResponse, match="compressed"):
            await client.running()


@pytest.mark.parametrize("garbage", [b"\x00\xff\r\n", b"SSH-2.0-OpenSSH_9\r\n", b"\r\n\r\n"])
async def test_a_port_that_speaks_no_http_is_connection_lost(garbage: bytes) -> None:
    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(garbage)
        writer.close()

    async with RawServer(respond) as there, LlamaSwapClient(server_at(there.url)) as client:
        with pytest.raises(errors.ConnectionLost):
            await client.running()


async def test_a_web_page_is_no_success_to_anything() -> None:
    async with (
        RawServer(always(answer(PAGE, content_type="text/html"))) as there,
        LlamaSwapClient(server_at(there.url)) as client,
    ):
        for asking in (client.models, client.running, client.health, client.unload_all):
            with pytest.raises(errors.BadResponse):
                await asking()
        with pytest.raises(errors.BadResponse):
            async with client.events():
                pass
        with pytest.raises(errors.BadResponse):
            async with client.log():
                pass


async def test_many_models_do_not_stop_the_loop() -> None:
    body = b'{"data":[' + b",".join(b'{"id":"model-%d"}' % n for n in range(100_000)) + b"]}"
    turns = 0

    async def watch() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    async with (
        RawServer(always(answer(body))) as there,
        LlamaSwapClient(server_at(there.url, 60)) as client,
    ):
        watching = asyncio.create_task(watch())
        assert len(await client.models()) == 100_000
        watching.cancel()
    assert turns > 20
