"""A machine that slept in the middle of an answer: dead connections say nothing, ever."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from aitui.domain.chat.conversation import Conversation, TurnState
from aitui.domain.chat.reply import ReplyPhase
from aitui.domain.snapshot import Clock
from aitui.errors import ReplyInterrupted
from aitui.llamaswap.chat import ChatClient
from aitui.services import chat as chat_module
from aitui.services.chat import ChatSession
from services.chat.replaying import Replaying, replaying, says, streaming


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_module, "SILENCE_AFTER_SUSPEND", 0.2)


@asynccontextmanager
async def asking(there: Replaying) -> AsyncIterator[tuple[ChatSession, "asyncio.Task[object]"]]:
    """A chat of whose answer something has come."""
    numbers = itertools.count(1)
    async with ChatClient(there.server) as client:
        chat = ChatSession(
            client,
            Conversation("c", server="s", model="m"),
            clock=Clock(time.monotonic, time.time),
            new_id=lambda: f"t{next(numbers)}",
        )
        sending: asyncio.Task[object] = asyncio.create_task(chat.send("hi"))
        async with asyncio.timeout(10):
            while chat.reply is None or not chat.reply.text:
                await asyncio.sleep(0.005)
        yield chat, sending
        await chat.close()


async def test_an_answer_that_does_not_go_on_is_cut_and_can_be_gone_on_with() -> None:
    async def respond(_: Replaying, request: web.Request) -> web.StreamResponse:
        async with streaming(request) as response:
            await response.write(says("so far"))
            await asyncio.Event().wait()
        return response

    async with replaying(respond) as there, asking(there) as (chat, sending):
        chat.check_after_suspend()
        await sending
        assert chat.reply is not None
        assert chat.reply.phase is ReplyPhase.CUT
        assert isinstance(chat.reply.error, ReplyInterrupted)
        turn = chat.conversation.path[-1]
        assert (turn.text, turn.state) == ("so far", TurnState.CUT)
        assert "machine slept" in turn.trouble
        assert "continue it" in turn.trouble


async def test_an_answer_that_goes_on_is_left_alone() -> None:
    woken = asyncio.Event()

    async def respond(_: Replaying, request: web.Request) -> web.StreamResponse:
        async with streaming(request) as response:
            await response.write(says("so far"))
            await woken.wait()
            await response.write(says(" and on"))
            await asyncio.Event().wait()
        return response

    async with replaying(respond) as there, asking(there) as (chat, sending):
        chat.check_after_suspend()
        woken.set()
        done, _ = await asyncio.wait({sending}, timeout=0.5)
        assert not done
        assert str(chat.reply and chat.reply.text) == "so far and on"


async def test_somebody_who_stops_it_meanwhile_has_stopped_it() -> None:
    async def respond(_: Replaying, request: web.Request) -> web.StreamResponse:
        async with streaming(request) as response:
            await response.write(says("so far"))
            await asyncio.Event().wait()
        return response

    async with replaying(respond) as there, asking(there) as (chat, sending):
        chat.check_after_suspend()
        chat.stop()
        await sending
        assert chat.reply is not None
        assert chat.reply.phase is ReplyPhase.STOPPED
