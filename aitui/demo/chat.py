"""A chat with the fake llama-server: takes a slot, generates, and notices when it is cut off."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from aitui.demo.activity import NO_TOKENS, Tokens
from aitui.demo.answers import EVENT_STREAM, Answer, Response, Stream, Whole, llama_server_json
from aitui.demo.call import Call
from aitui.demo.generation import ChatRequest, Generation
from aitui.demo.llama_server import refusal
from aitui.demo.running_requests import RunningRequest
from aitui.demo.upstream_process import Claim, UpstreamProcess

_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Type": EVENT_STREAM,
    "Server": "llama.cpp",
    "X-Accel-Buffering": "no",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended, for the activity."""

    response: Response
    tokens: Tokens = NO_TOKENS


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request at one model: who asks, which process, and the right to use it."""

    call: Call
    process: UpstreamProcess
    claim: Claim
    model: str
    running: RunningRequest | None = None
    begun: Stream | None = None

    async def chat(self) -> Outcome:
        """Answer `POST …/chat/completions`."""
        try:
            body = self.call.json()
        except json.JSONDecodeError as error:
            return Outcome(Whole(refusal(400, f"parse error: {error}")))
        self.process.answered += 1
        request = ChatRequest.read(body, self.model)
        generation = Generation(request, self.process.flags, self.process.answered)
        async with _slot(self.process, self.claim):
            if request.stream:
                return await self._stream(generation)
            return await self._whole(generation)

    async def _whole(self, generation: Generation) -> Outcome:
        seconds = generation.seconds_per_piece * len(generation.pieces)
        if await self.claim.pause(seconds):
            return Outcome(Whole(Answer(HTTPStatus.BAD_GATEWAY, b"", "")))
        answer = llama_server_json(generation.whole(seconds))
        return Outcome(Whole(answer), generation.tokens(seconds))

    async def _stream(self, generation: Generation) -> Outcome:
        stream = self.begun
        if stream is None:
            stream = await self.call.begin(Stream(_HEADERS))
        if self.running is not None:
            self.running.answers(_HEADERS)
        done, began = 0, time.monotonic()
        try:
            await self._send(stream, generation.opening())
            for kind, word in generation.pieces:
                if await self.claim.pause(generation.seconds_per_piece):
                    return Outcome(stream)
                await self._send(stream, generation.piece(kind, word))
                done += 1
                if done == self.process.flags.die_after:
                    self.process.die()
                    return Outcome(stream)
            seconds = time.monotonic() - began
            await self._send(stream, generation.closing(seconds))
        finally:
            if done < len(generation.pieces) and not self.claim.cut.is_set():
                self.process.log.say(
                    "I", f"srv          stop: cancel task, client disconnected after {done} chunks"
                )
        return Outcome(stream, generation.tokens(seconds))

    async def _send(self, stream: Stream, data: bytes) -> None:
        await stream.send(data)
        if self.running is not None:
            self.running.sent(len(data))


@asynccontextmanager
async def _slot(process: UpstreamProcess, claim: Claim) -> AsyncIterator[None]:
    """Wait for a free slot; a queued request gets no headers meanwhile."""
    await process.take_slot(claim)
    try:
        yield
    finally:
        process.give_slot()
