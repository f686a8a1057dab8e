"""Reading the command lines that llama-swap starts its models with.

llama-swap drops the lines that begin with `#`, takes a backslash at the end of a line for a blank,
and splits the rest like a POSIX shell, without expansions (`SanitizeCommand` in its `config`
package). Here every word keeps its position in the text, and nothing raises: a quote that is never
closed reaches to the end.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import cache

from msgspec import Struct

from aitui.domain.config import flag_table
from aitui.domain.launch import NO_NAMES, Launch, NamedServers, ends_command, find_launch
from aitui.domain.sanitize import sanitize_line
from aitui.errors import Action, ConfigRefused

CONTEXT_SIZE = ("-c", "--ctx-size")
PARALLEL = ("-np", "--parallel")
UNIFIED_CACHE = ("-kvu", "--kv-unified")
MODEL = ("-m", "--model")
MODEL_REPOSITORY = ("-hf", "-hfr", "--hf-repo")
PROJECTOR = ("-mm", "--mmproj", "-mmu", "--mmproj-url")

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
_ESCAPED = re.compile(r"\\([\\\"])")
_NATURAL = re.compile(r"[0-9]{1,18}")
_DEEPEST_NESTING = 3


class CommandWord(Struct, frozen=True):
    """A word of a command and its position, `command[start:end]`, quotes included."""

    text: str
    start: int
    end: int


def split_words(command: str) -> tuple[CommandWord, ...]:
    """Return the words that llama-swap makes of a command."""
    text = _COMMENT_LINE.sub(lambda line: " " * len(line[0]), command)
    text = _CONTINUATION.sub(" ", text)
    found: list[CommandWord] = []
    pieces: list[str] = []
    start = 0
    for piece in _PIECE.finditer(text):
        if piece.lastgroup != "blank":
            if not pieces:
                start = piece.start()
            kind = piece.lastgroup or "plain"
            quoted = kind == "double"
            pieces.append(_ESCAPED.sub(r"\1", piece[kind]) if quoted else piece[kind])
        elif pieces:
            found.append(CommandWord("".join(pieces), start, piece.start()))
            pieces = []
    if pieces:
        found.append(CommandWord("".join(pieces), start, len(text)))
    return tuple(found)


class CommandLine(Struct, frozen=True):
    """The arguments of a llama-server, without what stands before it (`taskset -c 0-7 …`).

    There are none for a command that starts another program: its flags mean something else.
    """

    arguments: tuple[str, ...]

    @classmethod
    def read(cls, command: str, named: NamedServers = NO_NAMES) -> "CommandLine":
        """Read a command; a script in `bash -c "…"` is read as if it stood there itself.

        `named` are more programs that count as llama-servers.
        """
        return cls(tuple(_own_arguments([word.text for word in split_words(command)], named)))

    def value(self, names: Iterable[str]) -> str | None:
        """Return the last value given to any of the flags; "" for one that ends the command."""
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
        """Return the tokens of the last `--ctx-size N`, `--ctx-size=N` or `-c N`.

        None if there is none, if it isn't a number, and for 0, which means "as many as the model
        was trained for".
        """
        return _natural(self.value(CONTEXT_SIZE)) or None

    @property
    def parallel_slots(self) -> int | None:
        """Return the slots that share the context; None if llama-server decides."""
        return _natural(self.value(PARALLEL)) or None

    @property
    def context_parts(self) -> int:
        """Into how many parts the slots divide the context: 1 if each of them may have all of it.

        llama-server chooses that if it chooses how many slots there are.
        """
        return 1 if self.has(UNIFIED_CACHE) else self.parallel_slots or 1

    @property
    def model(self) -> str | None:
        """The file of `--model`, else the repository of `--hf-repo`."""
        return self.value(MODEL) or self.value(MODEL_REPOSITORY) or None

    @property
    def can_see_images(self) -> bool | None:
        """Whether it has a projector for images; None if a repository may bring one along."""
        return True if self.has(PROJECTOR) else False if self.has(MODEL) else None

    @property
    def is_embedding_model(self) -> bool:
        """Whether it only computes embeddings."""
        return self.has(("--embedding", "--embeddings"))

    @property
    def is_reranker(self) -> bool:
        """Whether it only ranks documents."""
        return self.has(("--rerank", "--reranking"))

    @property
    def reasoning(self) -> bool | None:
        """Whether the flags switch reasoning on or off; None if they leave it to the model.

        `--jinja` and `--reasoning-format none` say how reasoning is sent, not whether there is any.
        """
        switch = {"on": True, "off": False}.get(self.value(("-rea", "--reasoning")) or "")
        budget = _natural(self.value(("--reasoning-budget",)))
        form = self.value(("--reasoning-format",))
        verdicts = (
            *(switch, self._template_switch(), None if budget is None else budget > 0),
            True if form in {"deepseek", "deepseek-legacy"} else None,
        )
        return next((verdict for verdict in verdicts if verdict is not None), None)

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


def launch(command: str, named: NamedServers = NO_NAMES) -> Launch:
    """Return what a command starts, as indices of its words."""
    return find_launch([word.text for word in split_words(command)], named)


def _flag(argument: str) -> tuple[str, str, str]:
    """Return name, `=`, value; llama-server accepts `_` for `-` in long names."""
    if not argument.startswith("-"):
        return "", "", ""
    name, equals, value = argument.partition("=")
    return normalize_flag_name(name), equals, value


def _natural(text: str | None) -> int | None:
    return int(text) if text is not None and _NATURAL.fullmatch(text) else None


def _own_arguments(arguments: list[str], named: NamedServers, nesting: int = 0) -> list[str]:
    """Return what follows the llama-server, even in a script within a script; nothing without one."""
    found = find_launch(arguments, named)
    if found.begin is not None:
        return arguments[found.begin :]
    if found.script is None or nesting == _DEEPEST_NESTING:
        return []
    script = arguments[found.script]
    commands = _commands([word.text for word in split_words(script)])
    if "$@" in script:
        # The word behind the script is `$0`.
        commands.append(arguments[found.behind + 1 :])
    read = (_own_arguments(command, named, nesting + 1) for command in commands)
    return next((own for own in read if own), [])


def _commands(script: list[str]) -> list[list[str]]:
    """Return the commands of a script, which `&&`, `;`, `|` and the like separate."""
    commands: list[list[str]] = [[]]
    for word in script:
        if not ends_command(word):
            commands[-1].append(word)
            continue
        if word.endswith(";"):
            commands[-1].append(word[:-1])
        commands.append([])
    return [command for command in commands if command]


_FLAG_NAME = re.compile(r"-{0,2}[A-Za-z][A-Za-z0-9._-]{0,79}")
_CONTEXT_SIZE = frozenset(CONTEXT_SIZE)
_IK_LLAMA = re.compile(r"\bik[-_.]llama", re.IGNORECASE)
_NEGATIVE_NUMBER = re.compile(r"-\.?[0-9]")


class FlagArity(Enum):
    """The number of values that follow a flag."""

    NOTHING = "nothing"
    ONE = "one"
    TWO = "two"
    OPTIONAL = "perhaps one"


class Flag(Struct, frozen=True):
    """A flag with all its spellings. `environment` is "" if no variable means the same."""

    names: tuple[str, ...]
    takes: FlagArity
    environment: str = ""

    @property
    def long_name(self) -> str:
        """The first spelling with two dashes, else the first one."""
        return next((name for name in self.names if name.startswith("--")), self.names[0])

    @property
    def names_elsewhere(self) -> frozenset[str]:
        """The spellings that can mean the same to a program that is no llama-server."""
        if not _CONTEXT_SIZE.isdisjoint(self.names):
            return frozenset()
        return frozenset(name for name in self.names if name.startswith("--"))


class FlagOccurrence(Struct, frozen=True):
    """A flag in a command: its word, and the word that holds its value.

    `value_word` is the flag's own word if `=` joins the two, and None if no value follows.
    """

    name: str
    flag_word: CommandWord
    value_word: CommandWord | None
    value: str

    @property
    def has_equals_sign(self) -> bool:
        """Whether the value stands behind `=` in the flag's own word."""
        return self.value_word is self.flag_word


