"""What the pane of a model costs while nothing happens."""

from pathlib import Path

import pytest
from rich.color import Color
from textual.geometry import Region

from aitui.domain.models import Model, RunState
from aitui.domain.snapshot import Clock
from aitui.ui.widgets.model_detail import DetailFacts, DetailRow, ModelDetail, detail_rows
from aitui.ui.widgets.model_table import RowFacts
from ui.driven import driven
from ui.hand_made import NOW, SERVER, WALL, live, show_instead_of_servers

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
