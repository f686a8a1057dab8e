"""The app's part in chatting: what prompt, transcript and chat keys want is done here."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType

from aitui.domain.confirmation import Confirmation
from aitui.domain.slash import SlashCommand, is_slash_command
from aitui.domain.snapshot import Clock, Snapshot
from aitui.services.history import deletion_confirmation
from aitui.services.load import open_loads, quit_confirmation
from aitui.services.session import Session
from aitui.ui.comfort import NotifyingApp
from aitui.ui.context import AppContext
from aitui.ui.controllers.chat import ChatController
from aitui.ui.controllers.slash_commands import SlashCommandRunner
from aitui.ui.messages import ChatRequested
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.screens.history import HistoryScreen
from aitui.ui.screens.models import ModelsScreen
from aitui.ui.terminal.external_editor import edit_text
from aitui.ui.widgets.composer import Composer
from aitui.ui.widgets.transcript import Transcript

DOUBLE_INTERRUPT_SECONDS = 2.0
"""Seconds in which a second ^c quits."""


class ChatApp(NotifyingApp):
    """Holds the conversations beside the table of models."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "ctrl+c", "interrupt", "stop the answer; twice: quit", show=False, key_display="^c"
        ),
    ]

    def __init__(self, opening: AppContext) -> None:
        super().__init__(opening)
        self._session: Session | None = None
        self._models_screen = ModelsScreen(opening.clock)
        self._chat_controller = ChatController(
            self,
            lambda: self._models_screen.chat,
            self._ask,
            self.run_in_background,
            load=lambda model_id: self.run_app_command("load", model_id),
        )
        self._chat_commands = SlashCommandRunner(
            self,
            self._chat_controller,
            lambda: self._models_screen.chat,
            lambda: self._paths,
            self.run_app_command,
            administer=self.run_host_command,
        )
        self._clock: Clock = opening.clock
        self._interrupted_at = float("-inf")

    @abstractmethod
    def run_app_command(self, name: str, model_id: str) -> None:
        """Do what a key does too: load, unload or refresh."""

    @abstractmethod
    def run_host_command(self, command: SlashCommand, model_id: str) -> None:
        """Do what a slash command wants of the machine behind the server."""

    async def action_interrupt(self) -> None:
        """Stop the answer that runs, else quit at the second ^c within two seconds."""
        if self._chat_controller.busy:
            self._chat_controller.stop()
            return
        now = self._clock.monotonic()
        if now - self._interrupted_at < DOUBLE_INTERRUPT_SECONDS:
            await self.action_quit()
            return
        self._interrupted_at = now
        self.notify("Press ^c once more to quit", timeout=DOUBLE_INTERRUPT_SECONDS, markup=False)

    async def action_quit(self) -> None:
        """Quit; ask first where an answer or a load would be cut."""
        if not (self._chat_controller.any_busy or self._loads_are_open):
            self.exit()
        elif all(worker.group != "quit" or worker.is_finished for worker in self.workers):
            self.run_in_background(self._confirm_quit(), "quit")

    async def _confirm_quit(self) -> None:
        if await self._ask(
            lambda snapshot: quit_confirmation(snapshot, answering=self._chat_controller.any_busy)
        ):
            self.exit()

    @property
    def _loads_are_open(self) -> bool:
        return self._session is not None and bool(open_loads(self._session.snapshot))

    async def _ask(self, build: Callable[[Snapshot], Confirmation]) -> bool:
        if self._session is None:
            return False
        return await self.push_screen_wait(ConfirmScreen(build, self._session.snapshot))

    @on(ChatRequested)
    def _handle_chat_request(self, message: ChatRequested) -> None:
        self._chat_controller.leave_chat()
        self.run_in_background(self._chat_controller.open(message.model.id), "open chat")

    @on(Composer.Submitted)
    def _handle_submission(self, message: Composer.Submitted) -> None:
        self._models_screen.chat.prompt.pending_sends -= 1
        if is_slash_command(message.text):
            self._chat_controller.add_to_history(message.text)
            self.run_in_background(self._chat_commands.run(message.text), "slash command")
        else:
            self._chat_controller.send(message.text)

    @on(Composer.Changed, "#prompt")
    def _handle_prompt_change(self) -> None:
        prompt = self._models_screen.chat.prompt
        # One that was just sent is empty, too, and what it was to replace is still needed.
        if not prompt.text and not prompt.pending_sends:
            self._chat_controller.editing = ""
        self._chat_controller.schedule_draft_save(prompt.text)

    @on(Composer.CompletionRequested)
    def _handle_completion_request(self, message: Composer.CompletionRequested) -> None:
        self._chat_commands.complete(message.text)

    @on(Composer.EditorRequested)
    def _handle_editor_request(self, message: Composer.EditorRequested) -> None:
        self.run_in_background(self._edit_prompt(message.text), "editor", exclusive=False)

    @on(Transcript.OpenRequested)
    def _handle_open_request(self, message: Transcript.OpenRequested) -> None:
        self.run_in_background(self._show_in_editor(message.text), "editor", exclusive=False)

    @on(Transcript.CopyRequested)
    def _handle_copy_request(self, message: Transcript.CopyRequested) -> None:
        self.copy_to_clipboard(message.text)

    @on(HistoryScreen.SearchRequested)
    def _handle_search_request(self, message: HistoryScreen.SearchRequested) -> None:
        if isinstance(self.screen, HistoryScreen):
            self.run_in_background(
                self._chat_commands.search_history(self.screen, message.words), "look"
            )

    @on(HistoryScreen.DeleteRequested)
    def _handle_delete_request(self, message: HistoryScreen.DeleteRequested) -> None:
        if isinstance(self.screen, HistoryScreen):
            self.run_in_background(self._confirm_deletion(self.screen, message), "forget")

    async def _confirm_deletion(
        self, screen: HistoryScreen, message: HistoryScreen.DeleteRequested
    ) -> None:
        chosen = message.conversation
        if await self._ask(lambda _: deletion_confirmation(chosen)):
            await self._chat_commands.delete_conversation(screen, chosen.id, message.words)

    async def _edit_prompt(self, text: str) -> None:
        self._models_screen.chat.prompt.set_text(await edit_text(self, text))
        await asyncio.sleep(0)
        self._models_screen.chat.prompt.focus()

    async def _show_in_editor(self, text: str) -> None:
        await edit_text(self, text)
