"""The host behind the server: its config file shown and changed, its service reloaded."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from aitui.domain.confirmation import Ask, Confirmation
from aitui.domain.models import Model
from aitui.domain.snapshot import Snapshot
from aitui.errors import ActionRefused, AituiError, ConfigRefused, SshKeyPassphraseNeeded
from aitui.services.config_plan import (
    CONTEXT_SIZE,
    find_unused_files,
    plan_content,
    plan_new_model,
    plan_removal,
    read_server_config,
)
from aitui.services.config_runner import ConfigRunner
from aitui.services.host_admin import HostAdmin, connect, no_host_error
from aitui.services.load import resolve_model
from aitui.services.session import Session
from aitui.ui.context import AppContext
from aitui.ui.controllers.frontend import DialogFrontend, error_lines
from aitui.ui.keymap import remedy_text
from aitui.ui.screens.config import ConfigScreen, highlight_config
from aitui.ui.screens.context_size import ContextSizeScreen
from aitui.ui.screens.dialogs import ChooseScreen, KeyPasswordScreen
from aitui.ui.terminal.external_editor import edit_bytes, keep_edit

if TYPE_CHECKING:
    from textual.app import App

RunInBackground = Callable[[Coroutine[Any, Any, None], str], None]


class HostController:
    """Shows view 5, and does what keys, palette and slash commands request of the host.

    `beside` runs a task of a group in the background; `on_newer` is called with the note on a
    config file that the server hasn't read yet.
    """

    def __init__(
        self,
        app: "App[None]",
        opening: AppContext,
        session: Callable[[], Session | None],
        beside: RunInBackground,
        *,
        ask: Ask,
        on_newer: Callable[[str], None],
    ) -> None:
        self._app = app
        self._app_context = opening
        self._session = session
        self._run_in_background = beside
        self._ask = ask
        self._on_config_note = on_newer
        self._is_changing = False

    def update_snapshot(self, snapshot: Snapshot) -> None:
        """Show the note on the config file."""
        self._on_config_note(snapshot.config_note)

    def show_config(self, model: Model | None) -> None:
        """Open view 5."""
        session = self._session()
        if session is None or session.admin is None:
            self._notify_no_host()
        elif not isinstance(self._app.screen, ConfigScreen):
            self._app.push_screen(
                ConfigScreen(
                    self._app_context.clock,
                    session.server,
                    session.snapshot,
                    model.id if model is not None else "",
                )
            )

    def read_config(self) -> None:
        """Read the file that view 5 shows."""
        self._run_in_background(self._read_config(), "read config")

    def ask_for_context_size(self, model_id: str) -> None:
        """Ask for another context size, and change it.

        The dialog opens at once, before the host is reached: what is typed ahead belongs to it.
        """
        session = self._session()
        model = session.snapshot.model(model_id) if session is not None else None
        if session is None or model is None or not self._can_change(session):
            # Says why not.
            self.change_context_size(model_id)
            return

        def change(size: int | None) -> None:
            if size is not None:
                self.change_context_size(model_id, size)

        self._app.push_screen(ContextSizeScreen(model, session.snapshot), change)

    def change_context_size(self, model_id: str, size: int | None = None) -> None:
        """Change a context size; asks for the size if none is given."""
        self._start_change(lambda: self._change_context_size(model_id, size))

    def change_flag(self, model_id: str, flag: str, value: str) -> None:
        """Give a flag of llama-server, or `ttl`, another value."""
        self._start_change(lambda: self._change_flag(model_id, flag, value))

    def edit_config(self, line: int) -> None:
        """Edit the whole file in `$EDITOR`."""
        self._start_change(lambda: self._edit_config(line))

    def add_model(self) -> None:
        """Add a model to the file."""
        self._start_change(self._add_model)

    def remove_model(self, model_id: str) -> None:
        """Remove a model from the file."""
        self._start_change(lambda: self._remove_model(model_id))

    def reload(self) -> None:
        """Make the server read its config file again."""
        self._start_change(self._reload)

    def restart(self) -> None:
        """Restart the service."""
        self._start_change(self._restart)

    def undo(self) -> None:
        """Take the last change of the config file back."""
        self._start_change(self._undo)

    async def _read_config(self) -> None:
        screen = self._config_screen
        if screen is None:
            self._check_config()
            return
        try:
            admin, _ = await self._connect_host()
            config = await read_server_config(admin)
        except AituiError as error:
            screen.show_error(error)
            return
        self._check_config()
        screen.show_config(config, await asyncio.to_thread(highlight_config, config.text))

    async def _change_context_size(self, model_id: str, size: int | None) -> None:
        runner, session = await self._open_runner("changing a context size")
        model = session.snapshot.model(model_id) or resolve_model(model_id, session.snapshot)
        if size is None:
            size = await self._app.push_screen_wait(ContextSizeScreen(model, session.snapshot))
        if size is not None and await runner.change_flag(model.id, CONTEXT_SIZE, str(size)):
            self.read_config()

    async def _change_flag(self, model_id: str, flag: str, value: str) -> None:
        runner, _ = await self._open_runner("changing a flag")
        if await runner.change_flag(model_id, flag, value):
            self.read_config()

    async def _edit_config(self, line: int) -> None:
        runner, _ = await self._open_runner("editing the config file")
        reading = await runner.admin.config.read()
        content = reading.content
        while True:
            content = await edit_bytes(
                self._app, content, suffix=".yaml", line=line, elsewhere=reading.content
            )
            try:
                plan = await plan_content(reading, content)
            except ConfigRefused as error:
                confirmation = Confirmation(
                    "That file can't be used. Edit it again?",
                    error_lines(error),
                    yes="Edit again",
                    no="Throw the edit away",
                )
                line = error.line or line
                if await self._ask(lambda _: confirmation):  # noqa: B023
                    continue
                return
            if plan is None:
                self._app.notify("The file is as it was", markup=False)
                return
            result = await runner.change(plan)
            if result is not None:
                self.read_config()
            if result is None or result.error is not None:
                words = f"The edit is kept in {await keep_edit(content, '.yaml')}"
                self._app.notify(words, timeout=20, markup=False)
            return

    async def _add_model(self) -> None:
        runner, session = await self._open_runner("adding a model")
        files = await find_unused_files(runner.admin)
        if not files:
            words = "No GGUF file in the folders of the config's models is without a block"
            self._app.notify(words, severity="warning", timeout=8, markup=False)
            return
        path = await self._app.push_screen_wait(ChooseScreen("Add which file as a model?", files))
        if path is not None:
            # One that runs has flags that work.
            likely = [model.id for model in session.snapshot.ready]
            if await runner.change(await plan_new_model(runner.admin, path, likely=likely)):
                self.read_config()

    async def _remove_model(self, model_id: str) -> None:
        runner, _ = await self._open_runner("removing a model")
        if await runner.change(await plan_removal(runner.admin, model_id)):
            self.read_config()

    async def _reload(self) -> None:
        runner, _ = await self._open_runner("reloading the server")
        if await runner.reload():
            self.read_config()

    async def _restart(self) -> None:
        runner, _ = await self._open_runner("restarting the service")
        await runner.restart()

    async def _undo(self) -> None:
        runner, _ = await self._open_runner("undoing a change")
        if await runner.undo(lambda at: time.strftime("%H:%M", time.localtime(at))):
            self.read_config()

    def _can_change(self, session: Session) -> bool:
        return session.admin is not None and not (session.server.read_only or self._is_changing)

    def _start_change(self, change: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run what changes something there; one at a time, since each waits for its effect."""
        if self._is_changing:
            words = "Something is being changed there already: wait for its end"
            self._app.notify(words, severity="warning", markup=False)
        else:
            self._run_in_background(self._run_change(change), "change")

    async def _run_change(self, change: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._is_changing = True
        try:
            await change()
        finally:
            self._is_changing = False

    async def _open_runner(self, action: str) -> tuple[ConfigRunner, Session]:
        admin, session = await self._connect_host(action)
        frontend = DialogFrontend(self._app, self._app_context.clock, session, self._ask)
        return ConfigRunner(admin, session, frontend), session

    async def _connect_host(self, action: str = "") -> tuple[HostAdmin, Session]:
        """Connect the host; raises the reason if that, or a change, is impossible."""
        session = self._session()
        if session is None:
            raise self._no_host_error()
        admin, config_watch = session.require_host()
        if action:
            admin.refuse_if_read_only(action)
        await connect(admin, self._ask, self._ask_for_passphrase)
        await config_watch.recover()
        return admin, session

    async def _ask_for_passphrase(self, error: SshKeyPassphraseNeeded) -> str:
        return await self._app.push_screen_wait(KeyPasswordScreen(error))

    def _check_config(self) -> None:
        """What the table shows of the file may have changed, or may only now be readable."""
        session = self._session()
        if session is not None and session.config_watch is not None:
            session.config_watch.check_now()

    def _no_host_error(self) -> ActionRefused:
        session = self._session()
        return no_host_error(session.server if session else self._app_context.settings.server)

    def _notify_no_host(self) -> None:
        error = self._no_host_error()
        self._app.notify(
            f"{error.why}\n{remedy_text(error)}", title=error.what, severity="warning", markup=False
        )

    @property
    def _config_screen(self) -> ConfigScreen | None:
        screens = (one for one in self._app.screen_stack if isinstance(one, ConfigScreen))
        return next(screens, None)
