"""From ⏎ on a model to its answer: opening, sending, stopping, leaving."""

import asyncio
import time
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from aitui.demo.dialect import Dialect
from aitui.domain.chat.reply import Reply, ReplyPhase
from aitui.domain.models import Model
from aitui.domain.snapshot import Server
from aitui.store.history import ConversationHistory
from aitui.ui.controllers import chat as open_chat
from aitui.ui.reply_text import phase_text
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.terminal.screen_diff import MAX_PENDING_WRITES
from aitui.ui.widgets.composer import Composer
from catalogue import dialects, oldest_and_newest
from stand_in import StandIn
from ui.chat.pane import ENDLESS, FAST, OTHER, TALKATIVE, UNHURRIED, Pane, chatting
from ui.driven import driven

WIDE = (120, 36)


async def test_enter_opens_a_chat_with_the_model_under_the_cursor(pane: Pane) -> None:
    assert pane.chat.conversation.model == FAST
    assert isinstance(pane.app.models.focused, Composer)


async def test_what_is_typed_ahead_of_the_chat_is_written_into_it(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, "") as pane:
        pane.app.go_to(FAST)
        pane.app.burst("enter", *"lull")
        await pane.app.until(lambda: pane.written == "lull", "written")
        assert not [r for r in stand_in.requests if r.path.startswith(("/upstream", "/unload"))]


