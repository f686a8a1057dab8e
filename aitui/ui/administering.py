"""The app's part in administering: keys, messages and commands about the server's machine."""

from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widgets import Input, TextArea

from aitui.domain.config.sizes import parse_context_size
from aitui.domain.memory.forecast import OffloadSlowdown
from aitui.domain.slash import SlashCommand
from aitui.domain.snapshot import Snapshot
from aitui.services.slowdown import revert_context_confirmation, slowdown_text
from aitui.ui.chatting import ChatApp
from aitui.ui.context import AppContext
from aitui.ui.controllers.host import HostController
from aitui.ui.messages import (
    ConfigEditRequested,
    ConfigViewRequested,
    ModelAddRequested,
    ModelRemovalRequested,
)
from aitui.ui.screens.config import ConfigScreen
from aitui.ui.screens.models import ModelsScreen
from aitui.ui.widgets.composer import Composer


class AdminApp(ChatApp):
    """Passes on what is wanted of the machine behind the server."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("5", "config", "config file"),
        Binding("H", "reload_config", "reload the config"),
        Binding("R", "restart_service", "restart the service"),
    ]

    def __init__(self, opening: AppContext) -> None:
        super().__init__(opening)
        self._reported_slowdowns: dict[str, int] = {}
        self._host_controller = HostController(
            self,
            opening,
            lambda: self._session,
            self.run_in_background,
            ask=self._ask,
            on_newer=self._show_config_note,
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where something is typed, the key of the context size is a letter."""
        if action == "change_context":
            typing = isinstance(self.focused, Input | Composer)
            return isinstance(self.screen, ModelsScreen | ConfigScreen) and not typing
        return super().check_action(action, parameters)

    def action_change_context(self) -> None:
        """Change the context size of the model under the cursor."""
        screen, highlighted = self.screen, self._models_screen.selected_model
        model_id = highlighted.id if highlighted is not None else ""
        if isinstance(screen, ConfigScreen):
            model_id = screen.model_id
        if model_id:
            self._host_controller.ask_for_context_size(model_id)
        else:
            words = "There is no model under the cursor"
            self.notify(words, severity="warning", markup=False)

    def action_config(self) -> None:
        """Show the server's config file, at the model under the cursor."""
        self._host_controller.show_config(self._models_screen.selected_model)

    def action_reload_config(self) -> None:
        """Have the server read its config file again."""
        self._host_controller.reload()

    def action_restart_service(self) -> None:
        """Restart the service of the server."""
        self._host_controller.restart()

    def action_undo_change(self) -> None:
        """Take the last change of the config file back."""
        self._host_controller.undo()

    def run_host_command(self, command: SlashCommand, model_id: str) -> None:
        """What a slash command wants. Raises ConfigRefused for a size that is none."""
        match command.name:
            case "ctx":
                size = parse_context_size(command.words[-1])
                self._host_controller.change_context_size(model_id, size)
            case "flag":
                flag, value = command.words[1], " ".join(command.words[2:])
                self._host_controller.change_flag(model_id, flag, value)
            case "preset":
                self.action_config()
            case "reload":
                self.action_reload_config()
            case "restart":
                self.action_restart_service()
            case _:
                self.action_undo_change()

    def report_slowdowns(self, snapshot: Snapshot) -> None:
        """Point each model out, once, that a larger context has made slow."""
        for spill in snapshot.hardware.slowdowns:
            if (
                spill.model not in self._reported_slowdowns
                or self._reported_slowdowns[spill.model] != spill.context_size
            ):
                self._reported_slowdowns[spill.model] = spill.context_size
                self.run_in_background(self._offer_context_rollback(spill), "slow", exclusive=False)

    async def _offer_context_rollback(self, spill: OffloadSlowdown) -> None:
        # Where somebody types, a question would take the letters.
        server = self._models_screen.server
        changeable = server is not None and server.ssh_host and not server.read_only
        if changeable and not isinstance(self.focused, Input | TextArea):
            question = revert_context_confirmation(spill)
            if await self._ask(lambda _: question):
                self._host_controller.change_context_size(spill.model, spill.context_before)
            return
        words = f"{slowdown_text(spill)}. /ctx {spill.model} {spill.context_before} goes back."
        title = f"{spill.model} has become slow"
        self.notify(words, title=title, severity="warning", timeout=20, markup=False)

    def _show_config_note(self, words: str) -> None:
        self._models_screen.config_note = words

    @on(ModelRemovalRequested)
    def _handle_removal_request(self, message: ModelRemovalRequested) -> None:
        self._host_controller.remove_model(message.model_id)

    @on(ModelAddRequested)
    def _handle_add_request(self) -> None:
        self._host_controller.add_model()

    @on(ConfigViewRequested)
    def _handle_config_view_request(self) -> None:
        self._host_controller.read_config()

    @on(ConfigEditRequested)
    def _handle_config_edit_request(self, message: ConfigEditRequested) -> None:
        self._host_controller.edit_config(message.line)