def find_flag(given: str, command: str = "", named: NamedServers = NO_NAMES) -> Flag:
    """Return the flag of a spelling, with or without dashes, or of its environment variable.

    `command` is the one that it is meant for, if there is one: forks read some flags otherwise. An
    unknown name gives a flag of its own. Raises ConfigRefused for what can't be the name of a flag.
    """
    if not _FLAG_NAME.fullmatch(given):
        what = f"“{sanitize_line(given, 60)}” is not a valid flag."
        raise ConfigRefused(what, remedy="Write it as --name or -n.")
    flags = _flags_of(command, named)
    likely = ("--", "-") if len(given) > 1 else ("-", "--")
    dashes = ("",) if given.startswith("-") else likely
    names = [normalize_flag_name(dash + given) for dash in dashes]
    known = (flags[name] for name in (given, *names) if name in flags)
    return next(known, Flag((names[0],), FlagArity.OPTIONAL))


def normalize_flag_name(name: str) -> str:
    """Return a flag's name as llama-server compares it: `_` counts as `-` in long names."""
    return name.replace("_", "-") if name.startswith("--") else name


def flag_occurrences(
    words: tuple[CommandWord, ...], command: str = "", named: NamedServers = NO_NAMES
) -> Iterator[FlagOccurrence]:
    """Yield the flags among the words of a command, with their values, as its server reads them."""
    flags = _flags_of(command, named)
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if not is_flag(word.text):
            continue
        name, equals, attached = word.text.partition("=")
        name = normalize_flag_name(name)
        if equals:
            yield FlagOccurrence(name, word, word, attached)
            continue
        known = flags.get(name)
        takes = known.takes if known else FlagArity.OPTIONAL
        following = words[index] if index < len(words) else None
        alone = takes is FlagArity.OPTIONAL and following is not None and is_flag(following.text)
        if takes is FlagArity.NOTHING or following is None or alone:
            yield FlagOccurrence(name, word, None, "")
        else:
            yield FlagOccurrence(name, word, following, following.text)
            index += 2 if takes is FlagArity.TWO else 1


