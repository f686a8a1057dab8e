"""The lab in which the recordings were made, rebuilt around the stand-in, with shorter waits."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from aitui.demo.dialect import Dialect
from demo.recorded_answers import RECORDINGS
from stand_in import StandIn

_SHORTER = (
    ("healthCheckTimeout: 15", "healthCheckTimeout: 0.5"),
    ("--start-delay 5", "--start-delay 0.15"),
    ("--load-delay 5", "--load-delay 0.15 --progress-reports 3"),
    ("--stop-delay 4", "--stop-delay 0.15"),
    ("ttl: 3\n", "ttl: 0.15\n"),
    (
        'llama-server --port ${PORT}"\n  "default',
        'llama-server --port ${PORT} --tokens-per-second 200"\n  "default',
    ),
    ("--ctx-size 512", "--ctx-size 512 --start-delay 0.1"),
    ("--model /models/Qwen3", "--start-delay 0.1 --model /models/Qwen3"),
    ("http://127.0.0.1:18291", "http://dead.invalid:18291"),
)
_HELLO = [{"role": "user", "content": "hello there"}]


def lab_config(dialect: Dialect, variant: str = "sample", *, preload: bool = False) -> str:
    """The configuration that a recorded build ran, its waits cut to fractions of a second."""
    # The examples of v263 come from a description of it, not from a lab.
    build = Dialect.HEAD if dialect is Dialect.V263 else dialect
    text = (RECORDINGS / "config" / f"{build.value}-{variant}.yaml").read_text()
    for long, short in _SHORTER:
        text = text.replace(long, short)
    if not preload:
        text = re.sub(r"(?s)hooks:.*", "", text)
    return text


class Lab:
    """A stand-in and a client of it. Requests left running are ended with the lab."""

    def __init__(self, server: StandIn, client: aiohttp.ClientSession) -> None:
        self.server = server
        self.client = client
        self._tasks: set[asyncio.Task[Any]] = set()

    def beside(self, work: Awaitable[Any]) -> asyncio.Task[Any]:
        """Let something happen beside the test."""

        async def run() -> object:
            return await work

        task = asyncio.create_task(run())
        self._tasks.add(task)
        return task

    async def idle(self, seconds: float) -> None:
        """Let time pass at once, and everything that waited for it happen."""
        self.server.advance(seconds)
        for _ in range(10):
            await asyncio.sleep(0)

    async def get(self, target: str) -> tuple[int, str]:
        """GET a raw path; status and body."""
        return await self.send("GET", target)

    async def post(self, target: str, body: object = None) -> tuple[int, str]:
        """POST a raw path; status and body."""
        return await self.send("POST", target, body)

    async def send(self, method: str, target: str, body: object = None) -> tuple[int, str]:
        """Send any request; status and body."""
        url = URL(f"{self.server.url}{target}", encoded=True)
        async with self.client.request(method, url, json=body) as response:
            return response.status, await response.text()

    async def chat(self, model: str, *, stream: bool = True) -> tuple[int, str]:
        """Chat with a model; status and body."""
        body = {"model": model, "stream": stream, "messages": _HELLO}
        return await self.post("/v1/chat/completions", body)

    async def load(self, *models: str) -> None:
        """Load models, one after the other."""
        for model in models:
            await self.get(f"/upstream/{model}/health")

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for a state that is about to come."""
        async with asyncio.timeout(3):
            while not holds():
                await asyncio.sleep(0.002)

    async def until_state(self, model: str, state: str) -> None:
        """Wait until a model is in a state."""
        await self.until(lambda: self.server.running().get(model, "stopped") == state)

    async def close(self) -> None:
        """End what runs beside the test."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def open_lab(dialect: Dialect, config: str | None = None) -> AsyncIterator[Lab]:
    """Open the lab for one build."""
    async with (
        StandIn(config or lab_config(dialect), dialect) as server,
        aiohttp.ClientSession() as client,
    ):
        lab = Lab(server, client)
        try:
            yield lab
        finally:
            await lab.close()