async def test_what_is_sent_before_the_chat_is_open_is_asked_when_it_is(
    stand_in: StandIn, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_history = ConversationHistory.open
    opening, may_open = asyncio.Event(), asyncio.Event()

    async def open_late(path: Path, **more: Any) -> ConversationHistory:
        opening.set()
        await may_open.wait()
        return await open_history(path, **more)

    monkeypatch.setattr(ConversationHistory, "open", open_late)
    async with chatting(stand_in, server, tmp_path, "") as pane:
        pane.app.go_to(FAST)
        pane.app.burst("enter", *"hi", "enter")
        await opening.wait()
        await pane.app.settle()
        may_open.set()
        await pane.app.until(lambda: pane.asked, "asked")
        await pane.ended()
        assert pane.said[0] == "hi"


async def test_typing_at_once_keeps_its_order(pane: Pane) -> None:
    pane.app.burst(*"hi", "enter", *"ab", "left", *"x")
    await pane.app.until(lambda: pane.written == "axb", "written")
    await pane.ended()
    assert pane.said[0] == "hi"


async def test_the_chat_stays_with_its_model_when_the_cursor_moves(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, size=WIDE) as pane:
        pane.app.go_to(OTHER)
        await pane.app.settle()
        assert pane.widget.model_id == FAST
        await pane.ask("hi")
    assert [body["model"] for body in pane.bodies] == [FAST]


async def test_every_model_has_its_own_conversation(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, size=WIDE) as pane:
        await pane.ask("to the fast one")
        await pane.open(OTHER)
        await pane.app.unsee("to the fast one")
        await pane.open(FAST)
        await pane.app.see("to the fast one")


@oldest_and_newest
async def test_a_prompt_is_asked_and_answered(pane: Pane) -> None:
    answer = await pane.ask("Why is the sky blue?")
    assert answer.phase is ReplyPhase.DONE
    assert pane.asked == [[{"role": "user", "content": "Why is the sky blue?"}]]
    await pane.app.see("Why is the sky blue?", "stand-in: no weights were loaded", "40 tokens")
    assert pane.widget.status.render_line(0).text.strip("─ ") == "✓ done"
    assert pane.written == ""


async def test_a_prompt_and_its_reply_have_their_times(pane: Pane) -> None:
    await pane.ask("hello")
    began = [time.localtime(turn.began) for turn in pane.chat.conversation.path]
    prompt, reply = (time.strftime("%H:%M:%S", moment) for moment in began)
    await pane.app.see(f"You  {prompt}", f"{FAST}  {reply}")


async def test_what_comes_is_in_sight_before_the_end(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, ENDLESS) as pane:
        await pane.send("go on")
        await pane.app.see("▸ reasoning", "► reasoning,")
        assert pane.chat.busy


async def test_how_long_it_thought_is_known_when_its_chat_is_shown_again(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, TALKATIVE) as pane:
        await pane.send("go on")
        await pane.begun()
        thought = pane.answer.thought
        assert thought is not None
        pane.app.controllers.chat.show(pane.chat)
        assert pane.chat.busy
        await pane.app.see(f"▸ reasoning · {thought:.1f} s")


async def test_the_second_question_tells_the_model_of_the_first(pane: Pane) -> None:
    await pane.ask("one")
    await pane.ask("two")
    assert [message["role"] for message in pane.asked[-1]] == ["user", "assistant", "user"]


async def test_interrupting_stops_the_answer_and_keeps_what_came(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, ENDLESS) as pane:
        await pane.send("go on")
        await pane.streams()
        await pane.app.press("ctrl+c")
        answer = await pane.ended()
        assert answer.phase is ReplyPhase.STOPPED
        await pane.app.until(lambda: not pane.busy_slots(ENDLESS), "disconnected")
        await pane.app.see("stopped")
        assert pane.chat.conversation.path[-1].reasoning


async def test_stopping_before_anything_came_gives_the_prompt_back(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, UNHURRIED) as pane:
        await pane.send("are you there?")
        await pane.app.see("the model is loading")
        await pane.app.press("ctrl+c")
        await pane.app.until(lambda: pane.written == "are you there?", "back")
        assert pane.said == []


@dialects(Dialect.V218)
async def test_a_prompt_stopped_in_the_queue_leaves_its_load_there(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, size=WIDE) as pane, stand_in.busy(FAST):
        await pane.app.until_ready(FAST)
        await pane.open(OTHER)
        await pane.send("are you there?")
        await pane.app.answer("y")
        await pane.app.until(lambda: pane.widget.is_replying, "waiting")
        await pane.app.press("ctrl+c")
        await pane.app.told(f"{OTHER} is still queued at the server")
        assert pane.app.model(OTHER).queued is not None


async def test_leaving_goes_from_the_prompt_to_the_text_to_the_models(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, ENDLESS) as pane:
        await pane.send("go on")
        await pane.streams()
        pane.widget.prompt.set_text("a draft")
        await pane.app.press("escape")
        assert pane.app.models.focused is pane.widget.transcript
        await pane.app.press("escape")
        await pane.app.until(lambda: pane.app.models.focused is pane.app.table, "at the table")
        assert not pane.widget.display
        assert pane.chat.busy
        await pane.open(ENDLESS)
        assert pane.written == "a draft"


async def test_i_goes_back_to_the_prompt(pane: Pane) -> None:
    await pane.app.press("escape", "i")
    await pane.app.until(lambda: pane.app.models.focused is pane.widget.prompt, "writing")


async def test_quitting_asks_while_an_answer_streams(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, ENDLESS) as pane:
        await pane.send("go on")
        await pane.streams()
        await pane.app.press("escape", "q")
        await pane.app.see("Quit aitui?", "received so far is kept")
        await pane.app.answer("n")
        await pane.app.settle()
        assert pane.chat.busy


async def test_quitting_with_an_answer_under_way_keeps_what_came(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, ENDLESS) as pane:
        await pane.send("go on")
        await pane.streams()
        await pane.app.press("escape", "q")
        await pane.app.answer("y")
        await pane.app.until(lambda: not pane.app.app.is_running, "ended")
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.send("/history")
        await pane.app.see("go on")


async def test_interrupting_twice_without_an_answer_quits(pane: Pane) -> None:
    await pane.app.press("ctrl+c")
    await pane.app.told("once more to quit")
    await pane.app.press("ctrl+c")
    await pane.app.until(lambda: not pane.app.app.is_running, "ended")


async def test_the_gauge_counts_what_one_slot_holds(pane: Pane) -> None:
    await pane.ask("hi")
    used = pane.answer.context_used
    assert used is not None
    await pane.app.see(f"{used} of 8k")


async def test_nothing_is_laid_out_for_a_terminal_that_takes_nothing(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    waiting: Queue[str] = Queue()
    async with chatting(stand_in, server, tmp_path, ENDLESS) as pane:
        # The part of a terminal that a test without one doesn't have.
        pane.app.app._driver._writer_thread = SimpleNamespace(_queue=waiting)  # type: ignore[union-attr]
        await pane.send("go on")
        await pane.streams()
        for _ in range(MAX_PENDING_WRITES + 1):
            waiting.put("a frame that was not taken yet")
        thoughts = pane.widget.transcript.conversation._turns[-1].parts[-1]
        tokens, laid_out = pane.answer.rates.tokens, thoughts.source
        await pane.app.until(lambda: pane.answer.rates.tokens > tokens + 20, "more")
        assert thoughts.source == laid_out
        while not waiting.empty():
            waiting.get()
        await pane.app.until(lambda: thoughts.source != laid_out, "shown again")


# --- whom it costs


async def test_a_chat_that_evicts_asks_and_names_whom(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, size=WIDE) as pane:
        await pane.ask("hi")
        await pane.app.until_ready(FAST)
        await pane.open(OTHER)
        await pane.send("and you?")
        await pane.app.see(f"Chat with {OTHER}?", f"▌{FAST}")
        await pane.app.answer("y")
        await pane.ended()
        assert [body["model"] for body in pane.bodies] == [FAST, OTHER]


async def test_a_no_gives_the_prompt_back(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, size=WIDE) as pane:
        await pane.ask("hi")
        await pane.app.until_ready(FAST)
        await pane.open(OTHER)
        await pane.send("and you?")
        await pane.app.answer("n")
        await pane.app.until(lambda: pane.written == "and you?", "back")
        assert [body["model"] for body in pane.bodies] == [FAST]


async def test_it_asks_once_a_conversation(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, size=WIDE) as pane:
        for model_id in (FAST, OTHER):
            async with stand_in.busy(model_id):
                await pane.app.until_ready(model_id)
        await pane.send("first")
        await pane.app.answer("y")
        await pane.app.until(lambda: pane.bodies, "sent")
        await pane.ended()
        async with stand_in.busy(OTHER):
            await pane.app.until_ready(OTHER)
        await pane.ask("second")
        assert len(pane.bodies) == 2


async def test_one_that_cost_nothing_asks_when_it_comes_to_cost(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, size=WIDE) as pane:
        await pane.ask("first")
        async with stand_in.busy(OTHER):
            await pane.app.until_ready(OTHER)
        await pane.send("second")
        await pane.app.see(f"Chat with {FAST}?", f"▌{OTHER}")
        assert isinstance(pane.app.app.screen, ConfirmScreen)


async def test_read_only_refuses_to_load_by_a_chat(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, replace(server, read_only=True), tmp_path) as pane:
        await pane.send("hello?")
        await pane.app.told("read-only")
        assert pane.written == "hello?"
        assert pane.bodies == []


async def test_read_only_chats_with_what_is_loaded(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with stand_in.busy(FAST):
        pass
    async with chatting(stand_in, replace(server, read_only=True), tmp_path) as pane:
        await pane.app.until_ready(FAST)
        answer = await pane.ask("hi")
        assert answer.phase is ReplyPhase.DONE


# --- elsewhere


async def test_switching_the_server_ends_its_chats(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    second = replace(server, identity="second", name="second")
    async with driven(server, tmp_path, servers=(server, second)) as app:
        await app.until(lambda: app.models.snapshot.events_flow, "live")
        pane = Pane(app, stand_in)
        await pane.open(ENDLESS)
        await pane.send("go on")
        await pane.streams()
        await app.press("escape", "S")
        await app.see("second")
        await app.press("down", "enter")
        await app.until(lambda: app.server == second, "switched")
        await app.until(lambda: not pane.busy_slots(ENDLESS), "disconnected")
        assert not pane.widget.display
        await app.until(lambda: app.models.snapshot.events_flow, "live")
        await pane.open(ENDLESS)
        assert pane.said == []


async def test_an_answer_that_ends_out_of_sight_is_told(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, UNHURRIED) as pane:
        await pane.send("hi")
        await pane.app.press("escape", "escape")
        await pane.app.told(f"{UNHURRIED} has replied")


async def test_a_long_answer_calls_back_who_is_elsewhere(
    stand_in: StandIn, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    monkeypatch.setattr(open_chat, "LONG_REPLY", 0.0)
    async with chatting(stand_in, server, tmp_path) as pane:
        monkeypatch.setattr(pane.app.app._notifier, "notify_if_away", called.append)
        await pane.ask("hi")
        assert called == [f"{FAST} has replied"]


async def test_a_short_one_calls_nobody(pane: Pane, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(pane.app.app._notifier, "notify_if_away", called.append)
    await pane.ask("hi")
    assert called == []


@dialects(Dialect.HEAD)
async def test_the_own_chat_is_among_those_who_use_the_model(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, ENDLESS, size=WIDE) as pane:
        await pane.send("go on")
        await pane.app.see("Activity 1 running", "this c")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (None, "the model is loading, 7 s"),
        (Model("m", expected_load=29.0), "loading, usually 29 s, 7 s so far"),
        (Model("m", expected_load=29.0, progress=0.37), "the model is loading 37 %, 7 s"),
    ],
)
def test_a_load_shows_its_reported_progress_else_its_expected_time(
    model: Model | None, words: str
) -> None:
    answer = Reply("1", "m", 3.0, phase=ReplyPhase.LOADING, phase_since=3.0)
    assert phase_text(answer, model, 10.0) == words
