"""What the slash commands of the prompt do: the same as keys and palette where there are such."""

from collections.abc import Awaitable, Callable
from os.path import commonprefix
from typing import ClassVar

from aitui.domain.chat.conversation import Conversation, Role, Turn
from aitui.domain.config.sizes import parse_context_size
from aitui.domain.slash import SLASH_COMMANDS, SlashCommand, completions, read_slash_command
from aitui.errors import AituiError
from aitui.format.status import status_as_lines
from aitui.format.styled import plain_text
from aitui.services.chat import ChatSession, last_reply
from aitui.services.export import attach_file, export_conversation
from aitui.services.history import ListedConversation, deletion_confirmation, find_conversations
from aitui.services.load import resolve_model
from aitui.ui.context import ServerContext
from aitui.ui.controllers.chat import ChatController
from aitui.ui.controllers.config import ConfigController
from aitui.ui.controllers.models import ModelsController
from aitui.ui.screens.help import HelpGroup, HelpScreen
from aitui.ui.screens.history import HistoryScreen

Handler = Callable[["SlashCommandRunner", SlashCommand], Awaitable[None]]


class SlashCommandRunner:
    """Runs them with the controllers of one session."""

    def __init__(
        self,
        context: ServerContext,
        chats: ChatController,
        models: ModelsController,
        config: ConfigController,
    ) -> None:
        self._app = context.app
        self._paths = context.paths
        self._ask = context.ask
        self._tasks = context.tasks
        self._chats = chats
        self._pane = chats.pane
        self._models = models
        self._config = config

    async def run(self, text: str) -> None:
        """Do what was typed. Raises AituiError with words, and the text is back in the prompt."""
        try:
            command = read_slash_command(text)
            await self.HANDLERS[command.name](self, command)
        except (ValueError, AituiError) as error:
            if not self._pane.prompt.text:
                self._pane.prompt.set_text(text)
            raise error if isinstance(error, AituiError) else AituiError(str(error)) from error

    def complete(self, text: str) -> None:
        """Complete a command in the prompt, and say what there is to choose from."""
        session = self._chats.session
        ids = [model.id for model in session.snapshot.models if model.loadable]
        found = completions(text, ids)
        if not found:
            self._notify("Nothing completes that")
            return
        common = commonprefix(found)  # noqa: RUF071 - by characters, as it is meant here
        if len(found) == 1 or len(common) > len(text):
            self._pane.prompt.set_text(common)
        if len(found) > 1:
            self._notify("  ".join(one.strip() for one in found[:12]))

    async def _run_status(self, _: SlashCommand) -> None:
        session = self._chats.session
        self._notify(
            plain_text(
                status_as_lines(
                    session.server.label, session.snapshot, session.clock.monotonic(), None
                )
            )
        )

    async def _run_refresh(self, _: SlashCommand) -> None:
        await self._app.run_action("app.refresh_server")

    async def _run_load(self, command: SlashCommand) -> None:
        self._models.load(self._model_id(command.rest))

    async def _run_unload(self, command: SlashCommand) -> None:
        self._models.unload(self._model_id(command.rest))

    async def _run_gpu(self, _: SlashCommand) -> None:
        await self._app.run_action("app.hardware")

    async def _run_ctx(self, command: SlashCommand) -> None:
        model_id = self._model_id(command.words[0])
        self._config.change_context_size(model_id, parse_context_size(command.words[-1]))

    async def _run_flag(self, command: SlashCommand) -> None:
        model_id, flag, *value = command.words
        self._config.change_flag(self._model_id(model_id), flag, " ".join(value))

    async def _run_preset(self, _: SlashCommand) -> None:
        await self._app.run_action("app.config")

    async def _run_reload(self, _: SlashCommand) -> None:
        self._config.reload()

    async def _run_restart(self, _: SlashCommand) -> None:
        self._config.restart()

    async def _run_undo(self, _: SlashCommand) -> None:
        self._config.undo()

    def _model_id(self, wanted: str) -> str:
        return resolve_model(wanted, self._chats.session.snapshot).id

    async def _run_model(self, command: SlashCommand) -> None:
        model = resolve_model(command.rest, self._chats.session.snapshot)
        await self._chats.switch_model(self._chat(), model.id)

    async def _run_system(self, command: SlashCommand) -> None:
        await self._chat().set_system(command.rest)
        self._notify("The system prompt is set" if command.rest else "The system prompt is gone")

    async def _run_set(self, command: SlashCommand) -> None:
        name, _, value = command.rest.partition(" ")
        chat = self._chat()
        await chat.set_sampling(chat.conversation.sampling.with_text(name, value))
        shown = ", ".join(f"{key} {text}" for key, text in chat.conversation.sampling.values)
        self._notify(f"Parameters: {shown or 'those of the server'}")

    async def _run_clear(self, _: SlashCommand) -> None:
        await self._chats.begin_chat(self._chat().conversation.model)

    async def _run_retry(self, _: SlashCommand) -> None:
        chat = self._chat()
        answer = last_reply(chat.conversation)
        if answer is None:
            raise ValueError("no prompt was answered yet")
        self._chats.run(chat, lambda: chat.regenerate(answer.id))

    async def _run_continue(self, _: SlashCommand) -> None:
        chat = self._chat()
        answer = last_reply(chat.conversation)
        if answer is None or not answer.is_incomplete:
            raise ValueError("the last answer is complete")
        self._chats.run(chat, lambda: chat.resume(answer.id))

    async def _run_edit(self, _: SlashCommand) -> None:
        question = _last_prompt(self._chat().conversation)
        if self._chat().busy:
            raise ValueError("an answer is under way: stop it first")
        self._chats.editing = question.id
        self._pane.attachments = question.attachments
        self._pane.prompt.set_text(question.text)
        self._notify("⏎ asks it in the place of the old one; an empty prompt drops the change")

    async def _run_delete(self, _: SlashCommand) -> None:
        question = _last_prompt(self._chat().conversation)
        await self._chat().delete(question.id)
        self._chats.show(self._chat())

    async def _run_branch(self, _: SlashCommand) -> None:
        chat = self._chat()
        for turn in reversed(chat.conversation.path):
            branches = chat.conversation.branches(turn.id)
            if len(branches) > 1:
                at = branches.index(turn)
                await chat.switch_branch(turn.id, 1 if at + 1 < len(branches) else -at)
                self._chats.show(chat)
                return
        raise ValueError("there is only one branch: /retry makes another")

    async def _run_history(self, command: SlashCommand) -> None:
        history, run_in_background = self._chats.history, self._tasks.run_in_background
        if history is None:
            raise ValueError("there is no history")

        async def search(words: str) -> None:
            screen.show(words, await find_conversations(history, words))

        async def delete(conversation: ListedConversation, words: str) -> None:
            if await self._ask(lambda _: deletion_confirmation(conversation)):
                await self._chats.delete_conversation(conversation.id)
                await search(words)

        screen = HistoryScreen(
            command.rest,
            lambda words: run_in_background(search(words), "look"),
            lambda one, words: run_in_background(delete(one, words), "forget"),
        )
        chosen = await self._app.push_screen_wait(screen)
        if chosen:
            await self._chats.resume(chosen)

    async def _run_rename(self, command: SlashCommand) -> None:
        await self._chat().rename(command.rest)
        self._pane.heading = command.rest

    async def _run_export(self, command: SlashCommand) -> None:
        directory = self._paths.data / "exports"
        is_json = command.name == "export"
        conversation = self._chat().conversation
        path = await export_conversation(conversation, command.rest, directory, json=is_json)
        self._notify(f"Written to {path}")

    async def _run_file(self, command: SlashCommand) -> None:
        prompt, image = await attach_file("", command.rest)
        if image is None:
            self._pane.prompt.set_text(prompt)
        else:
            self._chats.attach(image, command.rest)
            self._notify(f"{image.name} goes along with the next prompt")

    async def _run_detach(self, command: SlashCommand) -> None:
        before = self._pane.attachments
        self._pane.attachments = tuple(
            image for image in before if command.rest not in {"", image.name}
        )
        if self._pane.attachments == before:
            raise ValueError(f"no image {command.rest}".rstrip() + " is attached")

    async def _run_help(self, _: SlashCommand) -> None:
        rows = tuple((spec.usage, spec.help, "") for spec in SLASH_COMMANDS)
        self._app.push_screen(HelpScreen([HelpGroup("Commands of the prompt", rows)]))

    _run_save = _run_export

    HANDLERS: ClassVar[dict[str, Handler]] = {
        name.removeprefix("_run_"): method
        for name, method in vars().items()
        if name.startswith("_run_")
    }
    """What runs each command of `SLASH_COMMANDS`: the method with its name."""

    def _chat(self) -> ChatSession:
        if self._chats.chat is None:
            raise ValueError("there is no conversation yet")
        return self._chats.chat

    def _notify(self, words: str) -> None:
        self._app.notify(words, timeout=10)
        if "\n" in words:
            # The line of messages has room for one.
            self._app.call_later(self._app.run_action, "app.messages")


def _last_prompt(conversation: Conversation) -> Turn:
    for turn in reversed(conversation.path):
        if turn.role is Role.USER:
            return turn
    raise ValueError("no prompt was sent yet")
