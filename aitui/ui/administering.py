"""The app's part in administering: keys, messages and commands about the server's machine."""

from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widgets import Input, TextArea

from aitui.commands.spilled import question_to_go_back, spill_words
from aitui.domain.config.sizes import parse_context_size
from aitui.domain.memory.spill import Spill
from aitui.domain.slash import SlashCommand
from aitui.domain.snapshot import Snapshot
from aitui.ui.admin_messages import (
    ConfigEditWished,
    ConfigWished,
    ModelAddWished,
    ModelRemovalWished,
)
from aitui.ui.chatting import ChatApp
from aitui.ui.open_admin import OpenAdmin
from aitui.ui.opening import Opening
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

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._slow: dict[str, int] = {}
        self._administration = OpenAdmin(
            self,
            opening,
            lambda: self._session,
            self._beside,
            ask=self._ask,
            on_newer=self._config_newer,
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where something is typed, the key of the context size is a letter."""
        if action == "change_context":
            typing = isinstance(self.focused, Input | Composer)
            return isinstance(self.screen, ModelsScreen | ConfigScreen) and not typing
        return super().check_action(action, parameters)

    def action_change_context(self) -> None:
        """Change the context size of the model under the cursor."""
        screen, highlighted = self.screen, self._models.highlighted
        model_id = highlighted.id if highlighted is not None else ""
        if isinstance(screen, ConfigScreen):
            model_id = screen.model_id
        if model_id:
            self._administration.ask_for_context(model_id)
        else:
            words = "There is no model under the cursor"
            self.notify(words, severity="warning", markup=False)

    def action_config(self) -> None:
        """Show the server's config file, at the model under the cursor."""
        self._administration.show_config(self._models.highlighted)

    def action_reload_config(self) -> None:
        """Have the server read its config file again."""
        self._administration.reload()

    def action_restart_service(self) -> None:
        """Restart the service of the server."""
        self._administration.restart()

    def action_undo_change(self) -> None:
        """Take the last change of the config file back."""
        self._administration.undo()

    def administer(self, command: SlashCommand, model_id: str) -> None:
        """What a slash command wants. Raises ConfigRefused for a size that is none."""
        match command.name:
            case "ctx":
                size = parse_context_size(command.words[-1])
                self._administration.change_context(model_id, size)
            case "flag":
                flag, value = command.words[1], " ".join(command.words[2:])
                self._administration.change_flag(model_id, flag, value)
            case "preset":
                self.action_config()
            case "reload":
                self.action_reload_config()
            case "restart":
                self.action_restart_service()
            case _:
                self.action_undo_change()

    def heed_spills(self, snapshot: Snapshot) -> None:
        """Point each model out, once, that a larger context has made slow."""
        for spill in snapshot.hardware.spills:
            if spill.model not in self._slow or self._slow[spill.model] != spill.context_size:
                self._slow[spill.model] = spill.context_size
                self._beside(self._offer_to_go_back(spill), "slow", exclusive=False)

    async def _offer_to_go_back(self, spill: Spill) -> None:
        # Where somebody types, a question would take the letters.
        server = self._models.server
        changeable = server is not None and server.ssh_host and not server.read_only
        if changeable and not isinstance(self.focused, Input | TextArea):
            question = question_to_go_back(spill)
            if await self._ask(lambda _: question):
                self._administration.change_context(spill.model, spill.context_before)
            return
        words = f"{spill_words(spill)}. /ctx {spill.model} {spill.context_before} goes back."
        title = f"{spill.model} has become slow"
        self.notify(words, title=title, severity="warning", timeout=20, markup=False)

    def _config_newer(self, words: str) -> None:
        self._models.config_note = words

    @on(ModelRemovalWished)
    def _removal_wished(self, message: ModelRemovalWished) -> None:
        self._administration.remove_model(message.model_id)

    @on(ModelAddWished)
    def _add_wished(self) -> None:
        self._administration.add_model()

    @on(ConfigWished)
    def _config_wished(self) -> None:
        self._administration.read_config()

    @on(ConfigEditWished)
    def _config_edit_wished(self, message: ConfigEditWished) -> None:
        self._administration.edit_config(message.line)
