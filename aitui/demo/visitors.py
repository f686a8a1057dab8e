"""The three clients of the demo: they come and go by themselves, and count like any other."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine
from random import Random
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from aitui.demo.activity import CLIENT_LEFT, NO_TOKENS, TokenCounts
from aitui.demo.captures import invent_exchange
from aitui.demo.catalogue import CODER, EMBEDDING, GPT_OSS, QWEN
from aitui.demo.load_failed import UpstreamLoadFailed
from aitui.demo.past_hour import DESK, ERRORS, LAPTOP, PHONE, Client, request_line, write_slot_lines
from aitui.demo.running_requests import Caller, InflightRequest
from aitui.demo.upstream_process import ProcessState, UpstreamProcess

if TYPE_CHECKING:
    from aitui.demo.llama_swap import LlamaSwap
    from aitui.demo.stand_in import StandIn

CHUNK_BYTES = 212
"""What a token takes in the stream of a reply."""
_CHAT, _EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
_HEADERS = {"Content-Type": "text/event-stream", "Server": "llama.cpp"}
_LONGEST_SESSION = 122_000
_WAIT = 5.0


class Visit(Struct, frozen=True):
    """One request. `prompt` includes `cached`; it began `ago` seconds ago, with `written` tokens since.

    The client leaves after `patience` seconds.
    """

    client: Client
    model: str
    prompt: int
    reply: int = 0
    cached: int = 0
    ago: float = 0.0
    written: int = 0
    patience: float = 600.0

    @property
    def path(self) -> str:
        """The endpoint."""
        return _CHAT if self.reply else _EMBEDDINGS


async def visit(swap: LlamaSwap, request: Visit) -> None:
    """Send one request and wait for its end."""
    caller = Caller(
        "POST",
        request.path,
        request.model,
        {
            "Accept": "*/*",
            "Content-Type": "application/json",
            "User-Agent": request.client.user_agent,
        },
        request.client.address,
    )
    began = time.monotonic() - request.ago
    status, tokens = 200, NO_TOKENS
    try:
        async with swap.hold(caller, request.ago) as running, asyncio.timeout(request.patience):
            process = swap.processes[request.model]
            tokens = await _generate(process, running, request)
    except UpstreamLoadFailed:
        status = swap.traits.load_failure_status
    except TimeoutError:
        status = CLIENT_LEFT
    seconds = time.monotonic() - began
    swap.activity.record(
        model=request.model,
        path=request.path,
        content_type=_HEADERS["Content-Type"] if request.reply else "application/json",
        status=status,
        tokens=tokens,
        seconds=seconds,
        error="" if status == 200 else ERRORS.get(status, ERRORS[500]),
        client=request.client.address,
        exchange=invent_exchange(
            request.model, request.path, request.client.user_agent, time.monotonic()
        ),
    )
    line = request_line(request.client, request.path, status, tokens.written, seconds)
    swap.request_log.write(line)


async def _generate(
    process: UpstreamProcess, running: InflightRequest, request: Visit
) -> TokenCounts:
    """Read the prompt and write the reply, a second at a time; nothing for a request that was cut."""
    assert running.claim is not None
    flags, claim = process.flags, running.claim
    process.reply_count += 1
    wave = 1 + 0.03 * math.sin(process.reply_count * 2.4)
    rate = round(flags.tokens_per_second * wave, 2)
    prompt_rate = round(flags.prompt_tokens_per_second * wave, 1)
    read, written = request.prompt - request.cached, request.written
    if not written and await claim.wait_unless_cut(read / prompt_rate):
        return NO_TOKENS
    running.record_headers(_HEADERS)
    running.add_sent_bytes(written * CHUNK_BYTES)
    while written < request.reply:
        if await claim.wait_unless_cut(1.0):
            return NO_TOKENS
        grown = min(round(rate), request.reply - written)
        written += grown
        running.add_sent_bytes(grown * CHUNK_BYTES)
    task = 5512 + 7 * process.reply_count
    if request.reply:
        write_slot_lines(process.log, task, request.prompt, written, rate)
    return TokenCounts(request.cached, read, written, prompt_rate, rate if written else 0.0)


class Visitors:
    """The life of the demo, decided by `random`."""

    def __init__(self, server: StandIn, random: Random) -> None:
        self._server = server
        self._randoms = {client: Random(random.random()) for client in (LAPTOP, PHONE, DESK)}

    def scripts(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Return what each client does until it is cancelled."""
        return self._run_laptop(), self._run_phone(), self._run_desk()

    async def _run_laptop(self) -> None:
        """An agent with a context that grows until it begins a new session."""
        random = self._randoms[LAPTOP]
        context = 105_204
        await self._visit(Visit(LAPTOP, QWEN, context, 760, 103_010, ago=6.4, written=310))
        while True:
            await asyncio.sleep(random.uniform(4, 16))
            cached, read = context, random.randint(300, 2_800)
            if context > _LONGEST_SESSION:
                cached, read = 0, random.randint(9_000, 24_000)
            reply = min(2_400, round(random.lognormvariate(6, 0.7)))
            if await self._visit(Visit(LAPTOP, QWEN, cached + read, reply, cached)):
                context = cached + read + reply

    async def _run_phone(self) -> None:
        """A chat on a small screen, now and then left in the middle."""
        random = self._randoms[PHONE]
        await self._visit(Visit(PHONE, CODER, 640, 1_050, ago=12.0), loads=True)
        while True:
            await asyncio.sleep(random.uniform(20, 60))
            patience = 2.1 if random.random() < 0.1 else 600.0
            prompt, reply = random.randint(400, 2_000), random.randint(200, 1_500)
            model = random.choice((CODER, QWEN, QWEN))
            await self._visit(Visit(PHONE, model, prompt, reply, patience=patience))

    async def _run_desk(self) -> None:
        """An editor: mostly embeddings of notes. At first it tries a model that doesn't fit.

        No request reports such a failure afterwards, so it waits until a dashboard is there to see it.
        """
        random, swap = self._randoms[DESK], self._server.swap
        if swap is not None:
            await swap.events.first_reader.wait()
        await asyncio.sleep(1.0)
        await self._visit(Visit(DESK, GPT_OSS, 2_400, 800), loads=True)
        while True:
            await asyncio.sleep(random.uniform(12, 45))
            if random.random() < 0.8:
                await self._visit(Visit(DESK, EMBEDDING, random.randint(180, 6_200)))
            else:
                prompt, reply = random.randint(2_000, 7_000), random.randint(200, 1_900)
                await self._visit(Visit(DESK, QWEN, prompt, reply))

    async def _visit(self, request: Visit, *, loads: bool = False) -> bool:
        """Send a request to a loaded model; return False, a while later, if it isn't loaded."""
        swap = self._server.swap
        process = None if swap is None else swap.processes.get(request.model)
        if swap is None or process is None or not (loads or process.state is ProcessState.READY):
            await asyncio.sleep(_WAIT)
            return False
        await visit(swap, request)
        return True
