from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from aitui.domain.merge import ModelFacts, merge_models
from aitui.domain.models import (
    ActiveRequest,
    ActiveRequests,
    ContextSize,
    ContextSource,
    ListedModel,
    LoadFailure,
    Model,
    ModelKind,
    ModelStatus,
    RunningModel,
    RunState,
)

COMMAND = "/opt/llama.cpp/llama-server --port 18407\n--ctx-size 4096 --alias qwen3-8b\n--model /m/Q.gguf\n"


def listed(*ids: str) -> tuple[ListedModel, ...]:
    return tuple(ListedModel(model_id) for model_id in ids)


def running(model_id: str, state: RunState = RunState.READY, command: str = "") -> RunningModel:
    return RunningModel(model_id, state, command)


def status(
    model_id: str, state: RunState = RunState.STOPPED, unlisted: bool = False
) -> ModelStatus:
    return ModelStatus(model_id, state, unlisted=unlisted)


def only(facts: ModelFacts, previous: tuple[Model, ...] = (), now: float = 0.0) -> Model:
    (model,) = merge_models(facts, previous, now)
    return model


def by_id(models: tuple[Model, ...]) -> Mapping[str, Model]:
    return {model.id: model for model in models}


def test_a_listed_model_that_does_not_run_is_stopped() -> None:
    assert only(ModelFacts(listed("a"))).state is RunState.STOPPED


@pytest.mark.parametrize("state", list(RunState))
def test_running_is_the_truth_about_the_state(state: RunState) -> None:
    facts = ModelFacts(listed("a"), (running("a", state),), (status("a", RunState.STARTING),))
    assert only(facts).state is state


@pytest.mark.parametrize("state", list(RunState))
def test_a_status_is_no_proof_that_a_model_runs(state: RunState) -> None:
    assert only(ModelFacts(listed("a"), (), (status("a", state),))).state is RunState.STOPPED


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (RunState.STARTING, RunState.STARTING),
        (RunState.STOPPING, RunState.STOPPING),
        (RunState.READY, RunState.STOPPED),
    ],
)
def test_where_running_lists_only_ready_models_a_status_tells_the_transit(
    told: RunState, state: RunState
) -> None:
    facts = ModelFacts(listed("a"), (), (status("a", told),), running_lists_only_ready=True)
    assert only(facts).state is state


def test_what_running_tells_is_taken_over() -> None:
    entry = RunningModel("a", RunState.READY, COMMAND, "http://localhost:18407", 600)
    model = only(ModelFacts(listed("a"), (entry,)))
    assert (model.command, model.proxy, model.ttl) == (COMMAND, "http://localhost:18407", 600)


def test_names_come_from_the_list_before_the_status_before_running() -> None:
    entry = replace(running("a"), name="running", description="running")
    told = replace(status("a"), description="status")
    assert only(ModelFacts((ListedModel("a", name="list"),), (entry,), (told,))).name == "list"
    assert only(ModelFacts(listed("a"), (entry,), (told,))).description == "status"
    assert only(ModelFacts(listed("a"), (entry,))).name == "running"


def test_the_order_is_the_servers_with_unlisted_models_last() -> None:
    facts = ModelFacts(listed("z", "a"), (running("ghost"),), (status("hidden", unlisted=True),))
    assert [model.id for model in merge_models(facts, (), 0)] == ["z", "a", "hidden", "ghost"]


def test_an_unlisted_model_is_marked() -> None:
    facts = ModelFacts(listed("a"), (running("ghost"),), (status("hidden", unlisted=True),))
    models = by_id(merge_models(facts, (), 0))
    assert [models[name].unlisted for name in ("a", "hidden", "ghost")] == [False, True, True]


def test_a_status_that_the_list_does_not_know_is_out_of_date() -> None:
    assert only(ModelFacts(listed("a"), (), (status("removed"),))).id == "a"


