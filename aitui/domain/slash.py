"""Slash commands of the prompt: their names, how they are read, and what completes them."""

from collections.abc import Iterable

from msgspec import Struct

from aitui.domain.suggest import nearest_one

OLD_PREFIX = "ai-server-"
"""The long forms of the editor extension that aitui takes the place of: `/ai-server-load`."""


class SlashCommandSpec(Struct, frozen=True):
    """One command: what follows its name, what it does, and how many words it needs at least."""

    name: str
    arguments: str
    help: str
    needs: int = 0

    @property
    def usage(self) -> str:
        """How it is written."""
        return f"/{self.name} {self.arguments}".rstrip()

    @property
    def takes_id(self) -> bool:
        """Whether a model's id comes first."""
        return self.arguments.split(" ", 1)[0] == "ID"


SLASH_COMMANDS = (
    SlashCommandSpec("status", "", "the models that run"),
    SlashCommandSpec("refresh", "", "ask the server for everything again"),
    SlashCommandSpec("load", "ID", "load a model", 1),
    SlashCommandSpec("unload", "ID", "unload a model", 1),
    SlashCommandSpec("model", "ID", "go on with another model", 1),
    SlashCommandSpec("system", "TEXT", "set the system prompt; without a text, clear it"),
    SlashCommandSpec("set", "NAME VALUE", "set a sampling parameter; without a value, clear it", 1),
    SlashCommandSpec("clear", "", "begin a new conversation"),
    SlashCommandSpec("retry", "", "have the last question answered once more"),
    SlashCommandSpec("continue", "", "continue an interrupted reply"),
    SlashCommandSpec("edit", "", "put the last question into the prompt, to ask it differently"),
    SlashCommandSpec("delete", "", "delete the last question and its answer"),
    SlashCommandSpec("branch", "", "show the next of several answers"),
    SlashCommandSpec("history", "WORDS", "earlier conversations, those with these words"),
    SlashCommandSpec("rename", "TITLE", "give the conversation a title"),
    SlashCommandSpec("save", "FILE", "write the conversation as Markdown to a file"),
    SlashCommandSpec("export", "FILE", "write the conversation as JSON to a file"),
    SlashCommandSpec("file", "PATH", "put a text file into the prompt, or an image beside it", 1),
    SlashCommandSpec("detach", "NAME", "take an image out of the prompt; without a name, all"),
    SlashCommandSpec("help", "", "these commands"),
    SlashCommandSpec("ctx", "ID SIZE", "change a context size", 2),
    SlashCommandSpec("flag", "ID FLAG VALUE", "change another flag of a model, or its ttl", 3),
    SlashCommandSpec("gpu", "", "GPU memory by model, and the state of the hardware"),
    SlashCommandSpec("preset", "", "show the server's config"),
    SlashCommandSpec("reload", "", "have the server read its config again"),
    SlashCommandSpec("restart", "", "restart the service"),
    SlashCommandSpec("undo", "", "take the last change of the config back"),
)
"""Every slash command: reading, completion and `/help` are made of it."""

_BY_NAME = {spec.name: spec for spec in SLASH_COMMANDS}


class SlashCommand(Struct, frozen=True):
    """A command as it was typed: its name without the slash, and the rest of the line."""

    name: str
    rest: str = ""

    @property
    def words(self) -> list[str]:
        """The rest, word by word."""
        return self.rest.split()


def is_slash_command(text: str) -> bool:
    """Whether a prompt is meant as one: one line that begins with a slash and a letter."""
    return text.startswith("/") and text[1:2].isalpha() and "\n" not in text.strip()


def read_slash_command(text: str) -> SlashCommand:
    """The command of a prompt. Raises ValueError, with words for a person."""
    name, _, rest = text.strip()[1:].partition(" ")
    name = name.lower().removeprefix(OLD_PREFIX)
    spec = _BY_NAME.get(name)
    if spec is None:
        near = nearest_one(name, _BY_NAME)
        hint = f"did you mean /{near}?" if near else "/help lists them"
        raise ValueError(f"there is no command /{name}: {hint}")
    command = SlashCommand(name, rest.strip())
    if len(command.words) < spec.needs:
        raise ValueError(f"Usage: {spec.usage}")
    return command


def completions(text: str, model_ids: Iterable[str]) -> tuple[str, ...]:
    """What a prompt that begins with a slash may become, the nearest first.

    Ids are found by any part of them, since few people remember how they begin.
    """
    if not text.startswith("/") or "\n" in text:
        return ()
    name, blank, begun = text[1:].partition(" ")
    wanted = name.lower().removeprefix(OLD_PREFIX)
    if not blank:
        return tuple(
            f"/{spec.name} " if spec.arguments else f"/{spec.name}"
            for spec in SLASH_COMMANDS
            if spec.name.startswith(wanted)
        )
    if wanted not in _BY_NAME or not _BY_NAME[wanted].takes_id:
        return ()
    wanted = begun.casefold()
    found = [model_id for model_id in model_ids if wanted in model_id.casefold()]
    found.sort(key=lambda model_id: not model_id.casefold().startswith(wanted))
    return tuple(f"/{name} {model_id}" for model_id in found)
