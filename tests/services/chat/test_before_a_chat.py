"""What a chat would cost whom, asked and refused before it is sent."""

import pytest
from msgspec.structs import replace

from aitui.domain.models import Model, ModelKind, RunState
from aitui.domain.snapshot import Snapshot
from aitui.errors import ActionRefused, AituiError, NoSuchModel
from aitui.services.chat_setup import (
    chat_confirmation,
    confirm_chat,
    refuse_to_evict,
    resolve_chat_model,
)
from aitui.services.session import Session
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
    assert resolve_chat_model("first", snapshot(A, B)) == A
    with pytest.raises(NoSuchModel):
        resolve_chat_model("c", snapshot(A, B))


def test_without_a_name_it_is_the_loaded_one() -> None:
    assert resolve_chat_model("", snapshot(A, ready(B))).id == "b"


def test_or_the_one_that_is_about_to_be() -> None:
    starting = replace(B, state=RunState.STARTING)
    assert resolve_chat_model("", snapshot(A, starting)).id == "b"


@pytest.mark.parametrize("models", [(A, B), (ready(A), ready(B))])
def test_none_or_several_need_a_name(models: tuple[Model, ...]) -> None:
    with pytest.raises(AituiError, match="-m ID"):
        resolve_chat_model("", snapshot(*models))


def test_a_chat_with_a_loaded_model_needs_no_question() -> None:
    assert not chat_confirmation("b", snapshot(A, ready(B))).needed


def test_a_chat_that_evicts_asks_and_names_the_victim() -> None:
    question = chat_confirmation("a", snapshot(A, ready(B)))
    assert question.needed
    assert "evicts b" in question.lines[0]


def test_a_peer_evicts_nothing_here() -> None:
    peer = Model("p", kind=ModelKind.PEER)
    assert not chat_confirmation("p", snapshot(peer, ready(B))).needed


async def test_somebody_who_says_no_sends_nothing(watch: Watched, other: OtherClient) -> None:
    await other.load(STEADY)
    await watch.until_state(STEADY, RunState.READY)
    asked = no(watch)
    assert not await confirm_chat(watch.session, QUICK, asked)
    assert STEADY in asked.questions[0].lines[0]
    assert await confirm_chat(watch.session, QUICK, yes(watch))


async def test_where_nothing_is_loaded_nobody_is_asked(watch: Watched) -> None:
    assert await confirm_chat(watch.session, QUICK, nobody)


async def test_read_only_loads_nothing(watch: Watched, other: OtherClient) -> None:
    session = replace(watch.session, server=replace(watch.session.server, read_only=True))
    with pytest.raises(ActionRefused, match="read-only"):
        await confirm_chat(session, QUICK, nobody)
    await other.load(QUICK)
    await watch.until_state(QUICK, RunState.READY)
    assert await confirm_chat(session, QUICK, nobody)


async def test_who_cannot_ask_is_refused_with_the_victim(
    watch: Watched, other: OtherClient
) -> None:
    await other.load(STEADY)
    await watch.until_state(STEADY, RunState.READY)
    session: Session = watch.session
    quick = session.snapshot.model(QUICK)
    assert quick is not None
    with pytest.raises(ActionRefused, match=STEADY):
        refuse_to_evict(session, quick)
