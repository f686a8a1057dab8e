"""The log that is on screen: opens the view, feeds it, and saves what it shows."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from aitui.domain.logs import LogLine
from aitui.domain.models import Model
from aitui.services.logs import LogFeed, save_log
from aitui.services.session import Session
from aitui.ui.context import AppContext
from aitui.ui.screens.logs import BOTH, SERVER_LOGS, LogsScreen

if TYPE_CHECKING:
    from textual.app import App

MAX_FPS = 20
"""Frames a second of a log, at most."""
IDLE_SHARE = 3
"""Drawing takes no more than a quarter of the time, however much comes in."""

RunInBackground = Callable[[Coroutine[Any, Any, None], str], None]


class LogController:
    """Opens, feeds and saves the log on screen. `session` returns None before one is connected."""

    def __init__(
        self,
        app: "App[None]",
        opening: AppContext,
        session: Callable[[], Session | None],
        beside: RunInBackground,
    ) -> None:
        self._app = app
        self._app_context = opening
        self._session = session
        self._run_in_background = beside
        self._feed: LogFeed | None = None
        self._last_log = BOTH

    def open(self, highlighted: Model | None, *, of_model: bool) -> None:
        """Show the log of that model, or the one that was read last."""
        session = self._session()
        if session is None:
            self._app.notify("There is no server yet", severity="warning", markup=False)
            return
        model = highlighted if highlighted is not None and highlighted.loadable else None
        if not of_model and self._last_log not in SERVER_LOGS:
            model = session.snapshot.model(self._last_log)
            self._last_log = model.id if model is not None else BOTH
        if of_model and model is None:
            where = (highlighted.peer if highlighted else "") or "elsewhere"
            words = f"It runs at {where}: its log is there" if highlighted else "There is no model"
            self._app.notify(words, severity="warning", markup=False)
            return
        if isinstance(self._app.screen, LogsScreen):
            return
        screen = LogsScreen(
            self._app_context.clock,
            session.server,
            session.snapshot,
            log=model.id if of_model and model is not None else self._last_log,
            model_id=model.id if model is not None else "",
            failed=model.failed if model is not None else None,
        )
        self._app.push_screen(screen, lambda _: self._close())

    def follow_log(self, name: str) -> None:
        """Feed the view with that log from now on."""
        session = self._session()
        for screen in self._app.screen_stack:
            if session is not None and isinstance(screen, LogsScreen):
                self._last_log = name
                self._run_in_background(self._follow(session, screen, name), "log")

    def retry(self) -> None:
        """Connect at once where the log is lost."""
        if self._feed is not None:
            self._feed.retry_now()

    def save(self, name: str, lines: tuple[LogLine, ...]) -> None:
        """Write the lines to a file, and say where."""
        self._run_in_background(self._save(name, lines), "save log")

    def _close(self) -> None:
        self._feed = None
        self._app.workers.cancel_group(self._app, "log")

    async def _follow(self, session: Session, screen: LogsScreen, name: str) -> None:
        opening = self._app_context
        feed = LogFeed(session.client, name, clock=opening.clock, random=opening.random)
        self._feed = feed
        shortest = 1 / min(MAX_FPS, opening.settings.fps)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(feed.run(), name="log feed")
            while True:
                await feed.wait_for_news()
                began = time.perf_counter()
                screen.show_update(name, feed.take())
                cost = time.perf_counter() - began
                await asyncio.sleep(max(shortest, IDLE_SHARE * cost))

    async def _save(self, name: str, lines: tuple[LogLine, ...]) -> None:
        session = self._session()
        label = session.server.label if session is not None else "server"
        at = time.localtime(self._app_context.clock.wall())
        file = await asyncio.to_thread(save_log, self._app_context.paths, label, name, lines, at)
        noun = "line" if len(lines) == 1 else "lines"
        self._app.notify(f"Saved {len(lines):,} {noun} to {file}", timeout=8, markup=False)
