"""Who has to go for whom by the matrix of a config file."""

import json
from contextlib import suppress
from itertools import chain, product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.read_rules import MOST_SETS, read_swap_rules
from aitui.domain.config.swap_rules import (
    DEEPEST,
    LONGEST,
    AllOf,
    AnyOf,
    EvictionPlan,
    Expression,
    ModelTerm,
    SetReference,
    SwapMatrix,
    parse_set,
)
from aitui.errors import ConfigRefused

MODELS = "models: {a: {cmd: x, aliases: [first]}, b: {cmd: x}, c: {cmd: x}, d: {cmd: x}}\n"
IDS = ("a", "b", "c", "d")
RECORDINGS = Path(__file__).parents[2] / "recordings" / "llama-swap"


def leaving(sets: str, wanted: str, *running: str, more: str = "") -> EvictionPlan:
    found = read_swap_rules(ConfigDocument.read(f"{MODELS}matrix:\n{more}  sets:\n{sets}"))
    assert found is not None
    answer = found.eviction_plan(wanted, running)
    assert answer is not None
    return answer


def sure(*gone: str) -> EvictionPlan:
    return EvictionPlan(frozenset(gone))


def weighed(*gone: str) -> EvictionPlan:
    return EvictionPlan(frozenset(gone), by_cost=True)


def test_models_of_one_set_run_side_by_side() -> None:
    assert leaving("    s: a & b\n", "a", "b") == sure()


def test_any_part_of_a_set_may_run() -> None:
    assert leaving("    s: a & b & c\n", "a", "c") == sure()


def test_of_alternatives_one_runs() -> None:
    assert leaving("    s: (a | b) & c\n", "a", "b", "c") == sure("b")


def test_and_binds_tighter_than_or() -> None:
    assert leaving("    s: a | b & c\n", "a", "b", "c") == sure("b", "c")
    assert leaving("    s: a | b & c\n", "b", "c") == sure()


def test_a_model_in_no_set_runs_alone() -> None:
    assert leaving("    s: a & b\n", "d", "a", "b") == sure("a", "b")
    assert leaving("    s: a & b\n", "a", "b", "d") == sure("d")


def test_a_model_that_runs_already_costs_nobody_anything() -> None:
    assert leaving("    s: a\n", "a", "a", "b") == sure()


def test_a_set_can_be_made_of_others_wherever_they_stand() -> None:
    assert leaving("    all: +two & c\n    two: a | b\n", "a", "b", "c") == sure("b")


def test_short_names_stand_for_models_and_win_over_their_ids() -> None:
    more = "  vars: {x: a, b: c}\n"
    assert leaving("    s: x & b\n", "a", "c", more=more) == sure()
    assert leaving("    s: x & b\n", "a", "b", more=more) == sure("b")


def test_the_cheapest_go() -> None:
    sets = "    s: (a & b) | (a & c)\n"
    assert leaving(sets, "a", "b", "c", more="  evict_costs: {b: 10}\n") == weighed("c")
    assert leaving(sets, "a", "b", "c", more="  evict_costs: {c: 10}\n") == weighed("b")


def test_of_equal_costs_the_first_combination_is_taken() -> None:
    assert leaving("    s: (a & b) | (a & c)\n", "a", "b", "c") == weighed("c")
    assert leaving("    s: (a & c)\n    t: (a & b)\n", "a", "b", "c") == weighed("b")


def test_nothing_is_weighed_where_one_combination_keeps_whatever_another_would() -> None:
    assert leaving("    s: (a & b) | (a & b & c)\n", "a", "b", "c") == sure()


def test_a_matrix_below_routing_is_as_good_as_at_the_top() -> None:
    matrix = "{vars: {x: b}, sets: {s: a & x}}"
    text = f"routing: {{router: {{use: matrix, settings: {{matrix: {matrix}}}}}}}\n"
    found = read_swap_rules(ConfigDocument.read(MODELS + text))
    assert found is not None
    assert found.in_routing
    assert found.eviction_plan("first", ["b", "c"]) == sure("c")


def test_a_set_that_others_refer_to_counts_as_one_of_its_own() -> None:
    assert leaving("    s: +t & c\n    t: a & b\n", "a", "b", "c") == sure()


@pytest.mark.parametrize("build", ["v217", "v218", "2026-08-head"])
def test_a_matrix_swaps_as_a_server_was_seen_to(build: str) -> None:
    text = (RECORDINGS / "config" / f"{build}-matrix.yaml").read_text()
    found = read_swap_rules(ConfigDocument.read(text))
    assert found is not None
    assert found.in_routing is (build == "2026-08-head")
    two = recorded_running(build, "two")
    for wanted, recording in (
        ("slow-start", "after_swap_q_to_s"),
        ("slow-load", "after_model_in_no_set"),
    ):
        answer = found.eviction_plan(wanted, two)
        assert answer is not None
        assert not answer.by_cost
        after = recorded_running(build, recording)
        assert two - answer.models | {wanted} == after
        two = after


def recorded_running(build: str, name: str) -> set[str]:
    """The ids in a recorded answer of `/running`."""
    lines = (RECORDINGS / build / "matrix" / f"running_{name}.txt").read_text().splitlines()
    answer = json.loads(next(line for line in lines if line.startswith("{")))
    return {model["model"] for model in answer["running"]}


