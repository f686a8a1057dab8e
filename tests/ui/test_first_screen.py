"""The first screen with the demo, as its pictures have it."""

from pathlib import Path
from typing import Any

import pytest
from textual.screen import Screen

from aitui.__main__ import demo_server
from aitui.ui.app import AituiApp
from ui.driven import Driven, driven

PLOTS = {"throughput", "prompts"}
"""Above a low figure there is nothing to draw."""


def blank_rows(app: Driven) -> set[int]:
    """The rows between header and footer in which some pane has nothing."""
    strips, panes = app.strips, app.models.query_one("#body").children
    return {
        row
        for pane in panes
        if pane.display and pane.id not in PLOTS
        for row in range(pane.region.y + 1, pane.region.bottom - 1)
        if not strips[row].crop(pane.region.x + 1, pane.region.right - 1).text.strip()
    }


@pytest.mark.parametrize("size", [(120, 36), (200, 50)], ids=["120x36", "200x50"])
async def test_at_most_a_tenth_of_the_rows_is_blank(size: tuple[int, int], tmp_path: Path) -> None:
    async with (
        demo_server() as (server, _),
        driven(server, tmp_path, size=size) as app,
    ):
        few = (size[1] - 3) // 10
        await app.until(lambda: len(app.models.snapshot.ready) > 1, "ready")
        await app.until(lambda: len(blank_rows(app)) <= few, "filled")
        shown = [model.id for model in app.models.snapshot.models]
        assert len(shown) == 14
        assert [model_id for model_id in shown if model_id not in app.text] == []


async def test_each_frame_of_a_pane_that_became_narrower_is_drawn_for_its_width(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []
    original = AituiApp._display

    def display(app: AituiApp, screen: Screen[object], renderable: Any) -> None:
        lines = (strip.text for strip in screen._compositor.render_strips())
        titles.extend(line for line in lines if "TIME  CLIENT" in line)
        original(app, screen, renderable)

    async with demo_server() as (server, _), driven(server, tmp_path, size=(120, 36)) as app:
        await app.until(lambda: len(app.models.snapshot.ready) > 1, "ready")
        await app.see("TOOK ││ GPU 0")
        monkeypatch.setattr(AituiApp, "_display", display)
        await app.press("enter")
        await app.see("⏎ send")
    assert titles
    assert [title for title in titles if "TOOK" not in title] == []
