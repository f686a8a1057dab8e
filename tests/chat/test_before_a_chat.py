"""What a chat would cost whom, asked and refused before it is sent."""

from dataclasses import replace

import pytest

from aitui.commands.chat import (
    may_chat,
    model_to_chat_with,
    question_before_chat,
    refuse_to_evict,
)
from aitui.commands.session import Session
from aitui.domain.model import Kind, Model, RunState
from aitui.domain.snapshot import Snapshot
from aitui.errors import AituiError, NoSuchModel, Refused
from catalogue import QUICK, STEADY
from other_client import OtherClient
from watched import Watched, no, nobody, yes

A = Model("a", aliases=("first",))
B = Model("b")


def ready(model: Model) -> Model:
    return replace(model, state=RunState.READY)


def snapshot(*models: Model) -> Snapshot:
    return Snapshot(models=models)


def test_a_model_is_named_by_id_or_alias() -> None:
    assert model_to_chat_with("first", snapshot(A, B)) == A
    with pytest.raises(NoSuchModel):
        model_to_chat_with("c", snapshot(A, B))


def test_without_a_name_it_is_the_loaded_one() -> None:
    assert model_to_chat_with("", snapshot(A, ready(B))).id == "b"


def test_or_the_one_that_is_about_to_be() -> None:
    starting = replace(B, state=RunState.STARTING)
    assert model_to_chat_with("", snapshot(A, starting)).id == "b"


@pytest.mark.parametrize("models", [(A, B), (ready(A), ready(B))])
def test_none_or_several_need_a_name(models: tuple[Model, ...]) -> None:
    with pytest.raises(AituiError, match="-m ID"):
        model_to_chat_with("", snapshot(*models))


def test_a_chat_with_a_loaded_model_needs_no_question() -> None:
    assert not question_before_chat("b", snapshot(A, ready(B))).needed


def test_a_chat_that_evicts_asks_and_names_the_victim() -> None:
    question = question_before_chat("a", snapshot(A, ready(B)))
    assert question.needed
    assert "evicts b" in question.facts[0]


def test_a_peer_evicts_nothing_here() -> None:
    peer = Model("p", kind=Kind.PEER)
    assert not question_before_chat("p", snapshot(peer, ready(B))).needed


async def test_somebody_who_says_no_sends_nothing(watch: Watched, other: OtherClient) -> None:
    await other.load(STEADY)
    await watch.until_state(STEADY, RunState.READY)
    asked = no(watch)
    assert not await may_chat(watch.session, QUICK, asked)
    assert STEADY in asked.questions[0].facts[0]
    assert await may_chat(watch.session, QUICK, yes(watch))


async def test_where_nothing_is_loaded_nobody_is_asked(watch: Watched) -> None:
    assert await may_chat(watch.session, QUICK, nobody)


async def test_read_only_loads_nothing(watch: Watched, other: OtherClient) -> None:
    session = replace(watch.session, server=replace(watch.session.server, read_only=True))
    with pytest.raises(Refused, match="read-only"):
        await may_chat(session, QUICK, nobody)
    await other.load(QUICK)
    await watch.until_state(QUICK, RunState.READY)
    assert await may_chat(session, QUICK, nobody)


async def test_who_cannot_ask_is_refused_with_the_victim(
    watch: Watched, other: OtherClient
) -> None:
    await other.load(STEADY)
    await watch.until_state(STEADY, RunState.READY)
    session: Session = watch.session
    quick = session.snapshot.model(QUICK)
    assert quick is not None
    with pytest.raises(Refused, match=STEADY):
        refuse_to_evict(session, quick)
