"""A chat as a service: the states of an answer, stopping, branches, and what is kept."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aitui.demo.certificates import Certificates
from aitui.demo.dialect import Dialect
from aitui.domain.chat.conversation import Role, SamplingParameters, Turn, TurnState
from aitui.domain.chat.reply import ReplyPhase, TextDelta
from aitui.domain.models import RunState
from aitui.errors import HistoryError, LoadFailed, NoSuchModel, ReplyInterrupted, Unauthorized
from aitui.services.chat import ReplyBuilder
from aitui.store.history import ConversationHistory
from other_client import OtherClient
from services.chat.chatting import BROKEN, DIES, ENDLESS, FAST, LOADS, Talk, talking
from stand_in import FixedResponse


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[ConversationHistory]:
    opened = await ConversationHistory.open(tmp_path / "history.sqlite3")
    yield opened
    await opened.close()


def asked(talk: Talk) -> list[list[dict[str, str]]]:
    """The messages of each request so far."""
    bodies = [json.loads(r.body) for r in talk.stand_in.requests if r.path.startswith("/v1/chat")]
    return [body["messages"] for body in bodies]


async def test_an_answer_goes_through_its_states(certificates: Certificates) -> None:
    async with talking(certificates) as talk:
        answer = await talk.chat.send("Why is the sky blue?")
        assert talk.phases == [
            *(
                ReplyPhase.QUEUED,
                ReplyPhase.PREFILL,
                ReplyPhase.THINKING,
                ReplyPhase.STREAMING,
                ReplyPhase.DONE,
            )
        ]
        assert answer.finish == "stop"
        assert answer.rates.tokens == 40
        assert answer.rates.first_token is not None
        assert answer.thought is not None
        assert answer.context_used is not None
        assert not talk.chat.busy


async def test_the_turn_holds_what_came(certificates: Certificates) -> None:
    async with talking(certificates) as talk:
        answer = await talk.chat.send("Why is the sky blue?")
        question, turn = talk.chat.conversation.path
        assert (question.role, question.text) == (Role.USER, "Why is the sky blue?")
        assert (turn.text, turn.reasoning) == (str(answer.text), str(answer.reasoning))
        assert (turn.state, turn.finish, turn.model) == (TurnState.DONE, "stop", FAST)
        assert turn.usage is not None
        assert turn.timings is not None


async def test_the_text_comes_in_views_that_stay_as_they_were(certificates: Certificates) -> None:
    async with talking(certificates) as talk:
        await talk.chat.send("hi")
        whole = str(talk.answer.text)
        shown = ""
        for answer in talk.published:
            shown += answer.text.since(len(shown))
            assert str(answer.text) == shown
        assert shown == whole


@pytest.mark.parametrize("dialect", list(Dialect), ids=lambda dialect: dialect.value)
async def test_a_load_told_in_the_stream_is_loading(
    certificates: Certificates, dialect: Dialect
) -> None:
    async with talking(certificates, LOADS, dialect=dialect) as talk:
        talk.chat.update_model_state(RunState.STOPPED)
        answer = await talk.chat.send("hi")
        assert ReplyPhase.LOADING in talk.phases
        assert answer.phase is ReplyPhase.DONE
        assert "llama-swap" not in str(answer.reasoning)


async def test_the_monitor_tells_a_load_from_a_queue(certificates: Certificates) -> None:
    async with talking(certificates, ENDLESS) as talk:
        sending = asyncio.create_task(talk.chat.send("hi"))
        await talk.until(lambda answer: answer.phase is ReplyPhase.QUEUED)
        talk.chat.update_model_state(RunState.STARTING)
        talk.chat.update_model_state(RunState.READY)
        assert talk.phases == [ReplyPhase.QUEUED, ReplyPhase.LOADING, ReplyPhase.QUEUED]
        talk.chat.stop()
        await sending


async def test_stopping_frees_the_slot_and_keeps_what_came(certificates: Certificates) -> None:
    async with talking(certificates, ENDLESS) as talk:
        sending = asyncio.create_task(talk.chat.send("hi"))
        await talk.until(lambda answer: answer.rates.tokens > 5)
        assert talk.busy_slots(ENDLESS) == 1
        talk.chat.stop()
        answer = await sending
        assert answer.phase is ReplyPhase.STOPPED
        await talk.until_idle(ENDLESS, 1.0)
        turn = talk.chat.conversation.path[-1]
        assert turn.state is TurnState.STOPPED
        assert turn.reasoning == str(answer.reasoning) != ""


async def test_cancelling_whoever_waits_stops_the_answer(certificates: Certificates) -> None:
    async with talking(certificates, ENDLESS) as talk:
        sending = asyncio.create_task(talk.chat.send("hi"))
        await talk.until(lambda answer: answer.rates.tokens > 5)
        sending.cancel()
        await asyncio.wait({sending})
        assert sending.cancelled()
        assert talk.answer.phase is ReplyPhase.STOPPED
        await talk.until_idle(ENDLESS, 1.0)


async def test_stopping_in_the_queue_leaves_it(certificates: Certificates) -> None:
    async with talking(certificates, ENDLESS) as talk:
        async with talk.stand_in.busy(ENDLESS):
            sending = asyncio.create_task(talk.chat.send("hi"))
            await talk.until(lambda _: asked(talk))
            talk.chat.stop()
            answer = await sending
            assert answer.phase is ReplyPhase.STOPPED
            assert answer.prompt == "hi"
            assert talk.chat.conversation.turns == {}
        await talk.until_idle(ENDLESS)


async def test_a_model_that_dies_cuts_the_answer(certificates: Certificates) -> None:
    async with talking(certificates, DIES) as talk:
        answer = await talk.chat.send("hi")
        assert answer.phase is ReplyPhase.CUT
        assert isinstance(answer.error, ReplyInterrupted)
        assert answer.error.tokens == 20
        turn = talk.chat.conversation.path[-1]
        assert turn.state is TurnState.CUT
        assert turn.text == str(answer.text) != ""
        assert "cut off after 20 tokens" in turn.trouble


@pytest.mark.parametrize("how", ["unload", "reload", "stop"])
async def test_a_model_that_is_taken_away_cuts_the_answer(
    certificates: Certificates, how: str
) -> None:
    async with talking(certificates, ENDLESS) as talk:
        sending = asyncio.create_task(talk.chat.send("hi"))
        await talk.until(lambda answer: answer.rates.tokens > 5)
        if how == "unload":
            await OtherClient(talk.stand_in, certificates).unload(ENDLESS)
        elif how == "reload":
            await talk.stand_in.reload()
        else:
            await talk.stand_in.stop()
        answer = await sending
        assert answer.phase is ReplyPhase.CUT
        assert len(answer.reasoning) > 0


@pytest.mark.parametrize("dialect", list(Dialect), ids=lambda dialect: dialect.value)
async def test_a_load_that_fails_gives_the_prompt_back(
    certificates: Certificates, dialect: Dialect
) -> None:
    async with talking(certificates, BROKEN, dialect=dialect) as talk:
        answer = await talk.chat.send("hi there")
        assert answer.phase is ReplyPhase.FAILED
        assert isinstance(answer.error, LoadFailed)
        assert answer.prompt == "hi there"
        assert talk.chat.conversation.turns == {}


async def test_an_unknown_model_fails(certificates: Certificates) -> None:
    async with talking(certificates, "nope") as talk:
        answer = await talk.chat.send("hi")
        assert (answer.phase, type(answer.error)) == (ReplyPhase.FAILED, NoSuchModel)


async def test_the_next_question_knows_what_was_said(certificates: Certificates) -> None:
    async with talking(certificates) as talk:
        await talk.chat.set_system("Be brief.")
        first = await talk.chat.send("one")
        await talk.chat.send("two")
        assert asked(talk)[-1] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": str(first.text)},
            {"role": "user", "content": "two"},
        ]


async def test_an_edited_question_stands_beside_the_old_one(certificates: Certificates) -> None:
    async with talking(certificates) as talk:
        await talk.chat.send("one")
        question = talk.chat.conversation.path[0]
        await talk.chat.edit(question.id, "other")
        assert [turn.text for turn in talk.chat.conversation.branches(question.id)] == [
            "one",
            "other",
        ]
        assert asked(talk)[-1] == [{"role": "user", "content": "other"}]
        await talk.chat.switch_branch(talk.chat.conversation.path[0].id, -1)
        assert talk.chat.conversation.path[0].text == "one"


async def test_a_regenerated_answer_stands_beside_the_old_one(certificates: Certificates) -> None:
    async with talking(certificates) as talk:
        await talk.chat.send("one")
        old = talk.chat.conversation.path[-1]
        await talk.chat.set_sampling(SamplingParameters.of({"seed": 7}))
        await talk.chat.regenerate(old.id)
        new = talk.chat.conversation.path[-1]
        assert talk.chat.conversation.branches(new.id) == (old, new)
        assert new.sampling == SamplingParameters.of({"seed": 7})


async def test_a_failed_regeneration_shows_the_old_answer_again(certificates: Certificates) -> None:
    async with talking(certificates) as talk:
        await talk.chat.send("one")
        before = talk.chat.conversation
        await talk.stand_in.stop()
        answer = await talk.chat.regenerate(before.shown)
        assert answer.phase is ReplyPhase.FAILED
        assert talk.chat.conversation == before


async def test_a_cut_answer_goes_on_where_it_was_cut(certificates: Certificates) -> None:
    async with talking(certificates, DIES) as talk:
        first = await talk.chat.send("one")
        cut = talk.chat.conversation.path[-1]
        second = await talk.chat.resume(cut.id)
        assert asked(talk)[-1][-1:] == [{"role": "assistant", "content": str(first.text)}]
        assert str(second.text).startswith(str(first.text))
        assert len(second.text) > len(first.text)
        assert len(talk.chat.conversation.path) == 2


async def test_one_answer_at_a_time(certificates: Certificates) -> None:
    async with talking(certificates, ENDLESS) as talk:
        sending = asyncio.create_task(talk.chat.send("one"))
        await talk.until(lambda answer: answer.rates.tokens)
        with pytest.raises(ValueError, match="still running"):
            await talk.chat.send("two")
        talk.chat.stop()
        await sending


async def test_nothing_to_ask_is_refused(certificates: Certificates) -> None:
    async with talking(certificates) as talk:
        with pytest.raises(ValueError, match="no prompt to send"):
            await talk.chat.send("  \n")


async def test_an_answer_is_kept_while_it_comes(
    certificates: Certificates, history: ConversationHistory
) -> None:
    async with talking(certificates, ENDLESS, history=history) as talk:
        sending = asyncio.create_task(talk.chat.send("one"))
        await talk.until(lambda answer: answer.rates.tokens > 50)
        kept = (await history.read("c")).path[-1]
        whole = str(talk.answer.reasoning)
        assert whole.startswith(kept.reasoning)
        assert kept.reasoning
        talk.chat.stop()
        await sending
        assert await history.read("c") == talk.chat.conversation


async def test_what_is_done_to_a_conversation_is_kept(
    certificates: Certificates, history: ConversationHistory
) -> None:
    async with talking(certificates, history=history) as talk:
        await talk.chat.send("one")
        await talk.chat.send("two")
        await talk.chat.set_system("Be brief.")
        await talk.chat.rename("Numbers")
        await talk.chat.delete(talk.chat.conversation.path[2].id)
        assert await history.read("c") == talk.chat.conversation
        assert await history.settings("stand-in", FAST) == ("Be brief.", SamplingParameters())


async def test_a_history_that_fails_stops_no_answer(
    certificates: Certificates, history: ConversationHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise HistoryError("the disk is full")

    monkeypatch.setattr(history, "save", full)
    monkeypatch.setattr(history, "append", full)
    async with talking(certificates, history=history) as talk:
        answer = await talk.chat.send("one")
        assert answer.phase is ReplyPhase.DONE
        assert talk.chat.warnings == ("the disk is full",)


async def test_the_oldest_turns_can_be_left_out(certificates: Certificates) -> None:
    async with talking(certificates) as talk:
        await talk.chat.send("one")
        await talk.chat.send("two")
        await talk.chat.drop_oldest_turns()
        await talk.chat.send("three")
        assert asked(talk)[-1][0] == {"role": "user", "content": "two"}
        assert len(talk.chat.conversation.path) == 6


async def test_closing_stops_the_answer_and_lets_others_go_on(
    certificates: Certificates, history: ConversationHistory, tmp_path: Path
) -> None:
    async with talking(certificates, ENDLESS, history=history) as talk:
        sending = asyncio.create_task(talk.chat.send("one"))
        await talk.until(lambda answer: answer.rates.tokens > 5)
        await talk.chat.close()
        assert (await sending).phase is ReplyPhase.STOPPED
        other = await ConversationHistory.open(tmp_path / "history.sqlite3")
        opened = await other.resume("c", lambda: "never")
        assert not opened.forked
        assert opened.conversation == talk.chat.conversation
        await other.close()


async def test_an_answer_of_escape_sequences_is_kept_harmless(
    certificates: Certificates, history: ConversationHistory
) -> None:
    hostile = b'data: {"id":"x","choices":[{"delta":{"content":"a\\u001b]0;title\\u0007b"}}]}\n\n'
    async with talking(certificates, history=history) as talk:
        reply = FixedResponse(200, hostile + b"data: [DONE]\n\n", "text/event-stream")
        talk.stand_in.fault("/v1/chat", reply)
        await talk.chat.send("one")
        assert (await history.read("c")).path[-1].text == "ab"


async def test_a_key_that_is_not_accepted_fails_and_gives_the_prompt_back(
    certificates: Certificates,
) -> None:
    async with talking(certificates) as talk:
        talk.stand_in.fault("/v1/chat", FixedResponse(401, b'{"error":"unauthorized"}'))
        answer = await talk.chat.send("one")
        assert (answer.phase, type(answer.error)) == (ReplyPhase.FAILED, Unauthorized)
        assert answer.prompt == "one"


def test_a_reply_takes_as_long_as_it_did_also_if_the_clock_was_set() -> None:
    builder = ReplyBuilder(Turn("a", "q", Role.ASSISTANT, began=1000.0), "hi", now=5.0)
    builder.apply([TextDelta("hello", 1)], now=8.0)
    builder.end(9.0, ReplyPhase.DONE)
    assert builder.build_turn(now=87_404.0).ended == 1004.0
