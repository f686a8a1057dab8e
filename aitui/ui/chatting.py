"""The app's part in chatting: what prompt, transcript and chat keys want is done here."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType

from aitui.commands.conversations import question_before_deletion
from aitui.commands.leaving import open_loads, question_before_quitting
from aitui.commands.session import Session
from aitui.domain.clock import Clock
from aitui.domain.question import Question
from aitui.domain.slash import SlashCommand, is_slash_command
from aitui.domain.snapshot import Snapshot
from aitui.ui.chat_commands import ChatCommands
from aitui.ui.comfort import ComfortApp
from aitui.ui.editor import edited
from aitui.ui.open_chat import OpenChat
from aitui.ui.opening import Opening
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.screens.history import HistoryScreen
from aitui.ui.screens.models import ModelsScreen
from aitui.ui.widgets.composer import Composer
from aitui.ui.widgets.transcript import Transcript
from aitui.ui.wishes import ChatWished

SECOND_INTERRUPT_WITHIN = 2.0
"""Seconds in which a second ^c quits."""


class ChatApp(ComfortApp):
    """Holds the conversations beside the table of models."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "ctrl+c", "interrupt", "stop the answer; twice: quit", show=False, key_display="^c"
        ),
    ]

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._session: Session | None = None
        self._models = ModelsScreen(opening.clock)
        self._chats = OpenChat(
            self,
            lambda: self._models.chat,
            self._ask,
            self._beside,
            load=lambda model_id: self.act("load", model_id),
        )
        self._chat_commands = ChatCommands(
            self,
            self._chats,
            lambda: self._models.chat,
            lambda: self._paths,
            self.act,
            administer=self.administer,
        )
        self._clock: Clock = opening.clock
        self._interrupted = float("-inf")

    @abstractmethod
    def act(self, name: str, model_id: str) -> None:
        """Do what a key does too: load, unload or refresh."""

    @abstractmethod
    def administer(self, command: SlashCommand, model_id: str) -> None:
        """Do what a slash command wants of the machine behind the server."""

    async def action_interrupt(self) -> None:
        """Stop the answer that runs, else quit at the second ^c within two seconds."""
        if self._chats.busy:
            self._chats.stop()
            return
        now = self._clock.monotonic()
        if now - self._interrupted < SECOND_INTERRUPT_WITHIN:
            await self.action_quit()
            return
        self._interrupted = now
        self.notify("Press ^c once more to quit", timeout=SECOND_INTERRUPT_WITHIN, markup=False)

    async def action_quit(self) -> None:
        """Quit; ask first where an answer or a load would be cut."""
        if not (self._chats.any_busy or self._loads_are_open):
            self.exit()
        elif all(worker.group != "quit" or worker.is_finished for worker in self.workers):
            self._beside(self._quit_after_asking(), "quit")

    async def _quit_after_asking(self) -> None:
        if await self._ask(
            lambda snapshot: question_before_quitting(snapshot, answering=self._chats.any_busy)
        ):
            self.exit()

    @property
    def _loads_are_open(self) -> bool:
        return self._session is not None and bool(open_loads(self._session.snapshot))

    async def _ask(self, build: Callable[[Snapshot], Question]) -> bool:
        if self._session is None:
            return False
        return await self.push_screen_wait(ConfirmScreen(build, self._session.snapshot))

    @on(ChatWished)
    def _chat_wished(self, message: ChatWished) -> None:
        self._chats.put_away()
        self._beside(self._chats.open(message.model.id), "open chat")

    @on(Composer.Sent)
    def _sent(self, message: Composer.Sent) -> None:
        self._models.chat.prompt.on_their_way -= 1
        if is_slash_command(message.text):
            self._chats.remember(message.text)
            self._beside(self._chat_commands.run(message.text), "slash command")
        else:
            self._chats.send(message.text)

    @on(Composer.Changed, "#prompt")
    def _prompt_changed(self) -> None:
        prompt = self._models.chat.prompt
        # One that was just sent is empty, too, and what it was to replace is still needed.
        if not prompt.text and not prompt.on_their_way:
            self._chats.editing = ""
        self._chats.written(prompt.text)

    @on(Composer.CompletionWished)
    def _completion_wished(self, message: Composer.CompletionWished) -> None:
        self._chat_commands.complete(message.text)

    @on(Composer.EditorWished)
    def _editor_wished(self, message: Composer.EditorWished) -> None:
        self._beside(self._edit_prompt(message.text), "editor", exclusive=False)

    @on(Transcript.Opened)
    def _block_opened(self, message: Transcript.Opened) -> None:
        self._beside(self._show_in_editor(message.text), "editor", exclusive=False)

    @on(Transcript.Copied)
    def _block_copied(self, message: Transcript.Copied) -> None:
        self.copy_to_clipboard(message.text)

    @on(HistoryScreen.Looked)
    def _looked(self, message: HistoryScreen.Looked) -> None:
        if isinstance(self.screen, HistoryScreen):
            self._beside(self._chat_commands.look(self.screen, message.words), "look")

    @on(HistoryScreen.Forgotten)
    def _forgotten(self, message: HistoryScreen.Forgotten) -> None:
        if isinstance(self.screen, HistoryScreen):
            self._beside(self._forget_after_asking(self.screen, message), "forget")

    async def _forget_after_asking(
        self, screen: HistoryScreen, message: HistoryScreen.Forgotten
    ) -> None:
        chosen = message.conversation
        if await self._ask(lambda _: question_before_deletion(chosen)):
            await self._chat_commands.forget(screen, chosen.id, message.words)

    async def _edit_prompt(self, text: str) -> None:
        self._models.chat.prompt.put(await edited(self, text))
        await asyncio.sleep(0)
        self._models.chat.prompt.focus()

    async def _show_in_editor(self, text: str) -> None:
        await edited(self, text)
