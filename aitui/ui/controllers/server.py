"""The server that is open: its controllers are created with its session and dropped with it."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import cached_property, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from textual.app import App

from aitui.aio import shield, sleep_until
from aitui.collector import tune_collector
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import ConnectionPhase, ConnectionStatus, Server, Snapshot
from aitui.errors import AituiError, KeyPasswordNeeded
from aitui.settings.address import without_secrets
from aitui.ui.context import AppContext, ServerContext
from aitui.ui.keymap import APP

if TYPE_CHECKING:
    from pathlib import Path

    from aitui.domain.confirmation import Confirmation
    from aitui.paths import Paths
    from aitui.services.first_run import ServerDraft, ServerSetup
    from aitui.ui.background import TaskRunner
    from aitui.ui.controllers.activity import ActivityController
    from aitui.ui.controllers.chat import ChatController
    from aitui.ui.controllers.config import ConfigController
    from aitui.ui.controllers.conversations import ConversationsController
    from aitui.ui.controllers.logs import LogController
    from aitui.ui.controllers.models import ModelsController
    from aitui.ui.controllers.prompts import PromptStore
    from aitui.ui.controllers.slash_commands import SlashCommandRunner
    from aitui.ui.screens.models import ModelsScreen
    from aitui.ui.screens.setup import SetupScreen
    from aitui.ui.terminal.notifications import TerminalNotifier

FIRST_FRAME_SECONDS = 0.5
"""Seconds after which the connection no longer waits for the first frame."""
SETTLE_SECONDS = 2.0
"""Seconds from the first answer until what was imported and made by then counts as there for good."""

CLOSE_SECONDS = 5.0
"""Seconds that the end of aitui waits for what is being saved: a disk may hang."""


class ServerControllers:
    """What the app delegates to while a server is open; each part is created when first needed.

    What they import takes as long as the table of models, and 20 MiB. Importing it all in a thread
    once the table is there makes the first opening of the chat 60 ms faster, but every dashboard as
    large as one that has used everything.
    """

    def __init__(
        self, context: ServerContext, screen: "ModelsScreen", prompts: "Callable[[], PromptStore]"
    ) -> None:
        self.context = context
        self._screen = screen
        self._prompts = prompts
        self._open_chat: ChatController | None = None

    @cached_property
    def models(self) -> "ModelsController":
        from aitui.ui.controllers.models import ModelsController

        return ModelsController(self.context)

    @cached_property
    def chat(self) -> "ChatController":
        from aitui.ui.controllers.chat import ChatController

        self._screen.mount_chat()
        chat = ChatController(
            self.context, self._screen.chat, self._prompts(), load=self.models.load
        )
        self._open_chat = chat
        return chat

    @cached_property
    def config(self) -> "ConfigController":
        from aitui.ui.controllers.config import ConfigController

        return ConfigController(self.context)

    @cached_property
    def logs(self) -> "LogController":
        from aitui.ui.controllers.logs import LogController

        return LogController(self.context)

    @cached_property
    def activity(self) -> "ActivityController":
        from aitui.ui.controllers.activity import ActivityController

        return ActivityController(self.context, self.models)

    @cached_property
    def commands(self) -> "SlashCommandRunner":
        from aitui.ui.controllers.slash_commands import SlashCommandRunner

        return SlashCommandRunner(
            self.context, self.chat, self.models, self.config, self.conversations
        )

    @cached_property
    def conversations(self) -> "ConversationsController":
        from aitui.ui.controllers.conversations import ConversationsController

        return ConversationsController(self.context, self.chat, self._show_chat)

    async def _show_chat(self) -> None:
        """Show the chat from any view."""
        await self.context.app.run_action("app.models")
        await self._screen.open_chat()

    @property
    def shows_reply(self) -> bool:
        """Whether the reply that is shown is under way."""
        return self._open_chat is not None and self._open_chat.busy

    def report_rate(self) -> None:
        """Report the rate of our own reply if a chat is open: opening one takes 5 MiB."""
        if self._open_chat is not None:
            self._open_chat.report_rate()

    @property
    def any_reply(self) -> bool:
        """Whether any reply is under way."""
        return self._open_chat is not None and self._open_chat.any_busy

    @property
    def has_open_work(self) -> bool:
        """Whether a load or a reply would be cut if this server were left."""
        return self.any_reply or self.models.is_loading

    async def confirm_quit(self) -> bool:
        """Ask whether to quit while a reply or a load is running."""
        from aitui.services.load import quit_confirmation

        return await self.context.ask(
            lambda snapshot: quit_confirmation(snapshot, answering=self.any_reply)
        )

    def submit(self, text: str) -> None:
        """Run a slash command, or send a prompt, once the conversation is open."""
        from aitui.domain.slash import is_slash_command

        if self.chat.is_opening:
            waiting = self._submit_when_open(text)
            self.context.tasks.run_in_background(waiting, "submit", exclusive=False)
            return
        if is_slash_command(text):
            self.chat.add_to_history(text)
            self.context.tasks.run_in_background(self.commands.run(text), "slash command")
        else:
            self.chat.send(text)

    def suggest(self) -> None:
        """List what the command in the prompt may become."""
        pane = self._screen.chat
        text = pane.prompt.text
        is_typed = text.startswith("/") and not pane.prompt.is_recalling
        pane.suggest(text, self.commands.suggestions(text) if is_typed else ())

    async def _submit_when_open(self, text: str) -> None:
        await self.chat.wait_until_open()
        self.submit(text)

    def update_snapshot(self, snapshot: Snapshot) -> None:
        """Pass a new state of the server on to those that act on it."""
        if self._open_chat is not None:
            self._open_chat.update_snapshot(snapshot)
        if snapshot.hardware.slowdowns:
            self.config.report_slowdowns(snapshot)

    async def close(self) -> None:
        """Stop every reply and keep its text."""
        if self._open_chat is not None:
            await self._open_chat.close()


class ServerSwitcher:
    """Keeps one server open at a time: the one of the settings, a chosen one, or that of the demo.

    `show` gets the server that is about to be opened and its first snapshot, `on_change` the later
    ones.
    """

    def __init__(
        self,
        app: App[None],
        context: AppContext,
        tasks: "TaskRunner",
        notifier: "TerminalNotifier",
        *,
        screen: "ModelsScreen",
        show: Callable[[Server, Snapshot], None],
        on_change: Callable[[Server, Snapshot], None],
    ) -> None:
        self._app = app
        self._app_context = context
        self._sessions: set[asyncio.Task[Any]] = set()
        self._tasks = tasks
        self._notifier = notifier
        self._screen = screen
        self._show = show
        self._on_change = on_change
        self._has_asked_for_password = False
        self._is_settled = False
        self._demo: Server | None = None
        self._added: tuple[Server, ...] = ()
        self._draft: ServerDraft | None = None
        self.controllers: ServerControllers | None = None
        """None until the session is open, and while there is no server."""
        self.paths = context.paths
        """Those of the server: a demo has its own."""
        self.has_painted = asyncio.Event()
        """Set with the app's first frame, which nothing is to delay."""

    @cached_property
    def _prompts(self) -> "PromptStore":
        from aitui.ui.controllers.prompts import PromptStore

        return PromptStore(lambda words: self._app.notify(words, severity="warning"))

    def start(self) -> None:
        """Connect to the server of the settings, or show why that is impossible."""
        context = self._app_context
        if context.start_with_demo:
            self.open_demo()
        elif not context.settings.has_server:
            self._show_first_run()
        elif context.missing_certificates:
            from aitui.ui.screens.setup import SetupScreen

            screen = SetupScreen(context.settings.server, context.missing_certificates)
            self._app.push_screen(screen)
        else:
            self.connect(context.settings.server)

    def connect(self, server: Server) -> None:
        """Close the current server and open another one."""
        self._start_session(self._run_session(server, self._app_context.paths))

    @property
    def known_servers(self) -> tuple[Server, ...]:
        """The servers of the settings, and those that were added since."""
        return (*self._app_context.settings.servers, *self._added)

    def _show_first_run(self) -> None:
        from aitui.ui.screens.first_run import FirstRunScreen

        context = self._app_context
        setup = self._server_setup()
        config = setup.show_path(setup.config)
        servers, ports = context.settings.servers, context.usual_ports
        self._app.push_screen(FirstRunScreen(servers, context.clock, config, ports))

    def describe_server(self) -> None:
        """Ask for a new server; what was typed before and not saved is still there."""
        from aitui.services.first_run import ServerDraft
        from aitui.ui.screens.new_server import NewServerScreen

        def keep(draft: ServerDraft | None) -> None:
            self._draft = draft

        if not isinstance(self._app.screen, NewServerScreen):
            screen = NewServerScreen(self._server_setup(), self._draft or ServerDraft())
            self._app.push_screen(screen, keep)

    def _server_setup(self) -> "ServerSetup":
        from aitui.services.first_run import ServerSetup

        context = self._app_context
        config = context.settings.config_file or context.paths.config / "config.toml"
        return ServerSetup(config, context.home, context.settings.template, context.clock)

    async def add(self, draft: "ServerDraft") -> None:
        """Save a new server in config.toml, and connect to it."""
        from aitui.ui.screens.new_server import NewServerScreen

        setup = self._server_setup()
        try:
            server = await asyncio.to_thread(setup.save, draft)
        except AituiError as error:
            if not isinstance(self._app.screen, NewServerScreen):
                raise
            self._app.screen.show_error(error)
            return
        self._added += (server,)
        self._draft = None
        self._app.notify(f"Saved as {server.name} in {setup.show_path(setup.config)}")
        await self.go_to(server)

    def open_demo(self) -> None:
        """Close the current server and open the demo."""
        self._start_session(self._run_demo())

    def refresh(self) -> None:
        """Fetch everything from the server at once."""
        self._has_asked_for_password = False
        if self.controllers is not None:
            self.controllers.context.session.monitor.refresh()

    def update_snapshot(self, server: Server, snapshot: Snapshot) -> None:
        """Act on a new state of the server: it may wait for the password of a key."""
        if self.controllers is not None:
            self.controllers.update_snapshot(snapshot)
        if not self._is_settled and snapshot.connection.phase is not ConnectionPhase.CONNECTING:
            self._is_settled = True
            self._app.set_timer(SETTLE_SECONDS, tune_collector)
        error = snapshot.connection.error
        if isinstance(error, KeyPasswordNeeded) and not self._has_asked_for_password:
            self._has_asked_for_password = True
            self._tasks.run_in_background(self._ask_for_password(server, error), "password")

    async def choose(self, current: Server | None) -> None:
        """Ask for another server and connect to it."""
        from aitui.ui.screens.dialogs import ServerChoice, ServersScreen

        servers = self.known_servers
        here = None
        if current is not None:
            known = next((one for one in servers if one.identity == current.identity), None)
            in_demo = current is self._demo or known is not None
            here = ServerChoice(known, "" if in_demo else current.url)
        screen = ServersScreen(
            servers, here, self._server_at, used_before=self.read_urls, forget=self._forget_url
        )

        choice = await self._app.push_screen_wait(screen)
        if choice is not None and choice.server is not None:
            await self.go_to(choice.server)
        elif choice is not None and choice.url:
            await self.go_to_url(choice.url)
        elif choice is not None:
            await self.leave_for(self.open_demo)

    async def go_to_url(self, url: str) -> None:
        """Connect to the server at a URL, and remember the URL."""
        from aitui.store.files import remember_url

        server = self._server_at(url)
        await self._change_urls(remember_url, server.url)
        await self.go_to(server)

    async def read_urls(self) -> tuple[str, ...]:
        """Return the URLs that were typed before, the newest first."""
        from aitui.store.files import read_urls

        return await asyncio.to_thread(read_urls, self._app_context.paths.state)

    def _server_at(self, url: str) -> Server:
        from aitui.settings import server_at

        return server_at(url, self._app_context.home, self._app_context.settings.template)

    def _forget_url(self, url: str) -> None:
        from aitui.store.files import forget_url

        forgetting = self._change_urls(forget_url, url)
        self._tasks.run_in_background(forgetting, "forget", exclusive=False)

    async def _change_urls(self, change: Callable[["Path", str], None], url: str) -> None:
        state = self._app_context.paths.state
        try:
            await asyncio.to_thread(change, state, url)
        except OSError as error:
            words = f"{state}: {error.strerror or error}"
            self._app.notify(words, title="The URLs used before can't be saved", severity="warning")

    async def go_to(self, server: Server) -> None:
        """Connect to another server, or show which of its certificate files are missing."""
        from aitui.settings import missing_certificates
        from aitui.ui.screens.setup import SetupScreen

        missing = await asyncio.to_thread(missing_certificates, server)
        if missing:
            self._app.push_screen(SetupScreen(server, tuple(missing)))
        else:
            await self.leave_for(lambda: self.connect(server))

    async def recheck_certificates(self, screen: "SetupScreen") -> None:
        """Connect if the certificate files of the settings' server are there by now."""
        from aitui.settings import missing_certificates

        server = self._app_context.settings.server
        missing = await asyncio.to_thread(missing_certificates, server)
        if not missing:
            await self.leave_for(lambda: self.connect(server))
        elif self._app.screen is screen:
            screen.show(missing)
            self._app.notify("Still missing", severity="warning")

    async def go_to_peer(self, peer: str) -> None:
        """Connect to the server that a peer is: the one of its name, else the one of its URL."""
        servers = self.known_servers
        server = next((one for one in servers if one.name.casefold() == peer.casefold()), None)
        url = self._peer_url(peer) if server is None else ""
        if url:
            server = next((one for one in servers if one.has_url(url)), None)
        if server is not None:
            await self.go_to(server)
        elif url:
            shown = sanitize_line(without_secrets(url), 200)
            words = f"config.toml has no server with the URL of {peer}, {shown}"
            words += f": {APP.sign('switch_server')} adds it"
            self._app.notify(words, severity="warning")
        else:
            words = f"config.toml has no server named {peer}: give one that name to open it here"
            self._app.notify(words, severity="warning")

    def _peer_url(self, peer: str) -> str:
        """Return what the config file said of a peer when it was last read, "" if it wasn't."""
        watch = self.controllers and self.controllers.context.session.config_watch
        config = watch.last_read if watch else None
        return config.peer_urls.get(peer, "") if config else ""

    async def leave_for(self, connect: Callable[[], None]) -> None:
        """Switch to another server; ask first if a load is running."""
        from aitui.services.load import leave_confirmation

        current = self.controllers
        if current is not None and current.models.is_loading:
            label = current.context.session.server.label
            if not await current.context.ask(lambda snapshot: leave_confirmation(label, snapshot)):
                return
        # Not from here: it ends every worker, this one as well.
        self._app.call_next(connect)

    def _start_session(self, life: Coroutine[Any, Any, None]) -> None:
        self.controllers = None
        self._screen.show_chat(shown=False)
        # Before the workers: a worker that is cancelled while it awaits a modal leaves that open.
        while len(self._app.screen_stack) > 1:
            self._app.pop_screen()
        self._app.workers.cancel_node(self._app)
        self._tasks.run_in_background(life, "server")

    async def wait_closed(self) -> None:
        """Wait until replies and drafts are saved, once the app has ended."""
        # The end of the loop cancels what closes a session a second time, in the middle of a write.
        if self._sessions:
            await asyncio.wait(self._sessions, timeout=CLOSE_SECONDS)

    async def _run_demo(self) -> None:
        async with self._app_context.demo_world() as (server, paths):
            self._demo = server
            await self._run_session(server, paths)

    async def _run_session(self, server: Server, paths: "Paths") -> None:
        context = self._app_context
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)
        self.paths = paths
        self._show(server, Snapshot(ConnectionStatus(opened_at=context.clock.monotonic())))
        # Not before: a snapshot of the server that was left may still be on its way to the app, and
        # would ask for the password that was just given.
        self._has_asked_for_password = False
        # A terminal without a size gets no frame.
        await sleep_until(self.has_painted, FIRST_FRAME_SECONDS)
        # In a thread: with httpx it takes as long as Textual, and keys are answered meanwhile.
        await asyncio.to_thread(import_module, "aitui.llamaswap.client")
        from aitui.host.listener import locate_host
        from aitui.services.session import open_session

        if (located := await locate_host(server)) is not server:
            server = located
            self._show(server, Snapshot(ConnectionStatus(opened_at=context.clock.monotonic())))
        async with open_session(
            server,
            paths,
            context.clock,
            context.random,
            on_change=partial(self._on_change, server),
            on_notice=lambda words: self._app.notify(words, severity="warning", timeout=20),
        ) as session:

            async def ask(build: "Callable[[Snapshot], Confirmation]") -> bool:
                from aitui.ui.screens.confirm import ConfirmScreen

                return await self._app.push_screen_wait(ConfirmScreen(build, session.snapshot))

            opened = ServerContext(
                self._app, context, session, paths, self._tasks, self._notifier, ask
            )
            controllers = ServerControllers(opened, self._screen, lambda: self._prompts)
            self.controllers = controllers
            try:
                await session.run()
            finally:
                if self.controllers is controllers:
                    self.controllers = None
                # To quit while a server is being closed cancels this a second time.
                await shield(controllers.close())

    async def _ask_for_password(self, server: Server, error: KeyPasswordNeeded) -> None:
        from aitui.ui.screens.dialogs import KeyPasswordScreen

        # Kept in memory alone.
        if password := await self._app.push_screen_wait(KeyPasswordScreen(error)):
            self._app.call_next(self.connect, replace(server, client_key_password=password))
