"""Whether it fits: fits, tight, no, unknown; and the largest context that does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.memory.footprint import Footprint
from aitui.domain.memory.forecast import FitVerdict, check_fit, largest_context
from aitui.domain.memory.usage import Headroom

GIB = 1 << 30


def room(free: int | None, after: int | None = None, cards: int = 1) -> Headroom:
    return Headroom(free, free if after is None else after, cards=cards)


def needing(gib: float, context_size: int = 32_768) -> Footprint:
    return Footprint(context_size, round(gib * GIB))


@pytest.mark.parametrize(
    ("needed", "free", "verdict"),
    [
        (10, 24, FitVerdict.FITS),
        (23.4, 24, FitVerdict.TIGHT),
        (24, 24, FitVerdict.TIGHT),
        (24.1, 24, FitVerdict.NO),
        (10, 0, FitVerdict.NO),
    ],
)
def test_the_verdict(needed: float, free: float, verdict: FitVerdict) -> None:
    assert check_fit(needing(needed), room(round(free * GIB))).verdict is verdict


def test_what_will_be_evicted_counts_as_free() -> None:
    found = check_fit(needing(20), room(4 * GIB, after=24 * GIB))
    assert found.verdict is FitVerdict.FITS
    assert (found.free, found.free_after) == (4 * GIB, 24 * GIB)


def test_each_card_wants_some_room_to_spare() -> None:
    assert check_fit(needing(23), room(24 * GIB, cards=1)).verdict is FitVerdict.FITS
    assert check_fit(needing(23), room(24 * GIB, cards=4)).verdict is FitVerdict.TIGHT


def test_what_is_not_known_is_not_guessed() -> None:
    assert check_fit(None, room(24 * GIB)).verdict is FitVerdict.UNKNOWN
    assert check_fit(needing(2), room(None)).verdict is FitVerdict.UNKNOWN


def test_as_much_as_once_died_does_not_fit_whatever_the_figures_say() -> None:
    assert check_fit(needing(2, 40_000), room(24 * GIB), failed_at=40_000).verdict is FitVerdict.NO
    assert (
        check_fit(needing(2, 39_000), room(24 * GIB), failed_at=40_000).verdict is FitVerdict.FITS
    )


def test_it_says_at_which_context_it_died() -> None:
    assert check_fit(None, room(None), context_size=50_000, failed_at=40_000).failed_at == 40_000
    assert check_fit(None, room(None), context_size=30_000, failed_at=40_000).failed_at is None


def linear(context_size: int) -> Footprint | None:
    return Footprint(context_size, 2 * GIB + context_size * 65_536)


def test_the_largest_context_is_the_last_that_fits_without_being_tight() -> None:
    found = check_fit(linear(4096), room(8 * GIB), footprint_at=linear, longest=262_144)
    size = found.largest_context
    assert size is not None
    assert check_fit(linear(size), room(8 * GIB)).verdict is FitVerdict.FITS
    assert check_fit(linear(size + 256), room(8 * GIB)).verdict is FitVerdict.TIGHT


def test_the_largest_context_is_not_beyond_the_model_s_own() -> None:
    assert largest_context(linear, 1000 * GIB, 32_768) == 32_768


def test_the_largest_context_stays_below_what_once_died() -> None:
    found = check_fit(
        linear(4096), room(100 * GIB), failed_at=20_000, footprint_at=linear, longest=262_144
    )
    assert (found.largest_context, found.limit) == (
        19_968,
        "it ran out of memory with 20,000",
    )


def test_what_bounds_the_largest_context_is_named_unless_it_is_memory() -> None:
    ample = check_fit(linear(4096), room(1000 * GIB), footprint_at=linear, longest=32_768)
    assert (ample.largest_context, ample.limit) == (32_768, "the training limit")
    short = check_fit(linear(4096), room(8 * GIB), footprint_at=linear, longest=262_144)
    assert short.limit == ""


def test_nothing_fits_where_the_weights_alone_do_not() -> None:
    assert largest_context(linear, GIB, 262_144) is None


def test_a_model_without_a_formula_has_no_largest_context() -> None:
    assert largest_context(lambda _: None, 24 * GIB, 262_144) is None


@given(st.integers(0, 64 * GIB), st.integers(1, 1 << 22))
def test_the_largest_context_always_fits(free: int, longest: int) -> None:
    size = largest_context(linear, free, longest)
    if size is not None:
        assert size <= longest
        assert check_fit(linear(size), room(free)).verdict is FitVerdict.FITS
