"""Views that were left take no memory."""

import gc
import weakref
from pathlib import Path

import pytest
from textual.widget import Widget

from aitui.domain.snapshot import Server
from aitui.ui.screens.logs import LogsScreen
from aitui.ui.terminal.screen_diff import forget_closed_widgets
from aitui.ui.widgets.log_view import LogView
from stand_in import StandIn
from ui.driven import driven


async def test_what_a_view_drew_goes_with_it(
    server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    async with driven(server, tmp_path) as app:
        await app.until(lambda: app.models.snapshot.events_flow, "live")
        await app.press("question_mark")
        await app.see("you are here")
        drawn = [
            weakref.ref(widget._styles_cache) for widget in app.app.screen.walk_children(Widget)
        ]
        drawn += [weakref.ref(app.app.screen._styles_cache)]
        assert any(cache() is not None for cache in drawn)
        await app.press("escape")
        await app.settle()
        forget_closed_widgets(app.app)
        gc.collect()
        assert [cache() for cache in drawn if cache() is not None] == []


@pytest.mark.parametrize("key", ["3", "4", "question_mark", "colon", "m"])
async def test_a_view_that_was_left_is_gone(
    server: Server, stand_in: StandIn, tmp_path: Path, key: str
) -> None:
    async with driven(server, tmp_path) as app:
        await app.until(lambda: app.models.snapshot.events_flow, "live")
        # Textual creates a scroll bar when it is first needed, and that keeps the screen that was
        # open then, in the token of its context. The table of models needs one here, and only one.
        await app.until(lambda: app.table.show_vertical_scrollbar, "a scroll bar")
        await app.settle()
        await app.press(key)
        await app.until(lambda: app.app.screen is not app.models, "another view")
        await app.settle()
        shown = [weakref.ref(node) for node in (*app.app.screen.walk_children(), app.app.screen)]
        await app.press("escape")
        await app.until(lambda: app.app.screen is app.models, "the models")

        def is_gone() -> bool:
            forget_closed_widgets(app.app)
            gc.collect()
            return all(node() is None for node in shown)

        await app.until(is_gone, "nothing of it")


async def test_a_log_that_was_left_keeps_no_lines(
    server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    async with driven(server, tmp_path) as app:
        await app.until(lambda: app.models.snapshot.events_flow, "live")
        stand_in.write_log("[INFO] a line\n")
        await app.press("2")
        await app.see("a line")
        view = app.app.screen.query_one(LogView)
        await app.press("1")
        await app.until(lambda: not isinstance(app.app.screen, LogsScreen), "left")
        await app.until(lambda: not len(view.rows.ring), "forgotten")
