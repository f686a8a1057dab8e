"""Reading the command lines that llama-swap starts its models with.

llama-swap drops the lines whose first character is `#`, takes a backslash at the end of a line for
a blank, and splits the rest like a POSIX shell, without expansions (`SanitizeCommand` in its
`config` package). Here every word keeps its place in the text, and nothing raises: a quote that is
never closed reaches to the end.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from aitui.domain.launch import Launch, ends_command, find_launch

CONTEXT_SIZE = ("-c", "--ctx-size")
PARALLEL = ("-np", "--parallel")
MODEL = ("-m", "--model")
MODEL_REPOSITORY = ("-hf", "-hfr", "--hf-repo")

_COMMENT_LINE = re.compile(r"^[^\S\n]*#[^\n]*", re.MULTILINE)
_CONTINUATION = re.compile(r"\\(?=[^\S\n]*$)", re.MULTILINE)
_PIECE = re.compile(
    r"""'(?P<single>[^']*)(?:'|\Z)
    |   "(?P<double>(?:[^"\\]|\\.)*)(?:"|\\?\Z)
    |   \\(?P<escaped>.)
    |   (?P<blank>[ \t\r\n]+)
    |   (?P<plain>[^'"\\ \t\r\n]+|\\\Z)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED_IN_DOUBLE_QUOTES = re.compile(r"\\([\\\"])")
_NATURAL = re.compile(r"[0-9]{1,18}")
_DEEPEST_NESTING = 3


@dataclass(frozen=True, slots=True)
class CommandWord:
    """One word of a command and its place, `command[start:end]`, quotes included."""

    text: str
    start: int
    end: int


def split_words(command: str) -> tuple[CommandWord, ...]:
    """The words that llama-swap makes of a command."""
    text = _COMMENT_LINE.sub(lambda line: " " * len(line[0]), command)
    text = _CONTINUATION.sub(" ", text)
    found: list[CommandWord] = []
    pieces: list[str] = []
    start = 0
    for piece in _PIECE.finditer(text):
        if piece.lastgroup != "blank":
            if not pieces:
                start = piece.start()
            pieces.append(_unquote(piece))
        elif pieces:
            found.append(CommandWord("".join(pieces), start, piece.start()))
            pieces = []
    if pieces:
        found.append(CommandWord("".join(pieces), start, len(text)))
    return tuple(found)


def _unquote(piece: re.Match[str]) -> str:
    kind = piece.lastgroup or "plain"
    if kind == "double":
        return _ESCAPED_IN_DOUBLE_QUOTES.sub(r"\1", piece[kind])
    return piece[kind]


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The arguments of a llama-server, without what stands before it (`taskset -c 0-7 …`).

    There are none for a command that starts no llama-server: its flags mean what that program says.
    """

    arguments: tuple[str, ...]

    @classmethod
    def read(cls, command: str) -> "CommandLine":
        """Reads a command; a script in `bash -c "…"` is read as if it stood there itself."""
        return cls(tuple(_own_arguments([word.text for word in split_words(command)])))

    def value(self, names: Iterable[str]) -> str | None:
        """The last value given to any of the flags; "" for one that ends the command."""
        wanted = frozenset(names)
        value: str | None = None
        for index, argument in enumerate(self.arguments):
            name, equals, attached = _flag(argument)
            if name in wanted:
                following = self.arguments[index + 1 : index + 2]
                value = attached if equals else "".join(following)
        return value

    def has(self, names: Iterable[str]) -> bool:
        """Whether any of the flags is given, with a value or without."""
        wanted = frozenset(names)
        return any(_flag(argument)[0] in wanted for argument in self.arguments)

    @property
    def context_size(self) -> int | None:
        """Tokens of `--ctx-size`; None where absent, nonsense, or 0 ("from the model")."""
        return _natural(self.value(CONTEXT_SIZE)) or None

    @property
    def parallel_slots(self) -> int | None:
        """Slots of `--parallel`; None where absent, nonsense, or left to llama-server (−1)."""
        return _natural(self.value(PARALLEL)) or None

    @property
    def model(self) -> str | None:
        """The file of `--model`, else the repository of `--hf-repo`."""
        return self.value(MODEL) or self.value(MODEL_REPOSITORY) or None

    @property
    def reasoning(self) -> bool | None:
        """Whether the flags switch reasoning on or off; None where they leave it to the model.

        `--jinja` and `--reasoning-format none` say how thoughts are told, not whether there are
        any.
        """
        verdicts = (self._switch(), self._template_switch(), self._budget(), self._format())
        return next((verdict for verdict in verdicts if verdict is not None), None)

    def _switch(self) -> bool | None:
        return {"on": True, "off": False}.get(self.value(("-rea", "--reasoning")) or "")

    def _template_switch(self) -> bool | None:
        text = self.value(("--chat-template-kwargs",))
        if text is None:
            return None
        try:
            given = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if not isinstance(given, dict):
            return None
        for name in ("enable_thinking", "thinking"):
            if isinstance(given.get(name), bool):
                return bool(given[name])
        return given["reasoning_effort"] != "none" if "reasoning_effort" in given else None

    def _budget(self) -> bool | None:
        budget = _natural(self.value(("--reasoning-budget",)))
        return None if budget is None else budget > 0

    def _format(self) -> bool | None:
        chosen = self.value(("--reasoning-format",))
        return True if chosen in {"deepseek", "deepseek-legacy"} else None


def context_size(command: str) -> int | None:
    """Tokens of the last `--ctx-size N`, `--ctx-size=N` or `-c N`.

    None where there is none, where it isn't a number, and for 0, which means "as many as the model
    was trained for".
    """
    return CommandLine.read(command).context_size


def parallel_slots(command: str) -> int | None:
    """Slots that share the context; None where llama-server decides."""
    return CommandLine.read(command).parallel_slots


def model_path(command: str) -> str | None:
    """The model's file, else its repository."""
    return CommandLine.read(command).model


def flag_value(command: str, names: Iterable[str]) -> str | None:
    """The last value given to any of the flags, None where none of them is given."""
    return CommandLine.read(command).value(names)


def has_flag(command: str, names: Iterable[str]) -> bool:
    """Whether any of the flags is given, with a value or without."""
    return CommandLine.read(command).has(names)


def launch(command: str) -> Launch:
    """What a command starts, as places among its words."""
    return find_launch([word.text for word in split_words(command)])


def _flag(argument: str) -> tuple[str, str, str]:
    """Name, `=`, value; llama-server takes `_` for `-` in long names."""
    if not argument.startswith("-"):
        return "", "", ""
    name, equals, value = argument.partition("=")
    return (name.replace("_", "-") if name.startswith("--") else name), equals, value


def _natural(text: str | None) -> int | None:
    return int(text) if text is not None and _NATURAL.fullmatch(text) else None


def _own_arguments(arguments: list[str], nesting: int = 0) -> list[str]:
    """What follows the llama-server, be it in a script within a script; nothing without one."""
    found = find_launch(arguments)
    if found.begin is not None:
        return arguments[found.begin :]
    if found.script is None or nesting == _DEEPEST_NESTING:
        return []
    script = arguments[found.script]
    commands = _commands([word.text for word in split_words(script)])
    if "$@" in script:
        # The word behind the script is `$0`.
        commands.append(arguments[found.behind + 1 :])
    read = (_own_arguments(command, nesting + 1) for command in commands)
    return next((own for own in read if own), [])


def _commands(script: list[str]) -> list[list[str]]:
    """The commands of a script: what stands between `&&`, `;`, `|` and their like."""
    commands: list[list[str]] = [[]]
    for word in script:
        if not ends_command(word):
            commands[-1].append(word)
            continue
        if word.endswith(";"):
            commands[-1].append(word[:-1])
        commands.append([])
    return [command for command in commands if command]
