"""The server's config file: view 5, and every change of the file."""

from textual.widgets import Input, TextArea

from aitui.domain.confirmation import Confirmation
from aitui.domain.memory.forecast import OffloadSlowdown
from aitui.domain.models import Model
from aitui.domain.snapshot import Snapshot
from aitui.errors import ConfigRefused
from aitui.services.config_plan import (
    CONTEXT_SIZE,
    find_unused_files,
    plan_content,
    plan_new_model,
    plan_removal,
    revert_context_confirmation,
    slowdown_text,
)
from aitui.services.host_admin import no_host_error
from aitui.services.load import resolve_model
from aitui.ui.context import ServerContext
from aitui.ui.controllers.frontend import error_lines
from aitui.ui.controllers.host import HostController
from aitui.ui.keymap import remedy_text
from aitui.ui.screens.config import ConfigScreen
from aitui.ui.screens.context_size import ContextSizeScreen
from aitui.ui.screens.dialogs import ChooseScreen
from aitui.ui.terminal.external_editor import edit_bytes, keep_edit


class ConfigController:
    """Shows the config file of one session and changes it through the controller of its host."""

    def __init__(self, context: ServerContext, host: HostController) -> None:
        self._app = context.app
        self._clock = context.app_context.clock
        self._session = context.session
        self._tasks = context.tasks
        self._ask = context.ask
        self._host = host
        self._reported_slowdowns: dict[str, int] = {}

    def show(self, model: Model | None) -> None:
        """Open view 5."""
        if not self._host.has_host:
            error = no_host_error(self._session.server)
            words = f"{error.why}\n{remedy_text(error)}"
            self._app.notify(words, title=error.what, severity="warning")
        elif not isinstance(self._app.screen, ConfigScreen):
            model_id = model.id if model is not None else ""
            self._app.push_screen(ConfigScreen(self._clock, self._session.server, model_id))

    def ask_for_context_size(self, model_id: str) -> None:
        """Ask for another context size, and change it.

        The dialog opens at once, before the host is reached: what is typed ahead belongs to it.
        """
        snapshot = self._session.snapshot
        model = snapshot.model(model_id)
        if model is None or not self._host.can_change:
            # Says why not.
            self.change_context_size(model_id)
            return

        def change(size: int | None) -> None:
            if size is not None:
                self.change_context_size(model_id, size)

        self._app.push_screen(ContextSizeScreen(model, snapshot), change)

    def change_context_size(self, model_id: str, size: int | None = None) -> None:
        """Change a context size; asks for the size if none is given."""
        self._host.start_change(lambda: self._change_context_size(model_id, size))

    def change_flag(self, model_id: str, flag: str, value: str) -> None:
        """Give a flag of llama-server, or `ttl`, another value."""
        self._host.start_change(lambda: self._change_flag(model_id, flag, value))

    def edit(self, line: int) -> None:
        """Edit the whole file in `$EDITOR`."""
        self._host.start_change(lambda: self._edit(line))

    def add_model(self) -> None:
        """Put a model into the file."""
        self._host.start_change(self._add_model)

    def remove_model(self, model_id: str) -> None:
        self._host.start_change(lambda: self._remove_model(model_id))

    def report_slowdowns(self, snapshot: Snapshot) -> None:
        """Point each model out, once, that a larger context has made slow."""
        for slowdown in snapshot.hardware.slowdowns:
            if self._reported_slowdowns.get(slowdown.model) != slowdown.context_size:
                self._reported_slowdowns[slowdown.model] = slowdown.context_size
                self._tasks.run_in_background(
                    self._offer_context_rollback(slowdown), "slow", exclusive=False
                )

    async def _offer_context_rollback(self, slowdown: OffloadSlowdown) -> None:
        model_id, before = slowdown.model, slowdown.context_before
        server = self._session.server
        changeable = server.ssh_host and not server.read_only
        # While text is typed, a question would take the letters.
        if changeable and not isinstance(self._app.focused, Input | TextArea):
            question = revert_context_confirmation(slowdown)
            if await self._ask(lambda _: question):
                self.change_context_size(model_id, before)
            return
        words = f"{slowdown_text(slowdown)}. /ctx {model_id} {before} goes back."
        title = f"{model_id} has become slow"
        self._app.notify(words, title=title, severity="warning", timeout=20)

    async def _change_context_size(self, model_id: str, size: int | None) -> None:
        runner = await self._host.open_runner("changing a context size")
        snapshot = self._session.snapshot
        model = snapshot.model(model_id) or resolve_model(model_id, snapshot)
        if size is None:
            size = await self._app.push_screen_wait(ContextSizeScreen(model, snapshot))
        if size is not None and await runner.change_flag(model.id, CONTEXT_SIZE, str(size)):
            self._host.read_config()

    async def _change_flag(self, model_id: str, flag: str, value: str) -> None:
        runner = await self._host.open_runner("changing a flag")
        if await runner.change_flag(model_id, flag, value):
            self._host.read_config()

    async def _edit(self, line: int) -> None:
        runner = await self._host.open_runner("editing the config file")
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
                self._app.notify("The file is as it was")
                return
            result = await runner.change(plan)
            if result is not None:
                self._host.read_config()
            if result is None or result.error is not None:
                words = f"The edit is kept in {await keep_edit(content, '.yaml')}"
                self._app.notify(words, timeout=20)
            return

    async def _add_model(self) -> None:
        runner = await self._host.open_runner("adding a model")
        files = await find_unused_files(runner.admin)
        if not files:
            words = "No GGUF file in the folders of the config's models is without a block"
            self._app.notify(words, severity="warning", timeout=8)
            return
        path = await self._app.push_screen_wait(ChooseScreen("Add which file as a model?", files))
        if path is not None:
            # One that runs has flags that work.
            likely = [model.id for model in self._session.snapshot.ready]
            if await runner.change(await plan_new_model(runner.admin, path, likely=likely)):
                self._host.read_config()

    async def _remove_model(self, model_id: str) -> None:
        runner = await self._host.open_runner("removing a model")
        if await runner.change(await plan_removal(runner.admin, model_id)):
            self._host.read_config()
