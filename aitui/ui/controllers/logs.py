"""The log that is on screen: opens the view, feeds it, and saves what it shows."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from aitui.domain.logs import LogLine
from aitui.domain.models import Model
from aitui.domain.units import count_of
from aitui.services.logs import LogFeed, LogUpdate, save_log
from aitui.ui.context import ServerContext
from aitui.ui.screens.logs import BOTH, SERVER_LOGS, LogsScreen

if TYPE_CHECKING:
    from aitui.ui.widgets.log_tail import LogTail

MAX_FPS, TAIL_FPS = 20, 4
"""Frames a second of a log, and of its end beside the models, at most."""
IDLE_SHARE = 3
"""Drawing takes no more than a quarter of the time, however much comes in."""


class LogController:
    """Opens, feeds and saves the log on screen. `session` returns None before one is connected."""

    def __init__(self, context: ServerContext) -> None:
        self._app = context.app
        self._app_context = context.app_context
        self._session = context.session
        self._tasks = context.tasks
        self._feed: LogFeed | None = None
        self._last_log = BOTH

    def open(self, highlighted: Model | None, *, of_model: bool) -> None:
        """Show the log of that model, or the one that was read last."""
        session = self._session
        model = highlighted if highlighted is not None and highlighted.loadable else None
        if not of_model and self._last_log not in SERVER_LOGS:
            model = session.snapshot.model(self._last_log)
            self._last_log = model.id if model is not None else BOTH
        if of_model and model is None:
            where = (highlighted.peer if highlighted else "") or "elsewhere"
            words = (
                f"It runs on {where}: its log is there" if highlighted else "No model is selected"
            )
            self._app.notify(words, severity="warning")
            return
        if isinstance(self._app.screen, LogsScreen):
            return
        screen = LogsScreen(
            self._app_context.clock,
            log=model.id if of_model and model is not None else self._last_log,
            model_id=model.id if model is not None else "",
            failed=model.failed if model is not None else None,
        )
        self._app.push_screen(screen, lambda _: self._close())

    def follow_log(self, name: str) -> None:
        """Feed the view with that log."""
        for screen in self._app.screen_stack:
            if isinstance(screen, LogsScreen):
                self._last_log = name
                feed = self._feed = self._open_feed(name)
                show = partial(screen.show_update, name)
                self._tasks.run_in_background(self._follow(feed, show, MAX_FPS), "log")

    def follow_tail(self, tail: "LogTail | None") -> None:
        """Feed the end of the log beside the models, until that is None."""
        if tail is None:
            self._tasks.cancel("log tail")
        else:
            tail.clear()
            feed = self._open_feed(BOTH)
            follow = self._follow(feed, tail.show_update, TAIL_FPS)
            self._tasks.run_in_background(follow, "log tail")

    def retry(self) -> None:
        """Reconnect a lost log at once."""
        if self._feed is not None:
            self._feed.retry_now()

    def save(self, name: str, lines: tuple[LogLine, ...]) -> None:
        self._tasks.run_in_background(self._save(name, lines), "save log")

    def _close(self) -> None:
        self._feed = None
        self._tasks.cancel("log")

    def _open_feed(self, name: str) -> LogFeed:
        context = self._app_context
        return LogFeed(self._session.client, name, clock=context.clock, random=context.random)

    async def _follow(self, feed: LogFeed, show: Callable[[LogUpdate], None], fps: float) -> None:
        shortest = 1 / min(fps, self._app_context.settings.fps)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(feed.run(), name="log feed")
            while True:
                await feed.wait_for_news()
                began = time.perf_counter()
                show(feed.take())
                cost = time.perf_counter() - began
                await asyncio.sleep(max(shortest, IDLE_SHARE * cost))

    async def _save(self, name: str, lines: tuple[LogLine, ...]) -> None:
        label = self._session.server.label
        at = time.localtime(self._app_context.clock.wall())
        file = await asyncio.to_thread(save_log, self._app_context.paths, label, name, lines, at)
        self._app.notify(f"Saved {count_of(len(lines), 'line')} to {file}", timeout=8)