def test_before_the_list_is_there_the_statuses_stand_for_it() -> None:
    model = only(ModelFacts((), (running("a"),), (status("a"),)))
    assert not model.unlisted


def test_an_id_that_is_listed_twice_appears_once() -> None:
    first, second = ListedModel("a", name="first"), ListedModel("a", name="second")
    assert only(ModelFacts((first, second))).name == "first"


def test_a_peer_is_told_apart() -> None:
    model = only(ModelFacts((ListedModel("peer1/x", kind=ModelKind.PEER, peer="peer1"),)))
    assert (model.kind, model.peer, model.loadable) == (ModelKind.PEER, "peer1", False)


def test_a_peer_is_known_by_its_status() -> None:
    told = ModelStatus("x", RunState.UNKNOWN, peer="peer1")
    model = only(ModelFacts(listed("x"), (), (told,)))
    assert (model.kind, model.peer) == (ModelKind.PEER, "peer1")


def test_a_selector_keeps_its_targets() -> None:
    selector = ListedModel("warm-any", kind=ModelKind.SELECTOR, targets=("slow-start", "qwen3-8b"))
    model = only(ModelFacts((selector,)))
    assert (model.kind, model.targets) == (ModelKind.SELECTOR, ("slow-start", "qwen3-8b"))


class TestAliases:
    def test_they_come_from_list_and_status(self) -> None:
        told = ModelStatus("q", RunState.STOPPED, aliases=("b", "c"))
        model = only(ModelFacts((ListedModel("q", aliases=("a", "b")),), (), (told,)))
        assert model.aliases == ("a", "b", "c")

    def test_an_entry_marked_as_alias_is_folded_into_its_model(self) -> None:
        alias = ListedModel("gpt-4o-mini", kind=ModelKind.ALIAS)
        owner = ListedModel("qwen3-8b", aliases=("gpt-4o-mini", "qwen"))
        model = only(ModelFacts((alias, owner)))
        assert (model.id, model.aliases) == ("qwen3-8b", ("gpt-4o-mini", "qwen"))

    def test_an_alias_that_names_its_model_is_folded(self) -> None:
        alias = ListedModel("qwen", kind=ModelKind.ALIAS, targets=("qwen3-8b",))
        model = only(ModelFacts((alias, *listed("qwen3-8b"))))
        assert (model.id, model.aliases) == ("qwen3-8b", ("qwen",))

    def test_an_unmarked_entry_that_a_status_claims_is_folded(self) -> None:
        told = ModelStatus("qwen3-8b", RunState.STOPPED, aliases=("gpt-4o-mini", "qwen"))
        model = only(ModelFacts(listed("gpt-4o-mini", "qwen", "qwen3-8b"), (), (told,)))
        assert (model.id, model.aliases) == ("qwen3-8b", ("gpt-4o-mini", "qwen"))

    def test_an_unmarked_entry_is_a_model_until_a_status_claims_it(self) -> None:
        assert len(merge_models(ModelFacts(listed("qwen", "qwen3-8b")), (), 0)) == 2

    def test_a_model_with_a_status_of_its_own_is_not_folded(self) -> None:
        told = ModelStatus("a", RunState.STOPPED, aliases=("b",))
        models = by_id(merge_models(ModelFacts(listed("a", "b"), (), (told, status("b"))), (), 0))
        assert set(models) == {"a", "b"}
        assert models["a"].aliases == ()

    def test_an_alias_of_nobody_stays(self) -> None:
        model = only(ModelFacts((ListedModel("x", kind=ModelKind.ALIAS, targets=("gone",)),)))
        assert model.kind is ModelKind.ALIAS

    def test_two_that_claim_each_other_do_not_both_vanish(self) -> None:
        entries = (ListedModel("a", aliases=("b",)), ListedModel("b", aliases=("a",)))
        assert len(merge_models(ModelFacts(entries), (), 0)) == 1