REFUSED = (
    "matrix: []\n",
    "matrix: {}\n",
    "matrix: {sets: {}}\n",
    "matrix: {sets: [a]}\n",
    "matrix: {sets: {s: ~}}\n",
    "matrix: {sets: {s: ''}}\n",
    "matrix: {sets: {s: [a]}}\n",
    "matrix: {sets: {s: nobody}}\n",
    "matrix: {sets: {s: first}}\n",
    "matrix: {sets: {s: +t}}\n",
    "matrix: {sets: {s: +s}}\n",
    "matrix: {sets: {s: +t, t: a | +s}}\n",
    "matrix: {sets: {s: a b}}\n",
    "matrix: {sets: {s: a & +auto:rest}}\n",
    "matrix: {sets: {s: '${env.SET}'}}\n",
    "x: &x {s: a}\nmatrix: {sets: {<<: *x}}\n",
    "matrix: {vars: {x: first}, sets: {s: a}}\n",
    "matrix: {vars: {x: ~}, sets: {s: a}}\n",
    "matrix: {vars: {x_y: a}, sets: {s: a}}\n",
    "matrix: {evict_costs: {a: 0}, sets: {s: a}}\n",
    "matrix: {evict_costs: {a: -1}, sets: {s: a}}\n",
    "matrix: {evict_costs: {a: 010}, sets: {s: a}}\n",
    "matrix: {evict_costs: {a: much}, sets: {s: a}}\n",
    "matrix: {evict_costs: {a: 9999999999999999999999}, sets: {s: a}}\n",
    "matrix: {evict_costs: {nobody: 2}, sets: {s: a}}\n",
    "matrix: {vars: {x: a}, evict_costs: {x: 2, a: 3}, sets: {s: a}}\n",
    "matrix: {sets: {s: a}, learnt_later: true}\n",
    f"matrix: {{sets: {{{', '.join(f's{number}: a' for number in range(MOST_SETS + 1))}}}}}\n",
)


def test_what_llama_swap_refuses_or_may_read_otherwise_gives_no_rules() -> None:
    for text in REFUSED:
        assert read_swap_rules(ConfigDocument.read(MODELS + text)) is None, text


def test_too_many_combinations_leave_everything_open() -> None:
    wide = " & ".join(f"({name}0 | {name}1)" for name in "abcdefghijklmnopqr")
    models = [f"{name}{number}" for name in "abcdefghijklmnopqr" for number in (0, 1)]
    assert SwapMatrix({"s": parse_set(wide)}, {}, {}).eviction_plan("a0", models[1:]) is None


def test_a_few_that_run_are_found_in_a_set_of_many() -> None:
    wide = " & ".join(f"({name}0 | {name}1)" for name in "abcdefghijklmnopqr")
    assert SwapMatrix({"s": parse_set(wide)}, {}, {}).eviction_plan("a0", ["a1", "b0"]) == sure(
        "a1"
    )


@pytest.mark.parametrize(
    "text",
    ["", "  ", "&", "a &", "| a", "a b", "(a", "a)", "()", "a + b", "+", "a, b", "a && b", "a\0",
     "(" * (DEEPEST + 1) + "a" + ")" * (DEEPEST + 1), "a | " * LONGEST + "a"],
)  # fmt: skip
def test_what_is_no_set_is_refused(text: str) -> None:
    with pytest.raises(ConfigRefused):
        parse_set(text)


@given(st.text(alphabet="ab&|()+ -_.é½\n", max_size=60))
def test_any_text_is_a_set_or_refused(text: str) -> None:
    with suppress(ConfigRefused):
        parse_set(text)


_leaves = st.builds(ModelTerm, st.sampled_from(IDS)) | st.builds(SetReference, st.just("s"))
_expressions = st.recursive(
    _leaves,
    lambda inner: (
        st.builds(AllOf, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


def written(expression: Expression) -> str:
    match expression:
        case ModelTerm(name):
            return name
        case SetReference(name):
            return f"+{name}"
        case AllOf(parts):
            return " & ".join(_bracketed(part) for part in parts)
        case AnyOf(parts):
            return "|".join(_bracketed(part) for part in parts)


def _bracketed(expression: Expression) -> str:
    text = written(expression)
    return text if isinstance(expression, ModelTerm | SetReference) else f"( {text})"


def written_out(expression: Expression, of_set: list[frozenset[str]]) -> list[frozenset[str]]:
    """Every combination in full, one after the other."""
    match expression:
        case ModelTerm(name):
            return [frozenset({name})]
        case SetReference(_):
            return of_set
        case AnyOf(parts):
            return list(chain.from_iterable(written_out(part, of_set) for part in parts))
        case AllOf(parts):
            choices = (written_out(part, of_set) for part in parts)
            return [frozenset().union(*chosen) for chosen in product(*choices)]


@given(_expressions)
def test_an_expression_is_read_as_it_was_written(expression: Expression) -> None:
    assert parse_set(written(expression)) == expression


@given(
    _expressions,
    st.sampled_from(IDS),
    st.sets(st.sampled_from(IDS)),
    st.dictionaries(st.sampled_from(IDS), st.integers(1, 3)),
)
def test_it_is_the_first_of_the_cheapest_when_all_are_written_out(
    expression: Expression, wanted: str, running: set[str], costs: dict[str, int]
) -> None:
    others = running - {wanted}
    two = [frozenset("ab"), frozenset("c")]
    sets = {"s": AnyOf((AllOf((ModelTerm("a"), ModelTerm("b"))), ModelTerm("c"))), "t": expression}
    every = [one for one in two + written_out(expression, two) if wanted in one]
    answer = SwapMatrix(sets, {}, costs).eviction_plan(wanted, others)
    assert answer is not None
    if not every:
        assert answer == EvictionPlan(frozenset(others))
        return
    best = min(every, key=lambda one: sum(costs.get(name, 1) for name in others - one))
    assert answer.models == others - best
    assert answer.by_cost == any(not (one & others) <= best for one in every)
