"""Whom a request sends away: for certain where the rules are known, else a guess."""

import pytest
from msgspec.structs import replace

from aitui.domain.client_requests import describe_waiting_clients
from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.read_rules import read_swap_rules
from aitui.domain.eviction import predict_victims
from aitui.domain.hardware.sample import Gpu, HardwareSample, SampleSource
from aitui.domain.memory.forecast import ModelMemory
from aitui.domain.memory.hardware_state import HardwareState
from aitui.domain.memory.launch_profile import LaunchProfile
from aitui.domain.memory.measurement import Measurement, MemoryRecords
from aitui.domain.memory.usage import memory_usage
from aitui.domain.models import ActiveRequest, ActiveRequests, Model, ModelKind, RunState
from aitui.domain.release import ServerRelease
from aitui.domain.snapshot import Snapshot
from aitui.services.chat_setup import chat_confirmation
from aitui.services.load import load_confirmation

MODELS = "models: {a: {cmd: x}, b: {cmd: x}, c: {cmd: x}, small: {cmd: x, aliases: [s]}}\n"
GROUPS = "groups: {g: {exclusive: false, swap: false, members: [small]}}\n"
KEPT = "groups: {g: {persistent: true, members: [small]}}\n"
SETS = "matrix: {sets: {s: (a & b) | (a & c)}}\n"
BELOW_ROUTING = (
    "routing: {router: {settings: {groups: {g: {exclusive: false, members: [small]}}}}}\n"
)


def standing(
    text: str | None,
    *models: Model,
    version: str = "218",
    routes: tuple[int, int | None] = (0, None),
) -> Snapshot:
    listed = {name: Model(name) for name in ("a", "b", "c", "small")}
    listed |= {model.id: model for model in models}
    rules = None if text is None else read_swap_rules(ConfigDocument.read(MODELS + text))
    assert (rules is None) is (text is None)
    release = ServerRelease(*routes).narrow(version)
    return Snapshot(models=tuple(listed.values()), release=release, swap_rules=rules)


def told(wanted: str, snapshot: Snapshot) -> dict[str, bool]:
    """The victims, and whether they are certain."""
    model = snapshot.model(wanted)
    assert model is not None
    return {victim.model.id: victim.certain for victim in predict_victims(model, snapshot)}


def ready(name: str) -> Model:
    return Model(name, state=RunState.READY)


def test_without_the_rules_it_is_a_guess() -> None:
    assert told("a", standing(None, ready("b"), ready("small"))) == {"b": False, "small": False}


def test_with_the_rules_it_is_certain_and_whoever_stays_is_not_named() -> None:
    assert told("a", standing(GROUPS, ready("b"), ready("small"))) == {"b": True, "small": True}
    assert told("small", standing(GROUPS, ready("b"))) == {}


def test_what_was_seen_counts_only_where_the_rules_are_unknown() -> None:
    seen = frozenset({frozenset({"a", "b"})})
    assert told("a", replace(standing(None, ready("b")), companions=seen)) == {}
    assert told("a", replace(standing(GROUPS, ready("b")), companions=seen)) == {"b": True}


def test_a_model_that_the_file_does_not_know_makes_it_a_guess() -> None:
    assert told("a", standing(GROUPS, ready("new"))) == {"new": False}
    assert told("new", standing(GROUPS, Model("new"), ready("small"))) == {"small": False}


def test_a_state_that_nobody_knows_makes_it_a_guess() -> None:
    asleep = Model("c", state=RunState.UNKNOWN)
    assert told("a", standing(GROUPS, asleep, ready("b"))) == {"b": False}


def test_an_unlisted_model_is_one_like_the_others() -> None:
    hidden = Model("small", state=RunState.READY, unlisted=True)
    assert told("a", standing(GROUPS, hidden)) == {"small": True}


def test_one_that_stops_already_needs_nobody_to_send_it_away() -> None:
    stopping = Model("b", state=RunState.STOPPING)
    assert told("a", standing(GROUPS, stopping, ready("c"))) == {"c": True}


def test_one_that_starts_costs_nobody_anything_more() -> None:
    starting = Model("a", state=RunState.STARTING)
    assert told("a", standing(GROUPS, starting, ready("small"))) == {}


