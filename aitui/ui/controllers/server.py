"""The server that is open: its controllers are created with its session and dropped with it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aitui.domain.confirmation import Ask
from aitui.domain.snapshot import ConnectionStatus, Server, Snapshot
from aitui.errors import KeyPasswordNeeded
from aitui.paths import Paths
from aitui.services.load import leave_confirmation
from aitui.services.session import Session, open_session
from aitui.settings import missing_certificates, server_at
from aitui.ui.background import BackgroundTasks
from aitui.ui.context import AppContext, ServerContext
from aitui.ui.controllers.chat import ChatController, PromptStore
from aitui.ui.controllers.config import ConfigController
from aitui.ui.controllers.host import HostController
from aitui.ui.controllers.logs import LogController
from aitui.ui.controllers.models import ModelsController
from aitui.ui.controllers.questions import ask_for_password, ask_for_server, screen_ask
from aitui.ui.controllers.slash_commands import SlashCommandRunner
from aitui.ui.messages import SnapshotChanged
from aitui.ui.screens.models import ModelsScreen
from aitui.ui.screens.setup import SetupScreen
from aitui.ui.terminal.notifications import TerminalNotifier
from aitui.ui.widgets.chat_pane import ChatPane

if TYPE_CHECKING:
    from textual.app import App


@dataclass(frozen=True, slots=True)
class ServerControllers:
    """What the app delegates to while a server is open."""

    session: Session
    ask: Ask
    models: ModelsController
    chat: ChatController
    host: HostController
    config: ConfigController
    logs: LogController
    commands: SlashCommandRunner

    def update_snapshot(self, snapshot: Snapshot) -> None:
        """Pass a new state of the server on to those that act on it."""
        self.chat.update_snapshot(snapshot)
        self.config.report_slowdowns(snapshot)


@asynccontextmanager
async def open_controllers(
    context: ServerContext,
    pane: ChatPane,
    prompts: PromptStore,
) -> AsyncIterator[ServerControllers]:
    """Open the controllers of a session; at the end its replies are stopped and kept."""
    models = ModelsController(context)
    chat = ChatController(context, pane, prompts, load=models.load)
    host = HostController(context)
    config = ConfigController(context, host)
    commands = SlashCommandRunner(context, chat, models, host, config)
    async with chat.keep_open():
        yield ServerControllers(
            context.session,
            context.ask,
            models,
            chat,
            host,
            config,
            LogController(context),
            commands,
        )


class ServerSwitcher:
    """Keeps one server open at a time: the one of the settings, a chosen one, or that of the demo.

    `show` gets the server that is about to be opened and its first snapshot; later ones are posted to
    the app.
    """

    def __init__(
        self,
        app: "App[None]",
        context: AppContext,
        tasks: BackgroundTasks,
        notifier: TerminalNotifier,
        *,
        screen: ModelsScreen,
        show: Callable[[Server, Snapshot], None],
    ) -> None:
        self._app = app
        self._app_context = context
        self._tasks = tasks
        self._notifier = notifier
        self._screen = screen
        self._show = show
        self._prompts = PromptStore(lambda words: app.notify(words, severity="warning"))
        self._has_asked_for_password = False
        self.controllers: ServerControllers | None = None
        """None until the session is open, and while there is no server."""
        self.paths = context.paths
        """Those of the server: a demo has its own."""

    def start(self) -> None:
        """Connect to the server of the settings, or say why not."""
        context = self._app_context
        if context.start_with_demo:
            self.open_demo()
        elif context.missing_certificates:
            screen = SetupScreen(context.settings.server, context.missing_certificates)
            self._app.push_screen(screen)
        else:
            self.connect(context.settings.server)

    def connect(self, server: Server) -> None:
        """Leave the server that is open, and open this one."""
        self._start_session(self._run_session(server, self._app_context.paths))

    def open_demo(self) -> None:
        """Leave the server that is open, and open the stand-in."""
        self._start_session(self._run_demo())

    def refresh(self) -> None:
        """Ask the server for everything, at once."""
        self._has_asked_for_password = False
        if self.controllers is not None:
            self.controllers.session.monitor.refresh()

    def update_snapshot(self, server: Server, snapshot: Snapshot) -> None:
        """Act on a new state of the server: it may wait for the password of a key."""
        if self.controllers is not None:
            self.controllers.update_snapshot(snapshot)
        error = snapshot.connection.error
        if isinstance(error, KeyPasswordNeeded) and not self._has_asked_for_password:
            self._has_asked_for_password = True
            self._tasks.run_in_background(self._ask_for_password(server, error), "password")

    async def choose(self, current: Server | None) -> None:
        """Ask for another server, and go to it."""
        choice = await ask_for_server(self._app, self._app_context.settings.servers, current)
        if choice is None:
            return
        server = choice if isinstance(choice, Server) else self._server_from_url(choice)
        missing = await asyncio.to_thread(missing_certificates, server)
        if missing:
            self._app.push_screen(SetupScreen(server, tuple(missing)))
        else:
            await self.leave_for(lambda: self.connect(server))

    async def recheck_certificates(self, screen: SetupScreen) -> None:
        """Connect if the certificate files of the settings' server are there by now."""
        server = self._app_context.settings.server
        missing = await asyncio.to_thread(missing_certificates, server)
        if not missing:
            await self.leave_for(lambda: self.connect(server))
        elif self._app.screen is screen:
            screen.show(missing)
            self._app.notify("Still missing", severity="warning")

    async def leave_for(self, connect: Callable[[], None]) -> None:
        """Go to another server; ask first if a load would be cut."""
        current = self.controllers
        if current is not None and current.models.is_loading:
            label = current.session.server.label
            if not await current.ask(lambda snapshot: leave_confirmation(label, snapshot)):
                return
        # Not from here: it ends every worker, this one as well.
        self._app.call_next(connect)

    def post_snapshot(self, server: Server, snapshot: Snapshot) -> None:
        """Hand a new state of a server to the app."""
        self._app.post_message(SnapshotChanged(server, snapshot))

    def _start_session(self, life: Coroutine[Any, Any, None]) -> None:
        self.controllers = None
        self._has_asked_for_password = False
        self._screen.show_chat(shown=False)
        while len(self._app.screen_stack) > 1:
            self._app.pop_screen()
        self._app.workers.cancel_node(self._app)
        self._tasks.run_in_background(life, "server")

    async def _run_demo(self) -> None:
        async with self._app_context.demo_world() as (server, paths):
            await self._run_session(server, paths)

    async def _run_session(self, server: Server, paths: Paths) -> None:
        context = self._app_context
        self.paths = paths
        self._show(server, Snapshot(ConnectionStatus(opened_at=context.clock.monotonic())))
        async with open_session(
            server,
            paths,
            context.clock,
            context.random,
            on_change=lambda snapshot: self.post_snapshot(server, snapshot),
            on_notice=lambda words: self._app.notify(words, severity="warning", timeout=20),
        ) as session:
            ask = screen_ask(self._app, session)
            opened = ServerContext(
                self._app, context, session, paths, self._tasks, self._notifier, ask
            )
            async with open_controllers(opened, self._screen.chat, self._prompts) as controllers:
                self.controllers = controllers
                try:
                    await session.run()
                finally:
                    if self.controllers is controllers:
                        self.controllers = None

    def _server_from_url(self, url: str) -> Server:
        # `--read-only` makes every server of the settings so, and means a typed one as well.
        read_only = all(server.read_only for server in self._app_context.settings.servers)
        return server_at(url, self._app_context.home, read_only=read_only)

    async def _ask_for_password(self, server: Server, error: KeyPasswordNeeded) -> None:
        with_password = await ask_for_password(self._app, server, error)
        if with_password is not None:
            self._app.call_next(self.connect, with_password)
