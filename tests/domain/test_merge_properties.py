from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from aitui.domain.merge import ModelFacts, count_models, merge_models
from aitui.domain.models import (
    MAX_MODELS,
    ActiveRequest,
    ActiveRequests,
    ContextSize,
    ListedModel,
    Model,
    ModelKind,
    ModelStatus,
    RunningModel,
    RunState,
)

COMMAND = "/opt/llama.cpp/llama-server --port 18407\n--ctx-size 4096 --alias qwen3-8b\n"


def listed(*ids: str) -> tuple[ListedModel, ...]:
    return tuple(ListedModel(model_id) for model_id in ids)


def running(model_id: str, command: str = "") -> RunningModel:
    return RunningModel(model_id, RunState.READY, command)


def test_nothing_new_gives_the_same_tuple() -> None:
    facts = ModelFacts(listed("a", "b"), (running("a", command=COMMAND),))
    before = merge_models(facts, (), 1.0)
    again = ModelFacts(listed("a", "b"), (running("a", command=COMMAND),))
    assert merge_models(again, before, 2.0) is before


def test_only_the_model_that_changed_is_a_new_object() -> None:
    before = merge_models(ModelFacts(listed("a", "b", "c")), (), 1.0)
    after = merge_models(ModelFacts(listed("a", "b", "c"), (running("b"),)), before, 2.0)
    assert [new is old for new, old in zip(after, before, strict=True)] == [True, False, True]


def test_another_order_moves_the_same_objects() -> None:
    before = merge_models(ModelFacts(listed("a", "b")), (), 1.0)
    after = merge_models(ModelFacts(listed("b", "a")), before, 2.0)
    assert after[0] is before[1]
    assert after[1] is before[0]


def test_a_model_that_is_gone_leaves_the_others_as_they_are() -> None:
    before = merge_models(ModelFacts(listed("a", "b")), (), 1.0)
    after = merge_models(ModelFacts(listed("b")), before, 2.0)
    assert after == (before[1],)
    assert after[0] is before[1]


ids = st.sampled_from(["a", "b", "c", "qwen3", "m-00002-of-00002", "alias", "ä/ ☃"])
names = st.sampled_from(["", "Qwen3", "plain"])
states = st.sampled_from(list(RunState))
aliases = st.lists(ids, max_size=2).map(tuple)
facts_of_any_server = st.builds(
    ModelFacts,
    listed=st.lists(
        st.builds(
            ListedModel,
            id=ids,
            name=names,
            kind=st.sampled_from(list(ModelKind)),
            aliases=aliases,
            targets=aliases,
            context_length=st.none() | st.integers(-1, 9),
        )
    ).map(tuple),
    running=st.lists(
        st.builds(RunningModel, id=ids, state=states, command=st.sampled_from(["", COMMAND, "-c"]))
    ).map(tuple),
    statuses=st.lists(
        st.builds(ModelStatus, id=ids, state=states, aliases=aliases, unlisted=st.booleans())
    ).map(tuple),
    requests=st.builds(
        ActiveRequests,
        total=st.none() | st.integers(0, 3),
        running=st.none()
        | st.lists(st.builds(ActiveRequest, id=st.text(max_size=2), model=ids)).map(tuple),
    ),
    last_used=st.dictionaries(ids, st.floats(0, 9)),
    requested=st.dictionaries(ids, st.floats(0, 9)),
    running_lists_only_ready=st.booleans(),
)


@given(facts_of_any_server, facts_of_any_server)
def test_merging_the_same_facts_again_changes_nothing(
    first: ModelFacts, second: ModelFacts
) -> None:
    models = merge_models(second, merge_models(first, (), 1.0), 2.0)
    assert merge_models(second, models, 3.0) is models


@given(facts_of_any_server, facts_of_any_server)
def test_what_was_before_matters_to_times_and_the_last_context_alone(
    first: ModelFacts, second: ModelFacts
) -> None:
    fresh = merge_models(second, (), 2.0)
    after = merge_models(second, merge_models(first, (), 1.0), 2.0)
    assert [_without_memory(model) for model in after] == [
        _without_memory(model) for model in fresh
    ]


def _without_memory(model: Model) -> Model:
    context = model.context if model.command else ContextSize()
    return replace(model, since=0.0, dated=True, last_used=None, context=context)


@given(facts_of_any_server)
def test_every_id_appears_once(facts: ModelFacts) -> None:
    models = merge_models(facts, (), 0.0)
    assert len({model.id for model in models}) == len(models)


@given(facts_of_any_server)
def test_every_running_model_appears(facts: ModelFacts) -> None:
    assert {entry.id for entry in facts.running} <= {
        model.id for model in merge_models(facts, (), 0.0)
    }


@given(facts_of_any_server)
def test_no_alias_is_the_id_of_another_model(facts: ModelFacts) -> None:
    models = merge_models(facts, (), 0.0)
    shown = {model.id for model in models}
    assert not [model for model in models if shown & set(model.aliases) - {model.id}]


def test_a_very_long_list_is_cut_but_what_runs_or_is_waited_for_stays() -> None:
    many = listed(*(f"author/Qwen3.6-35B-A3B-Q8_0-{n}" for n in range(100_000)))
    runs, waited_for = many[70_000].id, many[80_000].id
    facts = ModelFacts(many, (running(runs, command=COMMAND),), requested={waited_for: 1.0})
    models = merge_models(facts, (), 1.0)
    assert [model.id for model in models[:MAX_MODELS]] == [each.id for each in many[:MAX_MODELS]]
    assert [model.id for model in models[MAX_MODELS:]] == [runs, waited_for]
    assert not any(model.unlisted for model in models)
    assert count_models(facts) == 100_000
    assert merge_models(facts, models, 2.0) is models