def test_a_matrix_says_it_for_certain_where_nothing_is_weighed() -> None:
    assert told("c", standing(SETS, ready("a"), ready("b"))) == {"b": True}
    assert told("small", standing(SETS, ready("a"), ready("b"))) == {"a": True, "b": True}


@pytest.mark.parametrize(
    ("version", "certain"),
    [("217", True), ("218", True), ("v250", True), ("251", False), ("local_0bdb372", False)],
)
def test_what_is_weighed_is_certain_at_servers_that_weigh_by_the_file(
    version: str, certain: bool
) -> None:
    snapshot = standing(SETS, ready("b"), ready("c"), version=version)
    assert told("a", snapshot) == {"c": certain}
    facts = load_confirmation("a", snapshot).lines
    assert (facts[0] == "≈ evicts c") is not certain
    assert any("the config file alone" in fact for fact in facts) is not certain


@pytest.mark.parametrize(
    ("version", "routes", "certain"),
    [
        ("218", (0, 236), False),
        ("", (0, 236), False),
        ("250", (0, 259), True),
        ("local_0bdb372", (236, 252), True),
    ],
)
def test_a_server_that_ignores_routing_runs_by_other_rules(
    version: str, routes: tuple[int, int], certain: bool
) -> None:
    snapshot = standing(BELOW_ROUTING, ready("b"), version=version, routes=routes)
    assert told("a", snapshot) == {"b": certain}
    assert bool(told("small", snapshot)) is not certain


def test_a_certain_victim_is_named_without_a_doubt() -> None:
    facts = load_confirmation("a", standing(GROUPS, ready("b"))).lines
    assert facts[0] == "evicts b"
    assert not any("≈" in fact for fact in facts)


def test_who_costs_nobody_anything_is_loaded_without_a_question() -> None:
    assert not load_confirmation("small", standing(GROUPS, ready("b"))).needed


def test_only_the_memory_of_whoever_goes_becomes_free() -> None:
    snapshot = standing(KEPT, ready("b"), ready("small"))
    taken = {"a": 16 << 30, "b": 20 << 30, "small": 10 << 30}
    known = {name: Measurement(32_768, size, setup="same") for name, size in taken.items()}
    card = Gpu(0, "A card", used_bytes=50 << 30, total_bytes=64 << 30)
    picture = memory_usage(
        HardwareSample(1.0, SampleSource.SERVER, (card,)),
        snapshot.models,
        expected={name: one.footprint for name, one in known.items()},
    )
    memories = {
        name: ModelMemory(LaunchProfile(fingerprint="same"), MemoryRecords((one,)))
        for name, one in known.items()
    }
    facts = load_confirmation(
        "a", replace(snapshot, hardware=HardwareState(picture, models=memories))
    )
    assert "14 GB free now, 34 GB after unloading" in " ".join(facts.facts)


def test_a_chat_with_a_ready_model_asks_where_its_group_excludes_another() -> None:
    question = chat_confirmation("a", standing(GROUPS, ready("a"), ready("small")))
    assert question.needed
    assert question.yes == "Send"
    assert question.lines[0] == "evicts small"
    assert not chat_confirmation("small", standing(GROUPS, ready("a"), ready("small"))).needed


def test_a_chat_with_a_peer_costs_nobody_anything() -> None:
    peer = Model("p", kind=ModelKind.PEER)
    assert not chat_confirmation("p", standing(GROUPS, peer, ready("b"))).needed


def test_whom_somebody_who_waits_will_evict_is_told_without_a_doubt() -> None:
    running = (ActiveRequest("1", "s", client="10.0.0.9"),)
    alone = standing(GROUPS, ready("b"))
    assert describe_waiting_clients(replace(alone, requests=ActiveRequests(1, running))) == ()
    aliased = replace(Model("small"), aliases=("s",))
    snapshot = replace(standing(GROUPS, aliased, ready("b")), requests=ActiveRequests(1, running))
    assert describe_waiting_clients(snapshot) == ("10.0.0.9 waits for small",)
    running = (ActiveRequest("1", "c", client="10.0.0.9"),)
    snapshot = replace(snapshot, requests=ActiveRequests(1, running))
    assert describe_waiting_clients(snapshot) == ("10.0.0.9 waits for c, which evicts b",)
