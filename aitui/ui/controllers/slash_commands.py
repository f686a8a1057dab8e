"""Handlers of the slash commands; they share their code with keys and palette."""

from collections.abc import Awaitable, Callable
from typing import ClassVar

from aitui.domain.chat.conversation import (
    PARAMETER_NAMES,
    Conversation,
    Role,
    SamplingParameters,
    Turn,
)
from aitui.domain.config.sizes import parse_context_size
from aitui.domain.slash import (
    SLASH_COMMANDS,
    SlashCommand,
    Suggestion,
    context_sizes,
    read_slash_command,
    suggest,
)
from aitui.domain.suggest import nearest_one
from aitui.errors import AituiError
from aitui.format.status import escape_markdown, status_as_markdown
from aitui.services.chat import ChatSession, last_reply
from aitui.services.export import attach_file, export_conversation
from aitui.services.load import resolve_model
from aitui.ui.context import ServerContext
from aitui.ui.controllers.chat import ChatController
from aitui.ui.controllers.config import ConfigController
from aitui.ui.controllers.conversations import ConversationsController
from aitui.ui.controllers.models import ModelsController
from aitui.ui.keymap import PROMPT
from aitui.ui.screens.help import HelpGroup, HelpScreen

Handler = Callable[["SlashCommandRunner", SlashCommand], Awaitable[None]]

