"""A conversation as a tree: paths, branches, edits, and what a model is sent of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from aitui.domain.chat import conversation as edits
from aitui.domain.chat.conversation import (
    Conversation,
    Role,
    SamplingParameters,
    TurnState,
    build_chat_request,
    encode_image,
)

PNG = b"\x89PNG\r\n\x1a\n rest"


def filled(
    conversation: Conversation, text: str, state: TurnState = TurnState.DONE
) -> Conversation:
    turn = conversation.turns[conversation.shown]
    return conversation.with_turn(replace(turn, text=text, state=state))


def exchange(conversation: Conversation, name: str) -> Conversation:
    """One question with its answer more."""
    asked = edits.add_prompt(conversation, f"{name}?", f"ask {name}", 1.0)
    return filled(edits.with_reply(asked, f"{name}!", 2.0), f"say {name}")


@pytest.fixture
def two() -> Conversation:
    return exchange(exchange(Conversation("c", model="m"), "a"), "b")


def shown(conversation: Conversation) -> list[str]:
    return [turn.id for turn in conversation.path]


def test_what_is_asked_and_answered_is_shown_in_its_order(two: Conversation) -> None:
    assert shown(two) == ["a?", "a!", "b?", "b!"]


def test_an_edit_changes_nothing_of_what_was(two: Conversation) -> None:
    after = edits.edit_prompt(two, "a?", "c?", "other", 3.0)
    assert shown(after) == ["c?"]
    assert shown(two) == ["a?", "a!", "b?", "b!"]
    assert {**two.turns, "c?": after.turns["c?"]} == after.turns


def test_branches_are_walked_round(two: Conversation) -> None:
    after = edits.edit_prompt(two, "a?", "c?", "other", 3.0)
    back = edits.switch_branch(after, "c?", 1)
    assert shown(back) == shown(two)
    assert shown(edits.switch_branch(back, "a?", -1)) == ["c?"]


def test_a_regenerated_answer_begins_a_branch(two: Conversation) -> None:
    after = edits.add_alternative_reply(two, "a!", "x!", 3.0)
    assert shown(after) == ["a?", "x!"]
    assert [turn.id for turn in after.branches("x!")] == ["a!", "x!"]


def test_a_deleted_turn_takes_what_follows(two: Conversation) -> None:
    after = edits.delete_turn(two, "a!")
    assert list(after.turns) == ["a?"]
    assert shown(after) == ["a?"]


def test_beside_a_deleted_branch_the_other_one_is_shown(two: Conversation) -> None:
    after = edits.delete_turn(edits.add_alternative_reply(two, "a!", "x!", 3.0), "x!")
    assert shown(after) == ["a?", "a!", "b?", "b!"]


def test_the_last_turn_that_goes_leaves_nothing(two: Conversation) -> None:
    after = edits.delete_turn(two, "a?")
    assert (dict(after.turns), after.shown) == ({}, "")


def test_only_what_was_broken_off_goes_on(two: Conversation) -> None:
    with pytest.raises(ValueError, match="complete"):
        edits.reopen_reply(two, "b!")
    cut = filled(two, "say", TurnState.CUT)
    assert edits.reopen_reply(cut, "b!").turns["b!"].state is TurnState.RUNNING
    with pytest.raises(ValueError, match="has continued"):
        edits.reopen_reply(cut.with_turn(replace(cut.turns["a!"], finish="length")), "a!")


@pytest.mark.parametrize("wrong", ["nowhere", "a!"])
def test_only_questions_are_edited(two: Conversation, wrong: str) -> None:
    with pytest.raises(ValueError, match="turn"):
        edits.edit_prompt(two, wrong, "x", "text", 3.0)


def test_an_answer_wants_a_question(two: Conversation) -> None:
    with pytest.raises(ValueError, match="no prompt"):
        edits.with_reply(two, "x", 3.0)


def test_a_request_holds_the_path_and_no_reasoning(two: Conversation) -> None:
    thinking = two.with_turn(replace(two.turns["a!"], reasoning="hm"))
    running = edits.add_alternative_reply(replace(thinking, system="Be brief."), "b!", "x!", 3.0)
    assert [message["content"] for message in build_chat_request(running, "x!").messages] == [
        *("Be brief.", "ask a", "say a", "ask b")
    ]


def test_an_answer_that_goes_on_stands_last(two: Conversation) -> None:
    cut = filled(two, "so far", TurnState.CUT)
    request = build_chat_request(edits.reopen_reply(cut, "b!"), "b!")
    assert request.messages[-1] == {"role": "assistant", "content": "so far"}


def test_an_image_is_sent_as_a_data_url() -> None:
    asked = edits.add_prompt(Conversation("c"), "q", "What?", 1.0, [encode_image("a.png", PNG)])
    (message,) = build_chat_request(asked, "q").messages
    assert message["content"][0] == {"type": "text", "text": "What?"}
    assert message["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")


def test_the_oldest_turns_are_left_out_and_stay_in_sight(two: Conversation) -> None:
    after = edits.drop_oldest_turns(two)
    assert shown(after) == shown(two)
    assert [m["content"] for m in build_chat_request(after, "b!").messages] == ["ask b", "say b"]
    assert edits.drop_oldest_turns(after) == after


def test_the_parameters_of_the_answer_are_those_of_the_request(two: Conversation) -> None:
    cool = SamplingParameters.of({"temperature": 0.1})
    after = edits.add_alternative_reply(two, "b!", "x!", 3.0, cool)
    assert build_chat_request(after, "x!").sampling == cool


def test_a_heading_is_the_title_or_the_first_question(two: Conversation) -> None:
    assert two.heading == "ask a"
    assert replace(two, title="T").heading == "T"
    assert Conversation("c").heading == "new conversation"
    long = edits.add_prompt(Conversation("c"), "q", "word\n " * 100, 1.0)
    assert len(long.heading) == 80


steps = st.lists(
    st.tuples(st.sampled_from(["ask", "edit", "again", "delete", "walk"]), st.integers(0, 99)),
    max_size=25,
)


@given(steps)
def test_whatever_is_done_the_path_is_one_of_the_tree(todo: list[tuple[str, int]]) -> None:
    conversation = Conversation("c")
    for number, (what, which) in enumerate(todo):
        turns = list(conversation.turns.values())
        chosen = turns[which % len(turns)] if turns else None
        if what == "ask" or chosen is None:
            if conversation.path[-1:] and conversation.path[-1].role is Role.USER:
                conversation = edits.with_reply(conversation, f"{number}", 1.0)
            else:
                conversation = edits.add_prompt(conversation, f"{number}", "text", 1.0)
        elif what == "edit" and chosen.role is Role.USER:
            conversation = edits.edit_prompt(conversation, chosen.id, f"{number}", "text", 1.0)
        elif what == "again" and chosen.role is Role.ASSISTANT:
            conversation = edits.add_alternative_reply(conversation, chosen.id, f"{number}", 1.0)
        elif what == "delete":
            conversation = edits.delete_turn(conversation, chosen.id)
        elif what == "walk":
            conversation = edits.switch_branch(conversation, chosen.id, which)
        path = conversation.path
        assert bool(path) == bool(conversation.turns)
        assert all(turn.parent in {"", *conversation.turns} for turn in conversation.turns.values())
        assert all(before.role is not after.role for before, after in zip(path, path[1:]))  # noqa: B905, RUF007
