"""llama-server's flags: which spellings mean the same, and how many words follow."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache

from aitui.domain.clean import sanitize_line
from aitui.domain.command_line import CONTEXT_SIZE, CommandWord, flag_value, launch, split_words
from aitui.domain.config import flag_table
from aitui.errors import ConfigRefused

_FLAG_NAME = re.compile(r"-{0,2}[A-Za-z][A-Za-z0-9._-]{0,79}")
_CONTEXT_SIZE = frozenset(CONTEXT_SIZE)
_NUMBER = re.compile(r"-\.?[0-9]")


class FlagArity(Enum):
    """How many values follow a flag."""

    NOTHING = "nothing"
    ONE = "one"
    TWO = "two"
    OPTIONAL = "perhaps one"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag with all its spellings. `environment` is "" where no variable means the same."""

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


@dataclass(frozen=True, slots=True)
class FlagOccurrence:
    """A flag in a command: its word, and the word that holds its value.

    `value_word` is the flag's own word where `=` joins the two, and None where no value follows.
    """

    name: str
    flag_word: CommandWord
    value_word: CommandWord | None
    value: str

    @property
    def has_equals_sign(self) -> bool:
        """Whether the value stands behind `=` in the flag's own word."""
        return self.value_word is self.flag_word


def find_flag(given: str) -> Flag:
    """The flag of a spelling, with or without dashes, or of its environment variable.

    One of its own where none is known.

    Raises ConfigRefused for what can't be the name of a flag.
    """
    if not _FLAG_NAME.fullmatch(given):
        raise ConfigRefused(
            f"“{sanitize_line(given, 60)}” can't be a flag.", remedy="Give it as --name or -n."
        )
    if given in _flags_by_name():
        return _flags_by_name()[given]
    likely = ("--", "-") if len(given) > 1 else ("-", "--")
    dashes = ("",) if given.startswith("-") else likely
    names = [normalize_flag_name(dash + given) for dash in dashes]
    known = (_flags_by_name()[name] for name in names if name in _flags_by_name())
    return next(known, Flag((names[0],), FlagArity.OPTIONAL))


def normalize_flag_name(name: str) -> str:
    """A flag's name as llama-server compares it: `_` counts as `-` in long names."""
    return name.replace("_", "-") if name.startswith("--") else name


def flag_occurrences(words: tuple[CommandWord, ...]) -> Iterator[FlagOccurrence]:
    """The flags among the words, with their values, as llama-server would take them."""
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
        takes = _value_arity(name)
        following = words[index] if index < len(words) else None
        alone = takes is FlagArity.OPTIONAL and following is not None and is_flag(following.text)
        if takes is FlagArity.NOTHING or following is None or alone:
            yield FlagOccurrence(name, word, None, "")
        else:
            yield FlagOccurrence(name, word, following, following.text)
            index += 2 if takes is FlagArity.TWO else 1


def is_flag(text: str) -> bool:
    """Whether a word can be a flag: a dash, and no negative number behind it."""
    return len(text) > 1 and text.startswith("-") and not _NUMBER.match(text)


def last_occurrence(words: tuple[CommandWord, ...], flag: Flag) -> FlagOccurrence | None:
    """The flag where it stands last, which is the one that counts."""
    found = None
    for given in flag_occurrences(words):
        if given.name in flag.names:
            found = given
    return found


def find_occurrence(command: str, flag: Flag) -> FlagOccurrence | None:
    """The flag in a command, where it stands last behind the llama-server.

    In a command that starts another program, only long flags that are that program's own count,
    and the context size never: it is another flag there.
    """
    found, every = launch(command), split_words(command)
    if found.begin is not None:
        return last_occurrence(every[found.begin :], flag)
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


def effective_flag_value(command: str, flag: Flag) -> str | None:
    """The value that a command gives a flag, "" for one that stands alone, None without it."""
    if launch(command).script is not None:
        return flag_value(command, flag.names)
    given = find_occurrence(command, flag)
    return given.value if given else None


def _value_arity(name: str) -> FlagArity:
    known = _flags_by_name().get(name)
    return known.takes if known else FlagArity.OPTIONAL


@cache
def _flags_by_name() -> dict[str, Flag]:
    known: dict[str, Flag] = {}
    for takes, table in (
        (FlagArity.ONE, flag_table.TAKING_ONE_VALUE),
        (FlagArity.TWO, flag_table.TAKING_TWO_VALUES),
        (FlagArity.OPTIONAL, flag_table.TAKING_A_VALUE_OR_NONE),
        (FlagArity.NOTHING, flag_table.TAKING_NO_VALUE),
    ):
        for line in table.split("\n"):
            names = tuple(word for word in line.split() if word.startswith("-"))
            environment = "".join(word for word in line.split() if not word.startswith("-"))
            for name in (*names, environment) if environment else names:
                known[name] = Flag(names, takes, environment)
    return known
