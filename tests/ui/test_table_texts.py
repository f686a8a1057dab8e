"""What the table says of a model, and in which order: without a screen."""

import pytest
from msgspec.structs import replace

from aitui.domain.models import FinishedRequest, LoadFailure, Model, RunState
from aitui.ui.widgets.model_table import (
    ColumnWidths,
    RowFacts,
    TableQuery,
    count_text,
    glyph,
    load_fraction,
    memory_text,
    note_text,
    short_state_text,
    state_text,
    ttl_text,
    users_by_model,
    visible_rows,
)
from ui.hand_made import NOW, WALL, live
from ui.mixture import FAILED, IDLE, LOADING, MIXTURE, PEER, READY, REQUESTS, SELECTOR, WAITING

FACTS = RowFacts(NOW, WALL)
CRASHED = replace(FAILED, failed=LoadFailure(WALL, "it died", crashed=True))


@pytest.mark.parametrize(
    ("progress", "expected", "text", "short", "sign", "part"),
    [
        (0.62, 29.0, "loading 62 %", "62 %", "◑", 0.62),
        (0.8, None, "loading 80 %", "80 %", "◕", 0.8),
        (None, 72.0, "loading 18 s", "18 s", "◔", 0.25),
        (None, 10.0, "loading 18 s", "18 s", "◕", 1.0),
        (None, None, "loading 18 s", "18 s", "◔", None),
    ],
)
def test_a_load_shows_how_far_it_is(
    progress: float | None,
    expected: float | None,
    text: str,
    short: str,
    sign: str,
    part: float | None,
) -> None:
    model = replace(LOADING, progress=progress, expected_load=expected)
    assert (state_text(model, FACTS), short_state_text(model, FACTS)) == (text, short)
    assert glyph(model, FACTS) == sign
    assert load_fraction(model, FACTS) == part


def test_a_load_of_minutes_still_fits_its_cell() -> None:
    long = replace(LOADING, since=NOW - 725)
    assert state_text(long, FACTS) == "loading 12m05"


def test_a_state_that_ended_has_its_time() -> None:
    assert state_text(FAILED, FACTS).startswith("failed ")
    assert state_text(CRASHED, FACTS).startswith("crashed ")
    assert short_state_text(FAILED, FACTS) == "failed"
    assert state_text(PEER, FACTS) == "peer"
    unread = Model("new", unread=True)
    assert (glyph(unread, FACTS), state_text(unread, FACTS)) == ("○", "unread")
    assert note_text(unread, FACTS) == "in config.yaml, not read yet: H"


def test_ttl_is_what_is_left_or_off() -> None:
    assert ttl_text(replace(READY, requests=0), FACTS) == "23m"
    assert ttl_text(READY, FACTS) == "30m"
    assert ttl_text(replace(READY, ttl=0), FACTS) == "off"
    assert ttl_text(LOADING, FACTS) == "–"


def test_memory_says_what_is_not_known() -> None:
    assert memory_text(READY, FACTS) == "41.2"
    assert memory_text(WAITING, FACTS) == "≈52.0"
    assert memory_text(IDLE, FACTS) == "?"
    assert memory_text(PEER, FACTS) == "–"


def test_loaded_and_loading_models_are_counted_apart() -> None:
    whole = "1 ready · 1 loading · 1 stopping · 1 waiting · 1 failed of 9"
    assert count_text(MIXTURE, 100) == whole
    assert count_text(MIXTURE, len(whole) - 1).endswith("1 waiting of 9")
    assert count_text(MIXTURE, 5) == "9"
    assert count_text((IDLE, PEER), 100) == "none loaded of 2"
    assert count_text((), 100) == ""


def test_what_is_in_memory_is_on_top_and_what_runs_elsewhere_last() -> None:
    rows = visible_rows(MIXTURE, TableQuery(), FACTS)
    assert [model.state for model in rows[:3]] == [
        RunState.STARTING,
        RunState.READY,
        RunState.STOPPING,
    ]
    assert rows[3:5] == (WAITING, FAILED)
    assert rows[-2:] == (PEER, SELECTOR)
    assert visible_rows(MIXTURE, TableQuery(reverse=True), FACTS)[-1] is rows[0]


def test_the_next_column_to_sort_by_is_one_that_is_shown() -> None:
    query = TableQuery()
    for key in ("context", "id", "state"):
        query = query.next_sort(("id", "state", "context"))
        assert query.sort == key
    assert TableQuery(sort="rate").next_sort(("id", "state")).sort == "id"
    assert TableQuery(reverse=True).next_sort(("id", "state")).reverse is False


def test_clients_are_named_beside_their_model() -> None:
    users = users_by_model(live(*MIXTURE, requests=REQUESTS), WALL)
    assert users == {READY.id: "192.168.2.20 · OpenWebUI, 192.168.2.31"}


def test_an_idle_model_has_its_last_user() -> None:
    rows = (
        FinishedRequest(IDLE.id, at=WALL - 9, who="laptop · pi"),
        FinishedRequest(READY.id, at=WALL - 30),
        FinishedRequest(READY.id, at=WALL - 150, who="desk · Zed"),
        FinishedRequest(READY.id, at=WALL - 300, who="laptop · pi"),
    )
    assert users_by_model(live(READY, IDLE, finished=rows), WALL) == {
        READY.id: "desk · Zed, 2m ago"
    }


def test_columns_grow_with_their_content_and_shrink_with_another_list() -> None:
    widths = ColumnWidths()
    widths.measure((IDLE,), FACTS)
    small = dict(widths.cells)
    widths.measure((replace(IDLE, id="embed-small", rate=123456.0),), FACTS)
    assert widths.cells["rate"] > small["rate"]
    widths.measure((IDLE,), FACTS)
    assert widths.cells["rate"] > small["rate"]
    widths.measure((PEER,), FACTS)
    assert widths.cells["rate"] == small["rate"]
    assert widths.cells["id"] == len(PEER.id)


def test_the_demo_needs_77_columns_and_54_beside_a_chat() -> None:
    widths = ColumnWidths()
    widths.measure((Model("Devstral-Small-2-24B-Instruct-2512-Q5_K_M"),), FACTS)
    table, _, short = widths.pane_widths
    assert (table, short) == (77, 54)
