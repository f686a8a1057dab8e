"""A chat through Debian's Caddy: it streams, and stopping it frees the slot behind the proxy."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator

import pytest

from aitui.domain.chat.conversation import Conversation
from aitui.domain.chat.reply import ReplyPhase
from aitui.domain.snapshot import Clock, Server
from aitui.llamaswap.chat import ChatClient
from aitui.services.chat import ChatSession
from services.chat.chatting import CONFIG, DIES, ENDLESS, FAST
from stand_in import StandIn
from watched import eventually

pytestmark = pytest.mark.real_server("caddy")


@pytest.fixture
async def upstream() -> AsyncIterator[StandIn]:
    async with StandIn(CONFIG) as running:
        yield running


def chat_with(model: str, client: ChatClient) -> ChatSession:
    numbers = itertools.count()
    return ChatSession(
        client,
        Conversation("c", model=model),
        clock=Clock(time.monotonic, time.time),
        new_id=lambda: f"t{next(numbers)}",
    )


async def test_an_answer_comes_whole(behind_caddy: Server) -> None:
    async with ChatClient(behind_caddy) as client:
        answer = await chat_with(FAST, client).send("hi")
    assert (answer.phase, answer.rates.tokens) == (ReplyPhase.DONE, 40)


async def test_stopping_frees_the_slot_behind_the_proxy(
    behind_caddy: Server, upstream: StandIn
) -> None:
    process = upstream._active_runtime.swap.processes[ENDLESS]
    async with ChatClient(behind_caddy) as client:
        chat = chat_with(ENDLESS, client)
        sending = asyncio.create_task(chat.send("hi"))
        await eventually(lambda: chat.reply is not None and chat.reply.rates.tokens > 3)
        assert process.busy_slots == 1
        chat.stop()
        assert (await sending).phase is ReplyPhase.STOPPED
        await eventually(lambda: not process.busy_slots, 1.0)


async def test_a_model_that_dies_behind_the_proxy_cuts_the_answer(behind_caddy: Server) -> None:
    async with ChatClient(behind_caddy) as client:
        answer = await chat_with(DIES, client).send("hi")
    assert answer.phase is ReplyPhase.CUT
    assert len(answer.text) > 0


async def test_a_server_that_goes_behind_the_proxy_cuts_the_answer(
    behind_caddy: Server, upstream: StandIn
) -> None:
    async with ChatClient(behind_caddy) as client:
        chat = chat_with(ENDLESS, client)
        sending = asyncio.create_task(chat.send("hi"))
        await eventually(lambda: chat.reply is not None and chat.reply.rates.tokens > 3)
        await upstream.stop()
        answer = await sending
    assert answer.phase is ReplyPhase.CUT
    assert len(answer.reasoning) > 0
