"""What the pane of a model shows, and what it costs while nothing happens."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from rich.color import Color
from textual.geometry import Region

from aitui.domain.models import ClientUnload, FinishedRequest, Model, RunState
from aitui.domain.snapshot import Clock
from aitui.ui.widgets.model_detail import (
    DetailFacts,
    DetailRow,
    ModelDetail,
    detail_rows,
    slots_words,
    summary_row,
)
from aitui.ui.widgets.model_table import RowFacts
from ui.driven import driven
from ui.hand_made import NOW, SERVER, WALL, live, show_instead_of_servers
from ui.mixture import COMMAND, FAILED
from ui.mixture import READY as READY_ONE

READY = Model("ready", state=RunState.READY, since=NOW, ttl=3600, last_used=NOW)


def rows(model: Model, age: float = 60, width: int = 60) -> tuple[DetailRow, ...]:
    """What the pane shows of a model so many seconds after NOW."""
    facts = DetailFacts(RowFacts(NOW + age, WALL), Color.parse, "other")
    return detail_rows(model, facts, width, 15)


def test_after_a_minute_the_pane_of_a_ready_model_changes_once_a_minute() -> None:
    shown = {rows(READY, age) for age in range(121, 179)}
    assert len(shown) == 1
    assert rows(READY, 181) not in shown


async def test_the_age_of_a_model_lays_nothing_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now, layouts = NOW + 5, []
    show_instead_of_servers(monkeypatch, live(READY))
    async with driven(
        SERVER, tmp_path, size=(120, 36), clock=Clock(lambda: now, lambda: WALL)
    ) as app:
        await app.see("● ready 5 s")
        refresh = ModelDetail.refresh

        def record(
            widget: ModelDetail, *regions: Region, layout: bool = False, **more: bool
        ) -> ModelDetail:
            layouts.append(layout)
            return refresh(widget, *regions, layout=layout, **more)

        monkeypatch.setattr(ModelDetail, "refresh", record)
        now += 1
        app.models.tick()
        await app.see("● ready 6 s")
        assert layouts
        assert not any(layouts)


def served(tokens: int, at: float = WALL - 1) -> FinishedRequest:
    """A request that left so many tokens in the context."""
    return FinishedRequest(
        READY_ONE.id, at, tokens=100, prompt=tokens - 100, prompt_rate=1912.0, status=200
    )


def texts(model: Model, width: int = 39, height: int = 15, **more: Any) -> list[str]:
    """The rows of the pane as text."""
    facts = DetailFacts(RowFacts(NOW, WALL, {READY_ONE.id: "laptop · pi"}), Color.parse, **more)
    shown = detail_rows(model, replace(facts, color=lambda _: Color.parse("red")), width, height)
    return ["".join(text for text, _ in row) for row in shown]


def test_what_is_known_of_a_ready_model_has_its_row() -> None:
    model = replace(READY_ONE, requests=1, rate=48.3, command=f"{COMMAND} --parallel 2 --jinja")
    rows = texts(model, last=served(215_000))
    assert rows[:3] == ["● ready 1 h · idle timeout 30 min", "reasoning · tools", ""]
    assert rows[3] == "slots    1 of 2 in use · laptop · pi"
    assert rows[4] == "speed    48.3 tok/s · prompt 1,912"
    assert rows[5] == "context  256k"
    assert rows[6].endswith(" 209k 82 %")
    assert rows[7] == "memory   41.2 GB"
    assert rows[9] == "▪ weights 34.4 ▪ KV 5.6 ▪ compute 1.2"
    assert rows[10] == "aliases  gpt-4o, default"
    assert all(cell_len(row) <= 39 for row in rows)


def test_what_is_not_known_has_none() -> None:
    rows = texts(
        replace(READY_ONE, dated=False, requests=None, memory=None, command="", aliases=())
    )
    assert rows[0].startswith("● ready · unloads in ")
    assert not any(
        row.startswith(("slots", "speed", "memory", "aliases", "command")) for row in rows
    )


@pytest.mark.parametrize(
    ("used", "color"), [(200_000, "ready"), (215_000, "warning"), (250_000, "error")]
)
def test_a_context_that_is_nearly_full_changes_its_color(used: int, color: str) -> None:
    facts = DetailFacts(RowFacts(NOW, WALL), lambda _: Color.parse("red"), last=served(used))
    styles = [style for row in detail_rows(READY_ONE, facts, 39, 15) for _, style in row]
    assert f"bold {color}" in styles


def test_requests_of_an_earlier_run_left_nothing_in_the_context() -> None:
    rows = texts(READY_ONE, last=served(215_000, WALL - 7200))
    assert not any("82 %" in row for row in rows)


def test_a_request_that_waits_for_a_slot_is_in_none() -> None:
    model = replace(READY_ONE, requests=3, command=f"{COMMAND} --parallel 2")
    assert slots_words(model) == "2 of 2 slots in use, 1 waiting"


def test_an_idle_model_names_its_last_user() -> None:
    model = replace(READY_ONE, requests=0, command=f"{COMMAND} --parallel 2")
    for width, row in (
        (60, "slots    0 of 2 in use · laptop · pi, 12m ago"),
        (42, "slots    0 of 2 in use · last laptop · pi"),
        (39, "slots    0 of 2 in use · last laptop"),
    ):
        facts = RowFacts(NOW, WALL, {model.id: "laptop · pi, 12m ago"})
        shown = detail_rows(model, DetailFacts(facts, lambda _: Color.parse("red")), width, 15)
        assert row in ["".join(text for text, _ in pieces) for pieces in shown]


def test_the_trained_maximum_stands_beside_the_context() -> None:
    assert "context  256k · trained for 1M" in texts(READY_ONE, trained=1 << 20)


def test_flags_that_have_no_room_are_counted() -> None:
    many = f"{COMMAND} --model /srv/models/a-very-long-folder/Qwen3.6-35B-A3B-Q8_0.gguf --jinja"
    *_, last = texts(replace(READY_ONE, command=many), height=13)
    assert last.endswith("z 2 more flags")
    rows = texts(replace(READY_ONE, command=many), height=40)
    assert "  --model …/Qwen3.6-35B-A3B-Q8_0.gguf" in rows
    assert not any("--port" in row or "more flag" in row for row in rows)


def test_a_small_pane_has_the_most_important_in_one_line() -> None:
    facts = DetailFacts(
        RowFacts(NOW, WALL),
        lambda _: Color.parse("red"),
        last=replace(served(215_000), prompt_rate=None),
    )
    model = replace(READY_ONE, rate=48.3)
    for width in (30, 40, 60, 76, 200):
        line = "".join(text for text, _ in summary_row(model, facts, width))
        assert cell_len(line) <= width
        assert "82 %" in line
    assert line.startswith("48.3 tok/s   context ━")
    failed = "".join(text for text, _ in summary_row(FAILED, facts, 30))
    assert failed == "out of memory: 48211.00 MiB…"


def test_an_unload_that_no_timeout_explains_names_the_client() -> None:
    gone = replace(READY, state=RunState.STOPPED, unloaded=ClientUnload(WALL, "phone · curl"))
    shown = " ".join(texts(gone, width=70))
    assert "by another client (phone · curl)" in shown
