"""What the pane of a model costs while nothing happens."""

from pathlib import Path

import pytest
from textual.geometry import Region
from textual.widgets import Static

from aitui.domain.models import Model, RunState
from aitui.domain.snapshot import Clock
from aitui.ui.widgets.model_detail import model_facts
from aitui.ui.widgets.model_table import ClockReading
from ui.driven import driven
from ui.hand_made import NOW, SERVER, WALL, live, show_instead_of_servers

READY = Model("ready", state=RunState.READY, since=NOW, ttl=3600, last_used=NOW)


def test_after_a_minute_the_pane_of_a_ready_model_changes_once_a_minute() -> None:
    shown = {model_facts(READY, ClockReading(NOW + age, WALL)) for age in range(121, 179)}
    assert len(shown) == 1
    assert model_facts(READY, ClockReading(NOW + 181, WALL)) not in shown


async def test_the_age_of_a_model_lays_nothing_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now, layouts = NOW + 5, []
    show_instead_of_servers(monkeypatch, live(READY))
    async with driven(SERVER, tmp_path, clock=Clock(lambda: now, lambda: WALL)) as app:
        await app.see("ready for 5 s")
        refresh = Static.refresh

        def record(widget: Static, *regions: Region, layout: bool = False, **more: bool) -> Static:
            layouts.append(layout)
            return refresh(widget, *regions, layout=layout, **more)

        monkeypatch.setattr(Static, "refresh", record)
        now += 1
        app.models.tick()
        await app.see("ready for 6 s")
        assert layouts
        assert not any(layouts)
