"""Idle time passes at once, and only idle time."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from time import perf_counter

import pytest

HOUR = 3600.0
SERVER = """
import socket, time
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
connection, _ = listening.accept()
connection.recv(1)
time.sleep(0.05)
connection.sendall(b"y")
"""


@pytest.fixture(scope="module")
def answering() -> Iterator[int]:
    """The port of another process that takes its time for one answer."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


async def test_an_hour_in_which_nothing_happens_passes_at_once() -> None:
    really, began, wall = perf_counter(), time.monotonic(), time.time()
    await asyncio.sleep(HOUR)
    assert perf_counter() - really < HOUR / 100
    assert HOUR <= time.monotonic() - began < HOUR + 60
    assert HOUR <= time.time() - wall < HOUR + 60
    assert abs(time.time_ns() / 1e9 - time.time()) < 60


async def test_timers_fire_in_their_order() -> None:
    fired: list[float] = []
    loop = asyncio.get_running_loop()
    for seconds in (300.0, 0.5, HOUR, 0.01):
        loop.call_later(seconds, fired.append, seconds)
    await asyncio.sleep(HOUR + 1)
    assert fired == [0.01, 0.5, 300.0, HOUR]


async def test_what_a_server_of_this_process_answers_comes_before_any_time_limit() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(HOUR)
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, asyncio.timeout(HOUR + 1):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        writer.close()


async def test_a_thread_has_the_time_that_it_needs() -> None:
    async with asyncio.timeout(HOUR):
        began = time.monotonic()
        await asyncio.to_thread(time.sleep, 0.05)
        assert time.monotonic() - began < HOUR / 100


async def test_a_process_has_the_time_that_it_needs() -> None:
    began = time.monotonic()
    async with asyncio.timeout(HOUR):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
        assert await process.wait() == 0
    assert time.monotonic() - began < HOUR / 100


async def test_so_has_one_that_was_there_before(answering: int) -> None:
    began = time.monotonic()
    async with asyncio.timeout(HOUR):
        reader, writer = await asyncio.open_connection("127.0.0.1", answering)
        writer.write(b"x")
        assert await reader.read() == b"y"
        writer.close()
    assert time.monotonic() - began < HOUR / 100


@pytest.mark.real_server("sh")
async def test_beside_a_server_of_the_distribution_time_is_real() -> None:
    began = perf_counter()
    await asyncio.sleep(0.05)
    assert perf_counter() - began >= 0.04