class TestShards:
    def test_a_later_part_is_hidden(self) -> None:
        assert (
            only(ModelFacts(listed("m-00001-of-00002", "m-00002-of-00002"))).id
            == "m-00001-of-00002"
        )

    def test_one_that_runs_is_shown(self) -> None:
        facts = ModelFacts(listed("m-00002-of-00002"), (running("m-00002-of-00002"),))
        assert only(facts).state is RunState.READY

    def test_one_that_is_waited_for_is_shown(self) -> None:
        facts = ModelFacts(listed("m-00002-of-00002"), requested={"m-00002-of-00002": 1.0})
        assert only(facts).requested == 1.0


class TestContext:
    entry = ListedModel("a", context_length=16384)

    def test_the_running_command_goes_before_all(self) -> None:
        facts = ModelFacts(
            (self.entry,), (running("a", command=COMMAND),), configured_context={"a": 8192}
        )
        assert only(facts).context == ContextSize(4096, ContextSource.RUNNING_COMMAND)

    def test_the_config_file_goes_before_metadata(self) -> None:
        facts = ModelFacts((self.entry,), configured_context={"a": 8192})
        assert only(facts).context == ContextSize(8192, ContextSource.CONFIG_FILE)

    @pytest.mark.parametrize("command", ["llama-server", "llama-server -c 0", "llama-server -c x"])
    def test_a_command_that_does_not_say_leaves_it_to_the_next(self, command: str) -> None:
        facts = ModelFacts((self.entry,), (running("a", command=command),))
        assert only(facts).context == ContextSize(16384, ContextSource.SERVER_METADATA)

    def test_metadata_may_come_with_the_status(self) -> None:
        told = ModelStatus("a", RunState.STOPPED, context_length=2048)
        facts = ModelFacts(listed("a"), (), (told,))
        assert only(facts).context == ContextSize(2048, ContextSource.SERVER_METADATA)

    @pytest.mark.parametrize("nonsense", [0, -1])
    def test_a_size_below_one_says_nothing(self, nonsense: int) -> None:
        entry = ListedModel("a", context_length=nonsense)
        facts = ModelFacts((entry,), configured_context={"a": nonsense})
        assert only(facts).context.source is ContextSource.FALLBACK

    def test_without_any_it_is_the_fallback(self) -> None:
        assert only(ModelFacts(listed("a"))).context == ContextSize(32768, ContextSource.FALLBACK)

    def test_a_new_command_is_read_anew(self) -> None:
        before = merge_models(
            ModelFacts(listed("a"), (running("a", command="llama-server -c 1024"),)), (), 0
        )
        after = only(
            ModelFacts(listed("a"), (running("a", command="llama-server -c 2048"),)), before
        )
        assert after.context.tokens == 2048

    def test_the_size_it_last_ran_with_is_kept_when_it_stops(self) -> None:
        before = merge_models(
            ModelFacts(listed("a"), (running("a", command="llama-server -c 1024"),)), (), 0
        )
        assert only(ModelFacts(listed("a")), before).context == ContextSize(
            1024, ContextSource.LAST_COMMAND
        )

    def test_the_size_it_was_measured_with_before_this_start_counts_until_another_is_told(
        self,
    ) -> None:
        measured = ModelFacts(listed("a"), last_context={"a": 8192})
        last = ContextSize(8192, ContextSource.LAST_COMMAND)
        assert only(measured).context == last
        assert only(measured, merge_models(ModelFacts(listed("a")), (), 0)).context == last
        assert only(replace(measured, configured_context={"a": 4096})).context.tokens == 4096
        ran = merge_models(
            replace(measured, running=(running("a", command="llama-server -c 1024"),)), (), 0
        )
        assert only(measured, ran).context.tokens == 1024

    def test_the_size_it_last_ran_with_is_still_known_after_that(self) -> None:
        running_once = merge_models(
            ModelFacts(listed("a"), (running("a", command="llama-server -c 1024"),)), (), 0
        )
        stopped = merge_models(ModelFacts(listed("a")), running_once, 1)
        assert merge_models(ModelFacts(listed("a")), stopped, 2) is stopped

    def test_the_config_file_beats_the_size_it_last_ran_with(self) -> None:
        before = merge_models(
            ModelFacts(listed("a"), (running("a", command="llama-server -c 1024"),)), (), 0
        )
        after = only(ModelFacts(listed("a"), configured_context={"a": 2048}), before)
        assert after.context == ContextSize(2048, ContextSource.CONFIG_FILE)

    def test_a_command_without_a_size_forgets_the_one_before(self) -> None:
        before = merge_models(
            ModelFacts(listed("a"), (running("a", command="llama-server -c 1024"),)), (), 0
        )
        after = only(ModelFacts(listed("a"), (running("a", command="llama-server"),)), before)
        assert after.context.source is ContextSource.FALLBACK


