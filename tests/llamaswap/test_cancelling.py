"""Cancelled requests and closed clients leave nothing behind: no task, no socket, no stuck slot."""

import asyncio
import gc
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aitui.errors import ConnectionLost
from aitui.llamaswap.client import LlamaSwapClient
from certificates import Authority, Issued
from llamaswap.conftest import server_at
from llamaswap.raw_server import RawRequest, RawServer, always, answer, hang, head, until

RUNNING = answer('{"running":[]}')


def open_files() -> set[str]:
    folder = Path("/proc/self/fd")
    links = [folder / name for name in os.listdir(folder)]  # noqa: PTH208 - a listing, no globbing
    return {f"{link.name} {link.readlink()}" for link in links if link.is_symlink()}


@asynccontextmanager
async def nothing_left_behind() -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    tasks, files = asyncio.all_tasks(loop), open_files()
    yield
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    assert asyncio.all_tasks(loop) == tasks
    assert open_files() <= files


async def closed_without_the_collector(files: set[str]) -> None:
    """Returns when no more is open than before."""
    gc.disable()
    try:
        await until(lambda: open_files() <= files)
    finally:
        gc.enable()


async def turns_of_the_loop(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def cancelled_twice(task: "asyncio.Task[object]") -> None:
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_request_works_after_a_storm_of_cancels() -> None:
    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        if hanging:
            await asyncio.Event().wait()
        writer.write(RUNNING)

    hanging = True
    async with RawServer(respond) as there, LlamaSwapClient(server_at(there.url, 20)) as client:
        for turn in range(20):
            tasks = [asyncio.create_task(client.running()) for _ in range(30)]
            for _ in range(turn):
                await asyncio.sleep(0)
            if turn % 4 == 0:
                await asyncio.sleep(0.02)
            await asyncio.gather(*(cancelled_twice(task) for task in tasks))
        hanging = False
        async with asyncio.timeout(10):
            assert await client.running() == ()


async def test_slots_that_httpx_leaves_stuck_are_replaced() -> None:
    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(RUNNING)

    async with RawServer(respond) as there, LlamaSwapClient(server_at(there.url, 20)) as client:
        await client.running()
        pool = client._http.connections._pool
        assert pool is not None
        stuck = [
            await pool.client.send(pool.client.build_request("GET", there.url), stream=True)
            for _ in range(8)
        ]
        async with asyncio.timeout(10):
            assert await client.running() == ()
        for response in stuck:
            await response.aclose()


async def test_a_cancelled_load_leaves_nothing_behind() -> None:
    async with (
        RawServer(hang) as there,
        LlamaSwapClient(server_at(there.url)) as client,
        nothing_left_behind(),
    ):
        load = asyncio.create_task(client.load("a"))
        await until(lambda: len(there.requests) == 1)
        await cancelled_twice(load)
        await there.until_all_hung_up()


async def test_a_cancel_during_the_handshake_closes_the_socket(
    authority: Authority, client_certificate: Issued
) -> None:
    async with RawServer(hang) as there:
        server = server_at(
            there.url.replace("http:", "https:"),
            ca=authority.root,
            client_cert=client_certificate.certificate,
            client_key=client_certificate.key,
        )
        async with LlamaSwapClient(server) as client, nothing_left_behind():
            asking = asyncio.create_task(client.running())
            await until(lambda: there.connections == 1)
            await asyncio.sleep(0.05)
            await cancelled_twice(asking)
            await there.until_all_hung_up()


async def test_leaving_a_stream_early_leaves_nothing_behind() -> None:
    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(head("text/event-stream"))
        while True:
            writer.write(b'data:{"type":"x"}\n\n')
            await writer.drain()
            await asyncio.sleep(0.001)

    async with (
        RawServer(respond) as there,
        LlamaSwapClient(server_at(there.url)) as client,
        nothing_left_behind(),
    ):
        async with client.events() as events:
            async for _ in events:
                break
        await there.until_all_hung_up()


async def test_a_stream_cancelled_twice_leaves_nothing_behind() -> None:
    reading = asyncio.Event()

    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(head("text/event-stream") + b'data:{"type":"x"}\n\n')
        await writer.drain()
        await asyncio.Event().wait()

    async def follow(client: LlamaSwapClient) -> None:
        async with client.events() as events:
            async for _ in events:
                reading.set()

    async with (
        RawServer(respond) as there,
        LlamaSwapClient(server_at(there.url)) as client,
        nothing_left_behind(),
    ):
        following = asyncio.create_task(follow(client))
        await reading.wait()
        await cancelled_twice(following)
        await there.until_all_hung_up()


@pytest.mark.parametrize("over_tls", [False, True])
async def test_closing_ends_everything_under_way(
    over_tls: bool, mutual_tls: ssl.SSLContext, authority: Authority, client_certificate: Issued
) -> None:
    async def respond(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        if request.target.startswith(("/api", "/logs")):
            writer.write(head("text/event-stream"))
            await writer.drain()
        await asyncio.Event().wait()

    async def follow() -> None:
        async with client.events() as events:
            async for _ in events:
                pass

    async def read() -> None:
        async with client.log() as pieces:
            async for _ in pieces:
                pass

    async with (
        RawServer(respond, mutual_tls if over_tls else None) as there,
        nothing_left_behind(),
    ):
        server = server_at(
            there.url,
            60,
            ca=authority.root,
            client_cert=client_certificate.certificate,
            client_key=client_certificate.key,
        )
        async with LlamaSwapClient(server) as client:
            under_way = [
                asyncio.create_task(asking)
                for asking in (follow(), read(), client.load("a"), client.running())
            ]
            await until(lambda: len(there.requests) == 4)
        async with asyncio.timeout(5):
            ends = await asyncio.gather(*under_way, return_exceptions=True)
        assert [type(end) for end in ends] == [ConnectionLost] * 4
        await there.until_all_hung_up()


async def test_a_connection_that_is_being_made_closes_with_its_client() -> None:
    async with RawServer(always(RUNNING)) as there:
        server = server_at(there.url.replace("localhost", "127.0.0.1"))
        for number in range(20):
            files = open_files()
            async with LlamaSwapClient(server) as client:
                await client.running()
                loading = asyncio.create_task(client.load("a"))
                await turns_of_the_loop(number)
            await asyncio.gather(loading, return_exceptions=True)
            await closed_without_the_collector(files)


async def test_a_connection_closes_with_its_client_in_the_middle_of_the_handshake(
    authority: Authority, client_certificate: Issued
) -> None:
    async with RawServer(hang) as there:
        server = server_at(
            there.url.replace("http:", "https:"),
            ca=authority.root,
            client_cert=client_certificate.certificate,
            client_key=client_certificate.key,
        )
        files = open_files()
        async with LlamaSwapClient(server) as client:
            asking = asyncio.create_task(client.running())
            await until(lambda: there.connections == 1)
            await asyncio.sleep(0.05)
        with pytest.raises(ConnectionLost, match="closed"):
            await asking
        await closed_without_the_collector(files)


async def test_a_cancel_forgets_none_of_the_connections_that_the_server_dropped() -> None:
    async with RawServer(always(RUNNING)) as there:
        for number in range(6):
            files = open_files()
            async with LlamaSwapClient(server_at(there.url)) as client:
                await asyncio.gather(*(client.running() for _ in range(4)))
                await there.hang_up()
                asking = asyncio.create_task(client.running())
                await turns_of_the_loop(number)
                await cancelled_twice(asking)
            await closed_without_the_collector(files)


async def test_a_closed_client_refuses_new_requests() -> None:
    async with LlamaSwapClient(server_at("http://localhost:1")) as client:
        pass
    with pytest.raises(ConnectionLost, match="closed"):
        await client.running()


async def test_closing_twice_is_no_harm() -> None:
    async with LlamaSwapClient(server_at("http://localhost:1")) as client:
        await client.aclose()