def is_flag(text: str) -> bool:
    """Whether a word can be a flag: it begins with a dash and is no negative number."""
    return len(text) > 1 and text.startswith("-") and not _NEGATIVE_NUMBER.match(text)


def last_occurrence(
    words: tuple[CommandWord, ...], flag: Flag, command: str = "", named: NamedServers = NO_NAMES
) -> FlagOccurrence | None:
    """Find the flag where it stands last, which is the one that counts."""
    found = None
    for given in flag_occurrences(words, command, named):
        if given.name in flag.names:
            found = given
    return found


def find_occurrence(
    command: str, flag: Flag, named: NamedServers = NO_NAMES
) -> FlagOccurrence | None:
    """Find the flag in a command where it stands last behind the llama-server.

    In a command that starts another program, only that program's own long flags count, and the
    context size never: it is another flag there.
    """
    found, every = launch(command, named), split_words(command)
    if found.begin is not None:
        return last_occurrence(every[found.begin :], flag, command, named)
    if found.script is not None or not flag.names_elsewhere:
        return None
    given = None
    for index, word in enumerate(every[found.behind :], start=found.behind):
        name, equals, attached = word.text.partition("=")
        if normalize_flag_name(name) not in flag.names_elsewhere:
            continue
        following = every[index + 1] if index + 1 < len(every) else None
        value_word = word if equals else following
        if value_word is None or (not equals and is_flag(value_word.text)):
            continue
        value = attached if equals else value_word.text
        given = FlagOccurrence(normalize_flag_name(name), word, value_word, value)
    return given


