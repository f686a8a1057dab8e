"""A chat with the fake llama-server: it takes a slot, generates, and ends when it is cancelled."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from msgspec import Struct

from aitui.demo.activity import NO_TOKENS, TokenCounts
from aitui.demo.answers import (
    EVENT_STREAM,
    ChunkedResponse,
    CompleteResponse,
    Response,
    ResponseContent,
    llama_server_json,
)
from aitui.demo.call import IncomingRequest
from aitui.demo.generation import Generation, GenerationRequest, has_image
from aitui.demo.llama_server import context_error, error_answer
from aitui.demo.running_requests import InflightRequest
from aitui.demo.upstream_process import ModelClaim, UpstreamProcess

_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Type": EVENT_STREAM,
    "Server": "llama.cpp",
    "X-Accel-Buffering": "no",
}
_NO_IMAGES = (
    "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
)


class RequestOutcome(Struct, frozen=True):
    """How a request ended, for the activity."""

    response: Response
    tokens: TokenCounts = NO_TOKENS


class ChatExchange(Struct, frozen=True):
    """One request to one model: the client's request, the process, and the claim on it."""

    call: IncomingRequest
    process: UpstreamProcess
    claim: ModelClaim
    model: str
    running: InflightRequest | None = None
    open_stream: ChunkedResponse | None = None

    async def chat(self) -> RequestOutcome:
        """Answer `POST …/chat/completions`."""
        try:
            body = self.call.json()
        except json.JSONDecodeError as error:
            return RequestOutcome(CompleteResponse(error_answer(400, f"parse error: {error}")))
        if not self.process.flags.takes_images and has_image(body):
            return RequestOutcome(CompleteResponse(error_answer(500, _NO_IMAGES, "server_error")))
        request = GenerationRequest.read(body, self.model)
        size = self.process.flags.slot_size
        if size and request.prompt_tokens > size:
            return RequestOutcome(CompleteResponse(context_error(request.prompt_tokens, size)))
        self.process.reply_count += 1
        generation = Generation(request, self.process.flags, self.process.reply_count)
        async with _hold_slot(self.process, self.claim):
            if request.stream:
                return await self._respond_stream(generation)
            return await self._respond_whole(generation)

    async def _respond_whole(self, generation: Generation) -> RequestOutcome:
        seconds = generation.seconds_per_piece * len(generation.pieces)
        if await self.claim.wait_unless_cut(generation.seconds_until_first + seconds):
            return RequestOutcome(
                CompleteResponse(ResponseContent(HTTPStatus.BAD_GATEWAY, b"", ""))
            )
        answer = llama_server_json(generation.full_response(seconds))
        return RequestOutcome(CompleteResponse(answer), generation.tokens(seconds))

    async def _respond_stream(self, generation: Generation) -> RequestOutcome:
        stream = self.open_stream
        if stream is None:
            stream = await self.call.begin(ChunkedResponse(_HEADERS))
        if self.running is not None:
            self.running.record_headers(_HEADERS)
        done, began = 0, time.monotonic()
        try:
            await self._send(stream, generation.first_chunk())
            if await self.claim.wait_unless_cut(generation.seconds_until_first):
                return RequestOutcome(stream)
            began = time.monotonic()
            for kind, word in generation.pieces:
                pause = generation.pause(done, time.monotonic() - began)
                if await self.claim.wait_unless_cut(pause):
                    return RequestOutcome(stream)
                await self._send(stream, generation.token_chunk(kind, word))
                done += 1
                if done == self.process.flags.die_after:
                    self.process.die()
                    return RequestOutcome(stream)
            seconds = time.monotonic() - began
            await self._send(stream, generation.last_chunks(seconds))
        finally:
            if done < len(generation.pieces) and not self.claim.cut.is_set():
                self.process.log.write_line(
                    "I", f"srv          stop: cancel task, client disconnected after {done} chunks"
                )
        return RequestOutcome(stream, generation.tokens(seconds))

    async def _send(self, stream: ChunkedResponse, data: bytes) -> None:
        await stream.send(data)
        if self.running is not None:
            self.running.add_sent_bytes(len(data))


@asynccontextmanager
async def _hold_slot(process: UpstreamProcess, claim: ModelClaim) -> AsyncIterator[None]:
    """Wait for a free slot; a queued request gets no headers meanwhile."""
    await process.acquire_slot(claim)
    try:
        yield
    finally:
        process.release_slot()
