import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.units import (
    format_countdown,
    format_elapsed,
    format_gb,
    format_moment,
    format_rate,
    format_seconds,
    format_tokens,
)

WIDEST_CELL = 7
floats = st.floats()


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (0, "0"),
        (512, "512"),
        (999, "999"),
        (4096, "4k"),
        (8192, "8k"),
        (32768, "32k"),
        (131072, "128k"),
        (1234, "1.2k"),
        (100_000, "97k"),
        (262144, "256k"),
        (1_024_000, "0.9M"),
        (1048576, "1M"),
        (10_485_760, "10M"),
        (10**15, ">999G"),
        (-4096, "-4k"),
    ],
)
def test_tokens_are_in_units_of_1024_rounded_down(tokens: int, text: str) -> None:
    assert format_tokens(tokens) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (18.9, "18 s"),
        (95, "1m 35s"),
        (3599, "59m 59s"),
        (7500, "2h 05m"),
        (86399, "23h 59m"),
        (90000, "1d 01h"),
        (100 * 86400, "100d"),
        (-5, "0 s"),
        (float("inf"), "–"),
        (float("nan"), "–"),
    ],
)
def test_a_time_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.97, "9.9 s"), (95.4, "1m 35s"), (float("nan"), "–")],
)
def test_what_took_less_than_ten_seconds_has_a_tenth(seconds: float, text: str) -> None:
    assert format_elapsed(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m"), (1440, "24m"), (7300, "2h"), (200_000, "2d")],
)
def test_a_countdown_is_told_in_its_largest_unit(seconds: float, text: str) -> None:
    assert format_countdown(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0, "0.00"),
        (0.42, "0.42"),
        (0.999, "1.0"),
        (48.31, "48.3"),
        (99.96, "100"),
        (1204.4, "1204"),
        (-1, "–"),
        (float("nan"), "–"),
    ],
)
def test_a_rate_keeps_about_three_digits(rate: float, text: str) -> None:
    assert format_rate(rate) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0.0"),
        (1, "<0.1"),
        (2**30, "1.0"),
        (44_238_012_416, "41.2"),
        (10**11, "93.1"),
        (10**12, "931"),
        (10**14, "93132"),
        (-1, "–"),
    ],
)
def test_memory_is_a_number_of_gb(amount: float, text: str) -> None:
    assert format_gb(amount) == text


@given(st.integers())
def test_tokens_fit_a_cell(tokens: int) -> None:
    assert len(format_tokens(tokens)) <= WIDEST_CELL


@given(floats)
def test_every_other_amount_fits_a_cell(amount: float) -> None:
    for text in (
        format_seconds(amount),
        format_countdown(amount),
        format_rate(amount),
        format_gb(amount),
    ):
        assert 1 <= len(text) <= WIDEST_CELL


@given(floats)
def test_a_moment_has_its_date_on_other_days_only(now: float) -> None:
    noon = time.mktime((2026, 11, 29, 12, 41, 8, 0, 0, -1))
    assert format_moment(noon, noon + 3600, "%H:%M:%S") == "12:41:08"
    assert format_moment(noon, noon + 86400, "%H:%M:%S") == "2026-11-29 12:41"
    assert format_moment(now, noon)
