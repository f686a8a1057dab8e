"""What is to become of a flag, written into its place, and proven there."""

import shlex
from dataclasses import dataclass

from aitui.domain.clean import sanitize_line
from aitui.domain.command_line import CONTEXT_SIZE, launch, split_words
from aitui.domain.config.additions import Splice, word_insertion
from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.flags import (
    Flag,
    FlagArity,
    find_flag,
    find_occurrence,
    is_flag,
    normalize_flag_name,
)
from aitui.domain.config.proof import (
    command_words,
    find_changed_models,
    model_effect,
    require_verified,
)
from aitui.domain.config.shell_words import fits_in_quotes, quote_word
from aitui.domain.config.spelling import SourceMap, escape_fragment
from aitui.domain.config.tree import YamlScalar
from aitui.domain.config.values import LocatedValue, locate_flag
from aitui.domain.launch import context_flag_of
from aitui.errors import ConfigRefused


@dataclass(frozen=True, slots=True)
class FlagEdit:
    """What is to change, and for whom. `name` is the spelling for a flag that is added."""

    document: ConfigDocument
    model_id: str
    flag: Flag
    name: str
    value: str
    line: int
    only_this_model: bool

    @property
    def command(self) -> YamlScalar:
        """The scalar under `cmd`."""
        node = self.document.command_node(self.model_id)
        if node is None:
            raise ConfigRefused(
                f"“{sanitize_line(self.model_id, 80)}” has no cmd.",
                line=self.line,
                remedy="Write one in the editor (e).",
            )
        return node

    @property
    def of_context_size(self) -> bool:
        """Whether the flag is llama-server's context size."""
        return not frozenset(CONTEXT_SIZE).isdisjoint(self.flag.names)

    @property
    def words_to_add(self) -> tuple[str, ...]:
        """The words of the flag where it has to be added."""
        return (self.name, self.value) if self.value else (self.name,)

    @property
    def text_to_add(self) -> str:
        """The same as text of a command."""
        return " ".join(quote_word(word) for word in self.words_to_add)


def refuse_wrong_value_count(wish: FlagEdit) -> None:
    """Raises ConfigRefused where the flag doesn't take as many values as are given."""
    takes, name = wish.flag.takes, wish.name
    if takes is FlagArity.TWO:
        why = "It takes two values."
    elif takes is FlagArity.NOTHING and wish.value:
        why = "It takes no value."
    elif takes is FlagArity.ONE and not wish.value:
        why = "It needs a value."
    elif takes is FlagArity.OPTIONAL and is_flag(wish.value):
        why = "Its value would be taken for a flag."
    else:
        return
    raise ConfigRefused(f"{name} can't be set so.", line=wish.line, why=why)


def refuse_script(wish: FlagEdit) -> None:
    """Raises ConfigRefused where the server's command stands inside one word of another's."""
    found = launch(wish.document.command(wish.model_id))
    if found.script is None:
        return
    program = sanitize_line(found.program, 60)
    raise ConfigRefused(
        f"{wish.name} can't be set inside a script.",
        line=wish.document.lines.line(wish.command.start),
        why=f"“{program}” gets the command as a script, where a value can't be changed safely.",
        remedy="Change it in the editor (e).",
    )


def splice_new_flag(wish: FlagEdit, text: str) -> Splice:
    """The flag put behind the last word of a llama-server's command.

    Raises ConfigRefused where the command starts another program: it would take the flag for
    something else, or end on it.
    """
    command = wish.document.command(wish.model_id)
    found = launch(command)
    if found.begin is not None or not split_words(command):
        return word_insertion(text, wish.command, wish.text_to_add)
    program = sanitize_line(found.program, 60)
    why = "It isn't a llama-server: only a long flag that is already there can be changed."
    remedy = "Change it in the editor (e)."
    own = context_flag_of(found.program) if wish.of_context_size else None
    if own:
        why = f"It isn't a llama-server, and its own flag for the context is {own}."
    elif own is not None:
        why = "It isn't a llama-server, and has no flag for the context."
    elif wish.of_context_size:
        why = "It isn't a llama-server, and may not know that flag."
    if own and find_occurrence(command, find_flag(own)) is not None:
        model = shlex.quote(sanitize_line(wish.model_id, 80))
        remedy = f"aitui flag {model} {own.lstrip('-')} {wish.value} changes it."
    raise ConfigRefused(
        f"{wish.name} can't be set for “{program}”.",
        line=wish.document.lines.line(wish.command.start),
        why=why,
        remedy=remedy,
    )


def value_replacement(wish: FlagEdit, located: LocatedValue) -> tuple[Splice, YamlScalar]:
    """The place in the file that the value is to be written to, and what is written."""
    if located.node is None or located.start >= located.end:
        raise ConfigRefused(
            f"The value of {sanitize_line(located.name, 60)} is put together from several places.",
            line=located.line,
            remedy="Change it in the editor (e).",
        )
    text = wish.document.text
    start, end = SourceMap.read(text, located.node).locate(text, located.start, located.end)
    fragment = wish.value
    if located.as_word and not fits_in_quotes(wish.value, located.quote):
        if located.quote:
            start, end = SourceMap.read(text, located.node).locate(
                text, located.start - 1, located.end + 1
            )
        fragment = quote_word(wish.value)
    written = escape_fragment(located.prefix + fragment, located.node.style)
    return Splice(start, end, written), located.node


def words_with_value(wish: FlagEdit, located: LocatedValue) -> tuple[str, ...]:
    """The words of the command as they are to be afterwards."""
    given = located.occurrence
    command = wish.document.command(wish.model_id)
    assert given is not None
    expected: list[str] = []
    for word in split_words(command):
        if given.value_word is None and word.start == given.flag_word.start:
            expected += (word.text, wish.value)
        elif given.value_word is None or word.start != given.value_word.start:
            expected.append(word.text)
        elif given.has_equals_sign:
            expected.append(f"{word.text.partition('=')[0]}={wish.value}")
        else:
            expected.append(wish.value)
    return tuple(expected)


def verify_words(
    wish: FlagEdit, expected: tuple[str, ...], result: ConfigDocument, line: int
) -> None:
    """That the model's command has exactly these words now, and its flag the wanted value."""
    old, new = model_effect(wish.document, wish.model_id), model_effect(result, wish.model_id)
    located = locate_flag(result, wish.model_id, wish.flag)
    proven = (
        command_words(result, wish.model_id) == expected
        and (old.environment, old.keys) == (new.environment, new.keys)
        and located is not None
        and located.text == wish.value
        and normalize_flag_name(located.name) in wish.flag.names
    )
    require_verified(proven=proven, line=line)


def verify_variable(wish: FlagEdit, located: LocatedValue, result: ConfigDocument) -> None:
    """That the model's environment has exactly this one value now."""
    old, new = model_effect(wish.document, wish.model_id), model_effect(result, wish.model_id)
    changed = [
        (before, after)
        for before, after in zip(old.environment, new.environment, strict=True)
        if before != after
    ]
    proven = (old.command, old.keys) == (new.command, new.keys) and [
        after for _, after in changed
    ] == [f"{located.name}={wish.value}"]
    require_verified(proven=proven, line=located.line)


def collect_other_changes(
    wish: FlagEdit, result: ConfigDocument, line: int, *, allowed: bool
) -> tuple[str, ...]:
    """The other models that changed; raises ConfigRefused where none may, or this one didn\'t."""
    changed = find_changed_models(wish.document, result)
    others = tuple(model_id for model_id in changed if model_id != wish.model_id)
    require_verified(proven=wish.model_id in changed and (allowed or not others), line=line)
    return others
