"""The dependencies of the app at its start, and of its controllers when a server is opened."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from msgspec import Struct, field
from textual.app import App

from aitui.domain.server import USUAL_PORTS, Clock, Server
from aitui.paths import Paths

if TYPE_CHECKING:
    from aitui.domain.confirmation import Ask
    from aitui.services.session import Session
    from aitui.settings import Settings
    from aitui.ui.background import TaskRunner
    from aitui.ui.terminal.notifications import TerminalNotifier

DemoWorld = Callable[[], AbstractAsyncContextManager[tuple[Server, Paths]]]
"""Opens a stand-in server with places of its own; nothing of either is left after the block."""


class AppContext(Struct, frozen=True):
    """Settings, places, clock and chance; `missing` are certificate files that aren't there.

    `demo_at_once` opens `demo_world` instead of the chosen server, as `--demo` wants it. `theme` is
    the one to begin with, empty for Textual's; `usual_ports` are asked where nothing names a server;
    `environment` describes the terminal.
    """

    settings: "Settings"
    paths: Paths
    home: Path
    clock: Clock
    random: Random
    demo_world: DemoWorld
    missing_certificates: tuple[tuple[str, Path], ...] = ()
    start_with_demo: bool = False
    theme: str = ""
    usual_ports: tuple[int, ...] = USUAL_PORTS
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)


class ServerContext(Struct, frozen=True):
    """An open server: its session and its paths, and the parts of the app that act for it.

    `ask` asks for a confirmation on the screen.
    """

    app: App[None]
    app_context: AppContext
    session: "Session"
    paths: Paths
    tasks: "TaskRunner"
    notifier: "TerminalNotifier"
    ask: "Ask"