class TestTimes:
    def test_a_state_counts_from_when_it_was_first_seen(self) -> None:
        assert only(ModelFacts(listed("a")), (), now=5.0).since == 5.0

    def test_a_state_that_stays_keeps_its_time(self) -> None:
        before = merge_models(ModelFacts(listed("a")), (), 5.0)
        assert only(ModelFacts((ListedModel("a", name="new"),)), before, now=9.0).since == 5.0

    def test_a_state_that_changes_counts_anew(self) -> None:
        before = merge_models(ModelFacts(listed("a"), (running("a", RunState.STARTING),)), (), 5.0)
        assert only(ModelFacts(listed("a"), (running("a"),)), before, now=9.0).since == 9.0

    def test_a_ready_model_was_last_used_when_it_became_ready(self) -> None:
        before = merge_models(ModelFacts(listed("a"), (running("a"),)), (), 5.0)
        assert before[0].last_used == 5.0

    def test_a_stopped_model_was_last_used_never(self) -> None:
        assert only(ModelFacts(listed("a")), (), now=5.0).last_used is None

    def test_a_use_that_was_told_counts(self) -> None:
        assert only(ModelFacts(listed("a"), (running("a"),), last_used={"a": 3.0})).last_used == 3.0

    def test_a_use_by_an_alias_counts_for_its_model(self) -> None:
        facts = ModelFacts((ListedModel("a", aliases=("b",)),), last_used={"a": 3.0, "b": 4.0})
        assert only(facts).last_used == 4.0


class TestRequests:
    def test_they_are_counted_by_model(self) -> None:
        under_way = tuple(ActiveRequest(str(n), name) for n, name in enumerate(["a", "alias"]))
        facts = ModelFacts(
            (ListedModel("a", aliases=("alias",)),), requests=ActiveRequests(2, under_way)
        )
        assert only(facts).requests == 2

    def test_none_under_way_is_zero(self) -> None:
        assert only(ModelFacts(listed("a"), requests=ActiveRequests(0, ()))).requests == 0

    def test_a_bare_total_tells_nothing_about_one_model(self) -> None:
        assert only(ModelFacts(listed("a"), requests=ActiveRequests(3))).requests is None


class TestFailure:
    failed = LoadFailure(1.0, "out of memory")

    def test_it_is_kept_while_the_model_is_stopped(self) -> None:
        assert only(ModelFacts(listed("a"), failures={"a": self.failed})).failed is self.failed

    @pytest.mark.parametrize("state", [RunState.STARTING, RunState.READY])
    def test_it_is_dropped_when_the_model_runs_again(self, state: RunState) -> None:
        facts = ModelFacts(listed("a"), (running("a", state),), failures={"a": self.failed})
        assert only(facts).failed is None


