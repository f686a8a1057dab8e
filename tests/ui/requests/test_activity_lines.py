"""A line about a request, in any width."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len

from aitui.domain.client_requests import ClientRequest
from aitui.domain.eviction import EvictionVictim
from aitui.domain.models import ActiveRequest, FinishedRequest, LoadFailure, Model, RunState
from aitui.domain.snapshot import Clock
from aitui.format.requests import status_words
from aitui.ui.widgets.activity_pane import (
    RequestRow,
    finished_row,
    fit_activity,
    row_pieces,
    use_row,
)

CLOCK = Clock(lambda: 100.0, lambda: 1_000_000.0)
QWEN = "Qwen_Qwen3.6-35B-A3B-Q8_0"
REQUEST = ActiveRequest("1", QWEN, who="phone · Open WebUI", started=93.6)
WAITING = ClientRequest(
    REQUEST,
    Model(QWEN, state=RunState.STARTING),
    waits=True,
    evicts=(EvictionVictim(Model("victim"), None),),
)
STREAMING = ClientRequest(replace(REQUEST, replied=95.0, tokens=310, rate=48.3), None)
DONE = FinishedRequest(
    QWEN,
    at=1_000_000.0,
    who="laptop · pi",
    status=200,
    tokens=812,
    rate=47.9,
    prompt=104_020,
    cached=102_310,
    seconds=21.4,
)
FAILED = replace(
    DONE,
    status=500,
    tokens=0,
    prompt=None,
    seconds=31.0,
    error="unspecific error: upstream command exited prematurely",
)
REASON = LoadFailure(1_000_003.0, "out of memory: 24 MiB did not fit on device 0")


def line(row: RequestRow, width: int) -> str:
    columns = fit_activity(width, 18, 25)
    return "".join(text for text, _ in row_pieces(row, columns))


def test_a_line_of_the_usual_width_has_tokens_rate_and_time() -> None:
    began = time.strftime("%H:%M", time.localtime(1_000_000 - 21.4))
    expected = f"✓ {began} laptop · pi        {QWEN}  101k→812    48  21s"
    assert line(finished_row(DONE, ("ok",)), 75) == expected


def test_a_row_of_which_no_client_is_known_has_none() -> None:
    row = finished_row(replace(DONE, who="", client=""), ("ok",))
    assert f" –{' ' * 18}{QWEN}" in line(row, 75)
    assert " 10.0.0.7 " in line(finished_row(replace(DONE, who="", client="10.0.0.7"), ("ok",)), 75)


def test_what_is_estimated_is_marked_and_what_is_exact_is_not() -> None:
    assert line(use_row(STREAMING, CLOCK), 75).endswith("→≈310  ≈48 6.4s")
    exact = replace(STREAMING, request=replace(STREAMING.request, exact=True))
    assert line(use_row(exact, CLOCK), 75).endswith("→310    48 6.4s")


def test_where_there_are_no_figures_it_says_what_became_of_it() -> None:
    assert "waits for load  6.4s" in line(use_row(WAITING, CLOCK), 75)
    assert line(use_row(WAITING, CLOCK), 136).endswith("waits for load, evicts ≈ victim")
    failed = finished_row(FAILED, status_words(FAILED, REASON))
    assert "out of memory    31s" in line(failed, 75)
    assert line(failed, 136).endswith("load failed: out of memory")


def test_the_words_of_each_status() -> None:
    words = {
        status: status_words(replace(FAILED, status=status, error=""))[0]
        for status in (200, 429, 499, 500, 404)
    }
    assert words == {
        200: "ok",
        429: "too many requests",
        499: "client disconnected",
        500: "error 500",
        404: "error 404",
    }
    assert status_words(FAILED) == ("load failed",)
    assert status_words(FAILED, replace(REASON, at=9.0)) == ("load failed",)
    assert status_words(FAILED, replace(REASON, crashed=True))[-1] == "model crashed"


@given(st.integers(24, 220), st.sampled_from([WAITING, STREAMING, DONE, FAILED]))
def test_nothing_is_wider_than_its_place_and_no_figure_is_cut(
    width: int, of: ClientRequest | FinishedRequest
) -> None:
    row = (
        finished_row(of, status_words(of))
        if isinstance(of, FinishedRequest)
        else use_row(of, CLOCK)
    )
    text = line(row, width)
    assert cell_len(text) <= width - 1
    took = "6.4" if isinstance(of, ClientRequest) else f"{of.seconds:.0f}"
    assert re.search(rf" {took} ?s\b", text)


@pytest.mark.parametrize(
    ("seconds", "took"),
    [(6.44, "6.4s"), (65, "1m05"), (725, "12m"), (3900, "1h05"), (90000, "1d01")],
)
def test_a_time_stays_apart_from_the_rate(seconds: float, took: str) -> None:
    row = finished_row(replace(DONE, seconds=seconds), ("ok",))
    text = "".join(part for part, _ in row_pieces(row, fit_activity(76, 18, 25)))
    assert text.split()[-2:] == ["48", took]


def test_a_finished_request_without_a_client_has_none() -> None:
    assert finished_row(replace(DONE, who="", client=""), ("ok",)).client == "–"
