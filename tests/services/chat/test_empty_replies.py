"""What is said of a reply that ended well and has no text."""

import pytest

from aitui.domain.chat.conversation import Role, Turn, TurnState
from aitui.domain.chat.reply import (
    Delta,
    GenerationFinished,
    ReasoningDelta,
    ReplyPhase,
    TextDelta,
    ToolCalled,
)
from aitui.services.chat import ReplyBuilder
from aitui.ui.reply_text import footer_items

STOP = GenerationFinished("stop")
TOOL_CALLS = GenerationFinished("tool_calls")
EMPTY = "the reply is empty"


def reply_turn(*deltas: Delta, phase: ReplyPhase = ReplyPhase.DONE) -> Turn:
    """The turn that these deltas make."""
    builder = ReplyBuilder(Turn("1", "", Role.ASSISTANT, model="m"), "hello", 0.0)
    builder.apply(deltas, 1.0)
    builder.end(2.0, phase)
    return builder.build_turn(3.0)


@pytest.mark.parametrize(
    ("deltas", "words"),
    [
        ((ToolCalled("get_weather"), TOOL_CALLS), "the model called the tool get_weather"),
        ((ToolCalled("a"), ToolCalled("b"), TOOL_CALLS), "the model called the tools a, b"),
        ((STOP,), EMPTY),
        ((), EMPTY),
        ((ReasoningDelta("Hmm."), STOP), EMPTY),
        ((TextDelta(" \n"), STOP), EMPTY),
    ],
)
def test_the_line_below_an_empty_reply_says_so(deltas: tuple[Delta, ...], words: str) -> None:
    turn = reply_turn(*deltas)
    assert turn.state is TurnState.DONE
    assert footer_items(turn)[0].startswith(words)


@pytest.mark.parametrize(
    "deltas", [(TextDelta("Yes."), STOP), (TextDelta("Yes."), ToolCalled("x"))]
)
def test_a_reply_with_text_is_not_called_empty(deltas: tuple[Delta, ...]) -> None:
    assert reply_turn(*deltas).trouble == ""


def test_a_reply_at_its_limit_says_that_instead() -> None:
    turn = reply_turn(ReasoningDelta("Hmm."), GenerationFinished("length"))
    assert "token limit" in footer_items(turn)[0]


def test_a_stopped_reply_is_not_called_empty() -> None:
    assert reply_turn(phase=ReplyPhase.STOPPED).trouble == ""


def test_tools_without_end_are_not_kept_without_end() -> None:
    turn = reply_turn(*[ToolCalled(f"tool{number}") for number in range(10_000)], TOOL_CALLS)
    assert len(turn.trouble) < 200