class TestReasoning:
    def test_it_is_recognized(self) -> None:
        assert only(ModelFacts(listed("qwen3-8b"))).reasoning

    def test_flags_of_the_running_command_overrule(self) -> None:
        before = merge_models(ModelFacts(listed("qwen3-8b")), (), 0)
        entry = running("qwen3-8b", command="llama-server --reasoning-budget 0")
        assert not only(ModelFacts(listed("qwen3-8b"), (entry,)), before).reasoning

    def test_what_was_seen_overrules(self) -> None:
        before = merge_models(ModelFacts(listed("qwen3-8b")), (), 0)
        facts = ModelFacts(listed("qwen3-8b"), seen_reasoning={"qwen3-8b": False})
        assert not only(facts, before).reasoning


def test_the_expected_load_is_that_of_the_context_size() -> None:
    loads: dict[str, Mapping[int, float]] = {"a": {0: 30.0, 32_768: 29.0}}
    model = only(ModelFacts(listed("a"), expected_loads=loads, requested={"a": 7.0}))
    assert (model.expected_load, model.requested) == (30.0, 7.0)
    for tokens, seconds in ((32_768, 29.0), (262_144, None)):
        facts = ModelFacts(listed("a"), expected_loads=loads, configured_context={"a": tokens})
        assert only(facts).expected_load == seconds


READY = RunState.READY


def ready_facts(ready_at: float | None) -> ModelFacts:
    return ModelFacts((), (running("a"),), (ModelStatus("a", READY, ready_at=ready_at),))


@pytest.mark.parametrize(
    ("before", "ready_at", "since", "dated"),
    [
        (None, None, 100.0, False),
        (None, 40.0, 40.0, True),
        (Model("a", state=READY, since=60.0, dated=False), None, 60.0, False),
        (Model("a", state=READY, since=60.0, dated=False), 40.0, 40.0, True),
        (Model("a", state=READY, since=60.0), 60.7, 60.0, True),
        (Model("a", state=READY, since=60.0), 40.0, 60.0, True),
        (Model("a", state=READY, since=60.0), 90.0, 90.0, True),
        (Model("a", state=RunState.STARTING, since=60.0), None, 100.0, True),
        (Model("a", state=RunState.STARTING, since=60.0), 40.0, 100.0, True),
    ],
)
def test_a_ready_model_is_dated_by_what_was_seen_or_reported(
    before: Model | None, ready_at: float | None, since: float, *, dated: bool
) -> None:
    previous = () if before is None else (before,)
    model = only(ready_facts(ready_at), previous, now=100.0)
    assert (model.since, model.dated) == (since, dated)
    assert model.uptime(110.0) == (110.0 - since if dated else None)


def test_progress_belongs_to_a_load_that_both_report() -> None:
    status = ModelStatus("a", RunState.STARTING, progress=0.5, progress_note="half")
    loads = only(ModelFacts((), (running("a", RunState.STARTING),), (status,)))
    assert (loads.progress, loads.progress_note) == (0.5, "half")
    assert only(ModelFacts((), (running("a"),), (status,)), (loads,)).progress is None


def test_unread_blocks_are_in_the_order_of_the_file() -> None:
    configured = dict.fromkeys(("zeta", "gamma", "alpha", "beta"), ())
    models = merge_models(ModelFacts((ListedModel("old"),), configured=configured), (), 0.0)
    assert [model.id for model in models] == ["old", *configured]


def test_a_block_that_the_server_does_not_list_is_unread() -> None:
    configured = {"a": (), "new": ("n",), "other": ("alias",)}
    listed = (ListedModel("a"), ListedModel("b", aliases=("alias",)))
    models = merge_models(ModelFacts(listed, configured=configured), (), 0.0)
    assert [(model.id, model.unread, model.loadable) for model in models] == [
        ("a", False, True),
        ("b", False, True),
        ("new", True, False),
    ]
    read = (*listed, ListedModel("new"))
    assert not any(
        one.unread for one in merge_models(ModelFacts(read, configured=configured), models, 0.0)
    )
    assert merge_models(ModelFacts(configured=configured), (), 0.0) == ()