def effective_flag_value(command: str, flag: Flag, named: NamedServers = NO_NAMES) -> str | None:
    """Return the value of a flag in a command, "" if it stands alone, None without it."""
    if launch(command, named).script is not None:
        return CommandLine.read(command, named).value(flag.names)
    given = find_occurrence(command, flag, named)
    return given.value if given else None


def _flags_of(command: str, named: NamedServers) -> Mapping[str, Flag]:
    begin = launch(command, named).begin if _IK_LLAMA.search(command) else None
    before = split_words(command)[:begin] if begin else ()
    return _flags_by_name(is_ik=any(_IK_LLAMA.search(word.text) for word in before))


@cache
def _flags_by_name(*, is_ik: bool) -> dict[str, Flag]:
    known: dict[str, Flag] = {}
    tables = [
        (FlagArity.ONE, flag_table.TAKING_ONE_VALUE),
        (FlagArity.TWO, flag_table.TAKING_TWO_VALUES),
        (FlagArity.OPTIONAL, flag_table.TAKING_A_VALUE_OR_NONE),
        (FlagArity.NOTHING, flag_table.TAKING_NO_VALUE),
    ]
    if is_ik:
        tables.append((FlagArity.ONE, flag_table.IK_TAKING_ONE_VALUE))
        tables.append((FlagArity.NOTHING, flag_table.IK_TAKING_NO_VALUE))
    for takes, table in tables:
        for words in map(str.split, re.split(" / |\n", table)):
            names = tuple(word for word in words if word.startswith("-"))
            environment = "".join(word for word in words if not word.startswith("-"))
            for name in (*names, environment) if environment else names:
                known[name] = Flag(names, takes, environment)
    return known


_VARIABLE = re.compile(r"LLAMA_ARG_[A-Za-z0-9_]{0,70}")
_SWITCHED_OFF = frozenset({"", "0", "off", "false", "disabled", "no"})


def environment_arguments(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the flags that the variables stand for; llama-server prefers those of the command."""
    found: list[str] = []
    for name, value in environment.items():
        if not _VARIABLE.fullmatch(name):
            continue
        flag = find_flag(name)
        if flag.environment != name:
            continue
        if flag.takes is not FlagArity.NOTHING:
            found += [flag.long_name, value]
        elif value.strip().lower() not in _SWITCHED_OFF:
            found.append(flag.long_name)
    return tuple(found)


LONGEST_VALUE = 4096

_PLAIN_WORD = re.compile(r"[A-Za-z0-9._/:=,+@%~^{}\[\]()<>|&;?*!-]+")
_PLAIN_IN_QUOTES = {"'": re.compile(r"[^']*"), '"': re.compile(r'[^"\\]*')}
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


def refuse_unwritable(value: str, line: int) -> None:
    """Raise ConfigRefused for what can't be a value: control characters, macros, a very long text."""
    if len(value) > LONGEST_VALUE:
        raise ConfigRefused(f"A value can have at most {LONGEST_VALUE:,} characters.", line=line)
    if _CONTROL_CHARACTERS.search(value):
        what = f"“{sanitize_line(value, 60)}” is not a valid value."
        why = "It contains a line break or another control character."
        raise ConfigRefused(what, line=line, why=why)
    if "${" in value:
        remedy = "Use the value itself, or change it in the editor."
        what = f"“{sanitize_line(value, 60)}” names a macro."
        raise ConfigRefused(what, line=line, remedy=remedy, action=Action.EDIT_CONFIG)


def quote_word(value: str) -> str:
    """Return the value as one word, in quotes if it would be split without."""
    if _PLAIN_WORD.fullmatch(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def fits_in_quotes(value: str, quote: str) -> bool:
    """Whether the value can stand between these quotes unchanged; "" for none."""
    if not quote:
        return bool(_PLAIN_WORD.fullmatch(value))
    return bool(value) and value == value.strip() and bool(_PLAIN_IN_QUOTES[quote].fullmatch(value))
