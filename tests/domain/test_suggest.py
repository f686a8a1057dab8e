import time

from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.models import Model, find_model
from aitui.domain.suggest import nearest

KNOWN = ["Qwen_Qwen3.6-35B-A3B-Q8_0", "MiniMax-M2.7-IQ3_XXS", "gpt-oss-120b-mxfp4", "embed-small"]


def test_a_slip_finds_the_id() -> None:
    assert nearest("embed-smal1", KNOWN) == ("embed-small",)


def test_case_does_not_count() -> None:
    assert nearest("GPT-OSS-120B-MXFP5", KNOWN)[0] == "gpt-oss-120b-mxfp4"


def test_ids_that_hold_the_word_come_first_the_shortest_before() -> None:
    known = ["qwen3", "my-qwen3-8b", "qwen3-8b", "qwen2-8b"]
    assert nearest("qwen3-8", known) == ("qwen3-8b", "my-qwen3-8b", "qwen3")


def test_nothing_alike_finds_nothing() -> None:
    assert nearest("zzz", KNOWN) == ()


def test_blank_finds_nothing() -> None:
    assert nearest("  ", KNOWN) == ()


def test_ids_that_differ_in_case_only_are_both_found() -> None:
    assert nearest("abc", ["ABC", "Abc"]) == ("ABC", "Abc")


@given(st.text(), st.lists(st.text()), st.integers(0, 5))
def test_the_nearest_are_known_distinct_and_no_more_than_asked(
    wanted: str, known: list[str], limit: int
) -> None:
    found = nearest(wanted, known, limit)
    assert len(found) <= limit
    assert len(set(found)) == len(found)
    assert set(found) <= set(known)


def test_a_pasted_page_stalls_nothing() -> None:
    started = time.process_time()
    nearest("x" * 1_000_000, ["y" * 1_000_000, *KNOWN])
    assert time.process_time() - started < 0.5


def test_an_exact_id_is_found() -> None:
    models = [Model("a"), Model("b")]
    assert find_model("b", models) is models[1]


def test_an_alias_is_as_good_as_an_id() -> None:
    model = Model("qwen3-8b", aliases=("gpt-4o-mini", "qwen"))
    assert find_model("qwen", [Model("a"), model]) is model


def test_an_id_goes_before_an_alias() -> None:
    model = Model("qwen")
    assert find_model("qwen", [Model("qwen3-8b", aliases=("qwen",)), model]) is model


def test_nothing_fuzzy_is_found() -> None:
    assert find_model("QWEN", [Model("qwen")]) is None
    assert find_model("qwe", [Model("qwen")]) is None
