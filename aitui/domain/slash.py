"""Slash commands of the prompt: their names, how they are read, and what completes them."""

import re
from collections.abc import Callable, Iterable

from msgspec import Struct

from aitui.domain.config.sizes import double
from aitui.domain.models import Model
from aitui.domain.snapshot import Snapshot
from aitui.domain.suggest import nearest_one
from aitui.domain.units import format_tokens


class SlashCommandSpec(Struct, frozen=True):
    """One command: what follows its name, what it does, how many words it needs at least.

    `alias` is its long form in the editor extension that aitui takes the place of.
    """

    name: str
    arguments: str
    help: str
    needs: int = 0
    alias: str = ""

    @property
    def usage(self) -> str:
        """Return the command with its arguments."""
        return f"/{self.name} {self.arguments}".rstrip()

    @property
    def takes_id(self) -> bool:
        """Whether a model's id comes first."""
        return self.arguments.split(" ", 1)[0].strip("[]") == "ID"


SLASH_COMMANDS = (
    SlashCommandSpec("continue", "", "continue an interrupted reply"),
    SlashCommandSpec("retry", "", "reply to the last prompt again"),
    SlashCommandSpec("edit", "", "edit the last prompt and send it again"),
    SlashCommandSpec("delete", "", "delete the last prompt and its reply"),
    SlashCommandSpec("branch", "", "show the next of several replies"),
    SlashCommandSpec("copy", "[code]", "copy the last reply, or its last code block"),
    SlashCommandSpec("clear", "", "start a new conversation"),
    SlashCommandSpec("history", "[WORDS]", "open another conversation"),
    SlashCommandSpec("rename", "TITLE", "rename the conversation", 1),
    SlashCommandSpec("save", "[FILE]", "save the conversation as Markdown"),
    SlashCommandSpec("export", "[FILE]", "save the conversation as JSON"),
    SlashCommandSpec("system", "[TEXT]", "show, set or remove (off) the system prompt"),
    SlashCommandSpec("set", "[NAME VALUE]", "list or set parameters, such as temperature"),
    SlashCommandSpec("file", "PATH", "attach an image or a long text, insert a short one", 1),
    SlashCommandSpec("detach", "[NAME]", "remove an attached file, or all"),
    SlashCommandSpec("model", "ID", "continue with another model", 1),
    SlashCommandSpec("status", "", "show the models and their states", 0, "ai-server-status"),
    SlashCommandSpec("refresh", "", "refresh everything from the server", 0, "ai-server-refresh"),
    SlashCommandSpec("load", "ID", "load a model", 1, "ai-server-load"),
    SlashCommandSpec("unload", "ID", "unload a model", 1, "ai-server-unload"),
    SlashCommandSpec("ctx", "[ID] SIZE", "change the context size", 1, "ai-server-ctx"),
    SlashCommandSpec("flag", "ID FLAG VALUE", "change another flag of a model, or its ttl", 3),
    SlashCommandSpec("gpu", "", "show the hardware and its memory use"),
    SlashCommandSpec("preset", "", "show the server's config", 0, "ai-server-preset"),
    SlashCommandSpec("reload", "", "reload the server's config"),
    SlashCommandSpec("restart", "", "restart the service", 0, "ai-server-restart"),
    SlashCommandSpec("undo", "", "undo the last config change"),
    SlashCommandSpec("help", "", "list these commands"),
)
"""Every slash command: reading, completion and `/help` are made of it."""

_BY_NAME = {spec.name: spec for spec in SLASH_COMMANDS} | {
    spec.alias: spec for spec in SLASH_COMMANDS if spec.alias
}


class SlashCommand(Struct, frozen=True):
    """A command as it was typed: its name without the slash, and the rest of the line."""

    name: str
    rest: str = ""

    @property
    def words(self) -> list[str]:
        """Return the words of the rest."""
        return self.rest.split()


TYPED_WHOLE = frozenset({"/delete"})
"""Commands that remove something without asking: Enter first completes them, then runs them."""


class Suggestion(Struct, frozen=True):
    """What a prompt may become: `text`, shown as `label`; its characters in `matched` were typed."""

    text: str
    label: str
    arguments: str = ""
    help: str = ""
    matched: tuple[int, ...] = ()


def is_slash_command(text: str) -> bool:
    """Whether a prompt is meant as one: one line that begins with a slash and a letter."""
    return text.startswith("/") and text[1:2].isalpha() and "\n" not in text.strip()


