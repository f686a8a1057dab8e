"""Tokens per second over time."""

import math

from aitui.domain.models import ActiveRequest, FinishedRequest
from aitui.domain.throughput import RateColumn, active_spans, finished_spans, rate_columns

ALWAYS = (-math.inf, math.inf)
REPLY = FinishedRequest(
    "m", at=100.0, tokens=100, rate=50.0, prompt=1500, cached=500, prompt_rate=1000.0, seconds=3.1
)


def test_a_reply_is_spread_over_the_time_in_which_it_was_generated() -> None:
    columns = rate_columns(finished_spans([REPLY]), 5, 5.0, 101.0, known=ALWAYS)
    assert [column.rate for column in columns] == [0.0, 0.0, 50.0, 50.0, 0.0]


def test_its_prompt_was_read_just_before() -> None:
    spans = finished_spans([REPLY], prompt=True)
    columns = rate_columns(spans, 5, 5.0, 101.0, known=ALWAYS, highest=True)
    assert [column.rate for column in columns] == [0.0, 1000.0, 0.0, 0.0, 0.0]
    assert not list(
        finished_spans([FinishedRequest("e", 1.0, prompt=9, prompt_rate=9.0)], prompt=True)
    )


def test_replies_add_up_and_the_model_with_most_of_them_colors_the_column() -> None:
    other = FinishedRequest("n", at=100.0, tokens=20, rate=20.0)
    columns = rate_columns(finished_spans([REPLY, other]), 2, 2.0, 100.0, known=ALWAYS)
    assert columns == [RateColumn(50.0, "m"), RateColumn(70.0, "m")]


def test_of_the_column_that_has_begun_the_part_until_now_counts() -> None:
    running = ActiveRequest("1", "m", replied=5.0, rate=40.0)
    spans = active_spans([running], now=9.0, wall=99.0)
    columns = rate_columns(spans, 3, 6.0, 100.0, known=(-math.inf, 99.0))
    assert [column.rate for column in columns] == [20.0, 40.0, 40.0]


def test_of_an_unknown_time_nothing_is_shown() -> None:
    columns = rate_columns([], 3, 3.0, 103.0, known=(101.0, 102.0))
    assert [column.rate for column in columns] == [None, 0.0, None]
