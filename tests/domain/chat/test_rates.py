"""Tokens a second: over a window, by the server's clock where it tells."""

import pytest

from aitui.domain.chat.reply import POINTS_KEPT, GenerationTimings, RateMeter


def steady(meter: RateMeter, rate: float, seconds: float, start: float = 0.0) -> float:
    """Tokens at that rate; the time of the last one."""
    now = start
    for number in range(1, int(rate * seconds) + 1):
        now = start + number / rate
        meter.count_tokens(now, 1)
    return now


def test_before_the_first_token_nothing_is_known() -> None:
    rates = RateMeter(0.0).read(9.0)
    assert (rates.tokens, rates.first_token, rates.per_second, rates.series) == (0, None, None, ())


def test_the_first_token_is_counted_from_the_question() -> None:
    meter = RateMeter(10.0)
    meter.count_tokens(10.4, 1)
    assert meter.read(11.0).first_token == pytest.approx(0.4)


def test_a_steady_stream_has_its_rate() -> None:
    meter = RateMeter(0.0)
    now = steady(meter, 50, 10)
    assert meter.read(now).per_second == pytest.approx(50, rel=0.05)
    assert meter.read(now).tokens == 500


def test_only_the_last_seconds_count() -> None:
    meter = RateMeter(0.0)
    now = steady(meter, 200, 10)
    now = steady(meter, 20, 4, now)
    assert meter.read(now).per_second == pytest.approx(20, rel=0.1)


def test_a_stream_that_stalls_goes_to_zero() -> None:
    meter = RateMeter(0.0)
    now = steady(meter, 50, 3)
    assert meter.read(now + 3).per_second == 0


def test_the_servers_timings_are_trusted_more_than_the_arrival() -> None:
    meter = RateMeter(0.0)
    for number in range(1, 101):
        meter.count_tokens(5.0, 1)
        meter.apply_timings(5.0, GenerationTimings(tokens=number, seconds=number / 40, rate=40))
    rates = meter.read(5.0)
    assert rates.per_second == pytest.approx(40)
    assert rates.tokens == 100


def test_timings_that_come_only_at_the_end_give_their_own_rate() -> None:
    meter = RateMeter(0.0)
    steady(meter, 50, 1)
    meter.apply_timings(1.0, GenerationTimings(tokens=50, seconds=1.0, rate=48.3))
    assert meter.read(1.0).per_second == 48.3


def test_the_first_timing_of_zero_is_no_rate() -> None:
    meter = RateMeter(0.0)
    meter.count_tokens(0.5, 1)
    meter.apply_timings(0.5, GenerationTimings(tokens=1, seconds=0.000001, rate=0.0))
    assert meter.read(0.5).per_second is None


def test_the_series_has_a_point_each_half_second_and_an_end() -> None:
    meter = RateMeter(0.0)
    now = steady(meter, 100, 3)
    series = meter.read(now).series
    assert 5 <= len(series) <= 6
    assert series[-1] == pytest.approx(100, rel=0.1)
    now = steady(meter, 100, 60, now)
    assert len(meter.read(now).series) == POINTS_KEPT
    meter.read(now + 1_000_000)
    assert len(meter.read(now + 1_000_000).series) == POINTS_KEPT