def read_slash_command(text: str) -> SlashCommand:
    """The command of a prompt. Raises ValueError, with words for a person."""
    name, _, rest = text.strip()[1:].partition(" ")
    spec = _BY_NAME.get(name.lower())
    if spec is None:
        near = nearest_one(name, _BY_NAME)
        hint = f"did you mean /{near}?" if near else "/help lists them"
        raise ValueError(f"there is no command /{name}: {hint}")
    command = SlashCommand(spec.name, rest.strip())
    if len(command.words) < spec.needs:
        raise ValueError(f"Usage: {spec.usage}")
    return command


def suggest(
    text: str,
    model_ids: Iterable[str],
    parameters: Iterable[tuple[str, str]] = (),
    sizes: Callable[[str], Iterable[tuple[str, str]]] = lambda _: (),
) -> tuple[Suggestion, ...]:
    """What a prompt that begins with a slash may become, the nearest first.

    `parameters` are names with their values; `sizes` returns context sizes of a model, "" for this
    chat's, each with what is known of it.
    """
    if not text.startswith("/") or "\n" in text:
        return ()
    typed, blank, begun = text[1:].partition(" ")
    spec = _BY_NAME.get(typed.lower())
    if not blank:
        return _suggest_commands(typed.lower())
    if spec is None or not (spec.takes_id or spec.name == "set"):
        return ()
    before, is_ctx = f"/{typed} ", spec.name == "ctx"
    if not spec.takes_id:
        return _suggest_values(before, parameters, begun, " ")
    first, blank, size = begun.partition(" ")
    if blank:
        return _suggest_values(f"{before}{first} ", sizes(first) if is_ctx else (), size, "")
    ids = ((model_id, "") for model_id in model_ids)
    return _suggest_values(before, ids, begun, " " * is_ctx) + _suggest_values(
        before, sizes("") if is_ctx else (), begun, ""
    )


_OFFERED_SIZES = (64 * 1024, 128 * 1024)


def context_sizes(snapshot: Snapshot, model_id: str) -> tuple[tuple[str, str], ...]:
    """Context sizes to choose from for a model, each with whether it fits once all else is unloaded."""
    from aitui.domain.memory.forecast import FitVerdict

    model = snapshot.model(model_id)
    if model is None:
        return ()
    largest = snapshot.fit_alone(model.id, model.context.tokens).largest_context or 0
    largest -= largest % 1024
    sizes = []
    for tokens in sorted({*_OFFERED_SIZES, largest} - {0}):
        verdict = snapshot.fit_alone(model.id, tokens).verdict
        words = "" if verdict is FitVerdict.UNKNOWN else verdict.value
        if tokens == largest:
            words = "the largest that fits"
        if tokens == model.context.tokens:
            words = "now"
        sizes.append((format_tokens(tokens), words))
    return tuple(sizes)


def larger_context(snapshot: Snapshot, model: Model) -> int:
    """Twice a model's context if that fits once everything else is unloaded, else 0."""
    from aitui.domain.memory.forecast import FitVerdict

    size = double(model.context.tokens)
    return size if snapshot.fit_alone(model.id, size).verdict is FitVerdict.FITS else 0


def _suggest_commands(typed: str) -> tuple[Suggestion, ...]:
    """By the beginning of their names, then by any part, then by a word of what they do."""
    found: list[tuple[int, Suggestion]] = []
    names = [(spec.name, spec) for spec in SLASH_COMMANDS]
    names += [(spec.alias, spec) for spec in SLASH_COMMANDS if typed and spec.alias]
    for name, spec in names:
        at = name.find(typed)
        is_long = name == spec.alias
        in_help = len(typed) > 2 and re.search(rf"\b{re.escape(typed)}", spec.help) is not None
        if at != 0 if is_long else at < 0 and not in_help:
            continue
        text = f"/{name} " if spec.arguments else f"/{name}"
        matched = tuple(range(at + 1, at + 1 + len(typed))) if at >= 0 else ()
        rank = is_long if not at else 2 if at > 0 else 3
        found.append((rank, Suggestion(text, f"/{name}", spec.arguments, spec.help, matched)))
    return tuple(one for _, one in sorted(found, key=lambda pair: pair[0]))


def _suggest_values(
    before: str, values: Iterable[tuple[str, str]], typed: str, after: str
) -> tuple[Suggestion, ...]:
    """By any part of them, since few people remember how an id begins; a whole one needs nothing."""
    wanted = typed.casefold()
    found = [
        (
            at,
            Suggestion(
                f"{before}{value}{after}", value, "", words, tuple(range(at, at + len(wanted)))
            ),
        )
        for value, words in values
        if (at := value.casefold().find(wanted)) >= 0
    ]
    return tuple(one for _, one in sorted(found, key=lambda pair: pair[0] > 0))
