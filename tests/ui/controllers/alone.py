"""A controller on its own: an app that keeps what is said, and a session without a server."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, cast

from textual.screen import Screen

from aitui.domain.confirmation import Confirmation
from aitui.domain.snapshot import Server, Snapshot
from aitui.errors import AituiError
from aitui.paths import Paths
from aitui.settings import Settings
from aitui.ui.background import TaskRunner
from aitui.ui.context import AppContext, ServerContext
from aitui.ui.terminal.notifications import TerminalNotifier
from ui.hand_made import SERVER, STILL, StillMonitor, StillSession


@dataclass
class RecordingApp:
    """Takes the part of the app: keeps what is said and opened, and answers what is asked."""

    answer: bool = True
    said: list[str] = field(default_factory=list)
    asked: list[Confirmation] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    screen_stack: list[Screen[Any]] = field(default_factory=list)
    focused: object = None

    @property
    def screen(self) -> Screen[Any] | None:
        return self.screen_stack[-1] if self.screen_stack else None

    def push_screen(self, screen: Screen[Any], _callback: object = None) -> None:
        self.screen_stack.append(screen)

    def notify(self, message: str, **_more: object) -> None:
        self.said.append(message)

    def notify_if_away(self, words: str) -> None:
        self.called.append(words)


@dataclass
class WaitingTasks:
    """Keeps tasks until they are run, and the groups that were ended."""

    waiting: dict[str, Coroutine[Any, Any, None]] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def run_in_background(
        self, work: Coroutine[Any, Any, None], group: str, *, exclusive: bool = True
    ) -> None:
        assert exclusive or group not in self.waiting
        if group in self.waiting:
            self.waiting[group].close()
        self.waiting[group] = work

    def cancel(self, group: str) -> None:
        self.cancelled.append(group)

    def notify_error(self, error: AituiError) -> None:
        self.errors.append(error.what)

    async def run(self, group: str) -> None:
        await self.waiting.pop(group)

    def forget(self) -> None:
        """Close what wasn't run."""
        while self.waiting:
            self.waiting.popitem()[1].close()


class Bench:
    """What a controller is created with; `context` goes to its constructor."""

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        answer: bool = True,
        server: Server = SERVER,
        admin: object = None,
        home: Path = Path("/nowhere"),
    ) -> None:
        self.app, self.tasks = RecordingApp(answer), WaitingTasks()
        self.session = StillSession(server, StillMonitor(snapshot), admin)
        settings = Settings(server, (server,))
        app_context = AppContext(
            settings, Paths.below(home), home, STILL, Random(1), cast("Any", None)
        )
        self.context = ServerContext(
            cast("Any", self.app),
            app_context,
            cast("Any", self.session),
            app_context.paths,
            cast("TaskRunner", self.tasks),
            cast("TerminalNotifier", self.app),
            self.ask,
        )

    async def ask(self, build: Callable[[Snapshot], Confirmation]) -> bool:
        self.app.asked.append(build(self.session.snapshot))
        return self.app.answer
