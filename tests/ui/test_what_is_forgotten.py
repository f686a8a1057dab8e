"""Views that were left take no memory."""

import gc
import weakref
from pathlib import Path

from textual.widget import Widget

from aitui.domain.snapshot import Server
from aitui.ui.screens.logs import LogsScreen
from aitui.ui.terminal.screen_diff import clear_style_caches
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
        clear_style_caches()
        gc.collect()
        assert [cache() for cache in drawn if cache() is not None] == []


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