COMMON_PARAMETERS = (
    *("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "presence_penalty"),
    *("max_tokens", "seed"),
)
HELP_CELLS = 68


class SlashCommandRunner:
    """Runs them with the controllers of one session."""

    def __init__(
        self,
        context: ServerContext,
        chats: ChatController,
        models: ModelsController,
        config: ConfigController,
        conversations: ConversationsController,
    ) -> None:
        self._app = context.app
        self._paths = context.paths
        self._ask = context.ask
        self._tasks = context.tasks
        self._chats = chats
        self._pane = chats.pane
        self._models = models
        self._config = config
        self._conversations = conversations

    async def run(self, text: str) -> None:
        """Run a command; if it raises AituiError, its text is restored in the prompt."""
        try:
            command = read_slash_command(text)
            await self.HANDLERS[command.name](self, command)
        except (ValueError, AituiError) as error:
            if not self._pane.prompt.text:
                self._pane.prompt.set_text(text)
            raise error if isinstance(error, AituiError) else AituiError(str(error)) from error

    def complete(self, text: str) -> None:
        """Complete a command in the prompt."""
        found = self.suggestions(text)
        if found:
            self._pane.prompt.set_text(found[0].text)
        else:
            self._notify("No completion")

    def suggestions(self, text: str) -> tuple[Suggestion, ...]:
        """Return the completions of the prompt."""
        snapshot, chat = self._chats.session.snapshot, self._chats.chat
        conversation = None if chat is None else chat.conversation
        return suggest(
            text,
            [model.id for model in snapshot.models if model.loadable],
            _parameters(SamplingParameters() if conversation is None else conversation.sampling),
            lambda of: context_sizes(
                snapshot, of or ("" if conversation is None else conversation.model)
            ),
        )

    async def _run_status(self, _: SlashCommand) -> None:
        session = self._chats.session
        text = status_as_markdown(session.snapshot, session.clock.monotonic())
        self._pane.transcript.add_note(session.server.label, text)

    async def _run_refresh(self, _: SlashCommand) -> None:
        await self._app.run_action("app.refresh_server")

    async def _run_load(self, command: SlashCommand) -> None:
        self._models.load(self._model_id(command.rest))

    async def _run_unload(self, command: SlashCommand) -> None:
        self._models.unload(self._model_id(command.rest))

    async def _run_gpu(self, _: SlashCommand) -> None:
        await self._app.run_action("app.hardware")

    async def _run_ctx(self, command: SlashCommand) -> None:
        *named, size = command.words
        own = "" if named else self._chat().conversation.model
        tokens = parse_context_size(size)
        self._config.change_context_size(own or self._model_id(" ".join(named)), tokens)

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
        chat = self._chat()
        if not command.rest:
            shown = chat.conversation.system or "No system prompt is set: /system TEXT sets one."
            self._pane.transcript.add_note("System prompt", shown)
        elif command.rest.lower() == "off":
            await chat.set_system("")
            self._chats.show_settings()
            self._notify("System prompt removed")
        else:
            await chat.set_system(command.rest)
            self._chats.show_settings()
            self._notify("System prompt set")

    async def _run_set(self, command: SlashCommand) -> None:
        name, _, value = command.rest.partition(" ")
        chat = self._chat()
        sampling = chat.conversation.sampling
        if not name:
            self._pane.transcript.add_note("Parameters", _parameters_as_markdown(sampling))
            return
        if name not in PARAMETER_NAMES and name not in dict(sampling.values):
            # Names that aitui sets itself, and texts that are no name at all, have their own reason.
            sampling.with_text(name, "")
            near = nearest_one(name, PARAMETER_NAMES)
            hint = f"did you mean {near}?" if near else "/set lists them"
            raise ValueError(f"there is no parameter {name[:80]}: {hint}")
        await chat.set_sampling(sampling.with_text(name, value))
        self._chats.show_settings()
        shown = ", ".join(f"{key} {text}" for key, text in chat.conversation.sampling.values)
        self._notify(f"Parameters: {shown or 'defaults of the server'}")

    async def _run_clear(self, _: SlashCommand) -> None:
        await self._chats.begin_chat(self._chat().conversation.model)
        if self._chat().conversation.system:
            self._notify("A new conversation. The system prompt stays: /system off removes it")

    async def _run_copy(self, command: SlashCommand) -> None:
        replies = (
            turn for turn in reversed(self._chat().conversation.path) if turn.role is Role.ASSISTANT
        )
        text = next((turn.text for turn in replies if turn.text), "")
        if command.rest.lower() == "code":
            text = _last_code_block(text)
        elif command.rest:
            raise ValueError("Usage: /copy or /copy code")
        if not text:
            raise ValueError(
                "the last reply has no code" if command.rest else "there is no reply yet"
            )
        self._app.copy_to_clipboard(text)

    async def _run_retry(self, _: SlashCommand) -> None:
        chat = self._chat()
        answer = last_reply(chat.conversation)
        if answer is None:
            raise ValueError("no prompt has been answered yet")
        self._chats.run(chat, lambda: chat.regenerate(answer.id))

    async def _run_continue(self, _: SlashCommand) -> None:
        chat = self._chat()
        answer = last_reply(chat.conversation)
        if answer is None or not answer.is_incomplete:
            raise ValueError("the last reply is complete")
        self._chats.run(chat, lambda: chat.resume(answer.id))

    async def _run_edit(self, _: SlashCommand) -> None:
        question = _last_prompt(self._chat().conversation)
        if self._chat().busy:
            raise ValueError("a reply is still running: stop it first")
        self._chats.editing = question.id
        self._pane.attachments = question.attachments
        self._pane.prompt.set_text(question.text)
        send, clear = PROMPT.sign("send"), PROMPT.sign("clear")
        self._notify(f"{send} sends it in place of the old prompt, {clear} discards the edit")

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
        raise ValueError("there is only one reply: /retry makes another")

    async def _run_history(self, command: SlashCommand) -> None:
        self._conversations.choose(command.rest)

    async def _run_rename(self, command: SlashCommand) -> None:
        await self._chats.rename_conversation(self._chat().conversation.id, command.rest)

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
            self._notify(f"{image.name} is attached to the next prompt")

    async def _run_detach(self, command: SlashCommand) -> None:
        before = self._pane.attachments
        self._pane.attachments = tuple(
            image for image in before if command.rest not in {"", image.name}
        )
        if self._pane.attachments == before:
            raise ValueError(f"no file {command.rest}".rstrip() + " is attached")

    async def _run_help(self, _: SlashCommand) -> None:
        rows = tuple((spec.usage, spec.help, "") for spec in SLASH_COMMANDS)
        group = HelpGroup("Type / to list these above the prompt", rows)
        self._app.push_screen(HelpScreen([group], "Commands", column_cells=HELP_CELLS))

    _run_save = _run_export

    HANDLERS: ClassVar[dict[str, Handler]] = {
        name.removeprefix("_run_"): method
        for name, method in vars().items()
        if name.startswith("_run_")
    }
    """The method for each command of `SLASH_COMMANDS`, by name."""

    def _chat(self) -> ChatSession:
        if self._chats.chat is None:
            raise ValueError("there is no conversation yet")
        return self._chats.chat

    def _notify(self, words: str) -> None:
        self._app.notify(words, timeout=10)


def _parameters(sampling: SamplingParameters) -> list[tuple[str, str]]:
    """Names and values, those that are set and the common ones first."""
    values = dict(sampling.values)
    names = dict.fromkeys((*values, *COMMON_PARAMETERS, *PARAMETER_NAMES))
    return [(name, values.get(name, "")) for name in names]


def _parameters_as_markdown(sampling: SamplingParameters) -> str:
    values = dict(sampling.values)
    shown = dict.fromkeys((*values, *COMMON_PARAMETERS))
    rows = [
        f"| {escape_markdown(name)} | {escape_markdown(values.get(name, 'server’s default'))} |"
        for name in shown
    ]
    others = ", ".join(f"`{name}`" for name in PARAMETER_NAMES if name not in shown)
    return "\n".join(
        (
            "| Parameter | Value |",
            "|---|---|",
            *rows,
            "",
            "`/set NAME VALUE` sets a value, `/set NAME` restores the server’s default.",
            "",
            f"Also: {others}",
        )
    )


def _last_code_block(text: str) -> str:
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse(text)
    code = [token.content for token in tokens if token.type in {"fence", "code_block"}]
    return code[-1].removesuffix("\n") if code else ""


def _last_prompt(conversation: Conversation) -> Turn:
    for turn in reversed(conversation.path):
        if turn.role is Role.USER:
            return turn
    raise ValueError("no prompt has been sent yet")
