"""Change or add one flag of a model's command, and nothing else."""

import re
import shlex

from msgspec import Struct

from aitui.domain.config import verify
from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.locate import (
    LocatedValue,
    SourceMap,
    ValueSource,
    anchor_name,
    escape_fragment,
    locate_flag,
    locate_macro_reference,
    models_sharing_command,
)
from aitui.domain.config.splice import (
    Splice,
    copy_scalar,
    end_of_line,
    key_insertion,
    line_break,
    word_insertion,
)
from aitui.domain.config.verify import ConfigChange
from aitui.domain.config.yaml_tree import YamlCollection, YamlPair, YamlScalar
from aitui.domain.launch import context_flag_of
from aitui.domain.llama_server import (
    CONTEXT_SIZE,
    Flag,
    FlagArity,
    find_flag,
    find_occurrence,
    fits_in_quotes,
    is_flag,
    launch,
    normalize_flag_name,
    quote_word,
    refuse_unwritable,
    split_words,
)
from aitui.domain.sanitize import sanitize_line
from aitui.errors import Action, ConfigRefused

_IN_EDITOR = "Change it in the editor."
_WHOLE_NUMBER = re.compile(r"\s*+[+-]?\d*+\s*+")
_GLUED = re.compile(r"[\d.]+-+[A-Za-z]")
"""A number with the next flag behind it, the blank between them forgotten."""


class FlagEdit(Struct, frozen=True):
    """A flag, the value that it gets, and the model. `name` is how a flag is spelled if it is added.

    `line` is that of the model, for messages.
    """

    document: ConfigDocument
    model_id: str
    flag: Flag
    name: str
    value: str
    line: int

    @property
    def command(self) -> YamlScalar:
        """Return the scalar under `cmd`."""
        node = self.document.command_node(self.model_id)
        if node is None:
            what = f"“{sanitize_line(self.model_id, 80)}” has no cmd."
            raise ConfigRefused(
                what, line=self.line, remedy="Write one in the editor.", action=Action.EDIT_CONFIG
            )
        return node

    @property
    def is_context_size(self) -> bool:
        """Whether the flag is llama-server's context size."""
        return not frozenset(CONTEXT_SIZE).isdisjoint(self.flag.names)

    @property
    def new_words(self) -> tuple[str, ...]:
        """Return the words of a new flag."""
        return (self.name, self.value) if self.value else (self.name,)


def change_flag(
    document: ConfigDocument, model_id: str, flag: str, value: str, *, only_this_model: bool = False
) -> ConfigChange:
    """Give a llama-server flag of one model another value; call it in a thread.

    If the value stands in a macro or behind an anchor, the shared text changes, unless
    `only_this_model`. A flag that takes no value is added with "". Raises ConfigRefused if nothing
    can be changed safely: in a shell's script, in digits written as escapes, in a value that is put
    together from several places.
    """
    line = document.model(model_id).first_line
    found_flag = find_flag(flag, document.command(model_id), document.named)
    name = flag if flag.startswith("-") else found_flag.long_name
    edit = FlagEdit(document, model_id, found_flag, name, value, line)
    _refuse_wrong_value_count(edit)
    refuse_unwritable(value, line)
    _refuse_script(edit)
    located = locate_flag(document, model_id, found_flag)
    if located is None:
        sharers = models_sharing_command(document, model_id)
        if sharers and only_this_model:
            return _detach_shared_command(edit, None)
        return _append_flag(edit, sharers)
    if located.text == value or found_flag.takes is FlagArity.NOTHING:
        return _change_at(edit, located, document.text)
    _refuse_old_value(edit, located)
    if only_this_model and (located.also or located.node is None):
        return _override_flag(edit, located)
    return _replace_flag(edit, located)


def _refuse_wrong_value_count(edit: FlagEdit) -> None:
    takes = edit.flag.takes
    if takes is FlagArity.TWO:
        why = "It takes two values."
    elif takes is FlagArity.NOTHING and edit.value:
        why = "It takes no value."
    elif takes is FlagArity.ONE and not edit.value:
        why = "It needs a value."
    elif takes is FlagArity.OPTIONAL and is_flag(edit.value):
        why = "Its value would be read as a flag."
    else:
        return
    raise ConfigRefused(f"{edit.name} can't be set that way.", line=edit.line, why=why)


def _refuse_old_value(edit: FlagEdit, located: LocatedValue) -> None:
    """Raise ConfigRefused if the value that would be replaced may be more than a value."""
    old = located.text
    is_number = bool(_WHOLE_NUMBER.fullmatch(old)) or "${env." in old
    if _GLUED.match(old) or (edit.is_context_size and not is_number):
        raise ConfigRefused(
            f"“{sanitize_line(old, 60)}” is not a number, and is not replaced.",
            line=located.line,
            why=f"It may be more than the value of {sanitize_line(located.name, 60)}.",
            remedy=_IN_EDITOR,
            action=Action.EDIT_CONFIG,
        )


def _refuse_script(edit: FlagEdit) -> None:
    found = launch(edit.document.command(edit.model_id), edit.document.named)
    if found.joined and edit.value != shlex.quote(edit.value) and edit.value:
        raise ConfigRefused(
            f"{edit.name} can't be set to that value.",
            line=edit.document.lines.line(edit.command.start),
            why="The remote shell of ssh would split or expand it.",
            remedy=_IN_EDITOR,
            action=Action.EDIT_CONFIG,
        )
    if found.script is None:
        return
    program = sanitize_line(found.program, 60)
    raise ConfigRefused(
        f"{edit.name} can't be set inside a script.",
        line=edit.document.lines.line(edit.command.start),
        why=f"“{program}” runs the command as a script, so a value can't be changed safely.",
        remedy=_IN_EDITOR,
        action=Action.EDIT_CONFIG,
    )


def _replace_flag(edit: FlagEdit, located: LocatedValue) -> ConfigChange:
    result = _result_of(edit, *_value_splice(edit, located), located.line)
    if located.where is ValueSource.ENVIRONMENT:
        _verify_variable(edit, located, result)
    else:
        _verify_words(edit, _words_with_value(edit, located), result, located.line)
    also = _other_changed_models(edit, result, located.line, allowed=bool(located.also))
    return _change_at(edit, located, result.text, also)


def _result_of(edit: FlagEdit, splice: Splice, node: YamlScalar, line: int) -> ConfigDocument:
    """Return the file after a splice, which may change this one scalar only."""
    result = verify.reparse(edit.document, splice.apply(edit.document.text), line)
    proven = verify.differs_only_in_scalar(edit.document.root, result.root, node)
    verify.require_verified(proven=proven, line=line)
    return result


def _change_at(
    edit: FlagEdit, located: LocatedValue, after: str, also: tuple[str, ...] = ()
) -> ConfigChange:
    return ConfigChange(
        before=edit.document.text,
        after=after,
        model=edit.model_id,
        flag=located.name,
        old=located.text,
        new=edit.value,
        where=located.where,
        shared_name=located.shared_name,
        also=also,
    )


def _value_splice(edit: FlagEdit, located: LocatedValue) -> tuple[Splice, YamlScalar]:
    """Return what is written and where, and the scalar that it changes."""
    if located.node is None or located.start >= located.end:
        what = f"The value of {sanitize_line(located.name, 60)} comes from several places."
        raise ConfigRefused(what, line=located.line, remedy=_IN_EDITOR, action=Action.EDIT_CONFIG)
    text = edit.document.text
    source_map = SourceMap.read(text, located.node)
    start, end = source_map.locate(text, located.start, located.end)
    fragment = edit.value
    if located.as_word and not fits_in_quotes(edit.value, located.quote):
        if located.quote:
            start, end = source_map.locate(text, located.start - 1, located.end + 1)
        fragment = quote_word(edit.value)
    written = escape_fragment(located.prefix + fragment, located.node.style)
    return Splice(start, end, written), located.node


def _words_with_value(edit: FlagEdit, located: LocatedValue) -> tuple[str, ...]:
    given = located.occurrence
    assert given is not None
    expected: list[str] = []
    for word in split_words(edit.document.command(edit.model_id)):
        if given.value_word is None and word.start == given.flag_word.start:
            expected += (word.text, edit.value)
        elif given.value_word is None or word.start != given.value_word.start:
            expected.append(word.text)
        elif given.has_equals_sign:
            expected.append(f"{word.text.partition('=')[0]}={edit.value}")
        else:
            expected.append(edit.value)
    return tuple(expected)


def _append_flag(edit: FlagEdit, sharers: tuple[str, ...]) -> ConfigChange:
    """Put the flag behind the last word, where it takes precedence over any before."""
    document = edit.document
    splice = _new_flag_splice(edit, document.text)
    line = document.lines.line(splice.start)
    result = _result_of(edit, splice, edit.command, line)
    _verify_words(
        edit, verify.command_words(document, edit.model_id) + edit.new_words, result, line
    )
    also = _other_changed_models(edit, result, line, allowed=bool(sharers))
    before = locate_flag(document, edit.model_id, edit.flag)
    return ConfigChange(
        before=document.text,
        after=result.text,
        model=edit.model_id,
        flag=edit.name,
        old=before.text if before else None,
        new=edit.value,
        where=ValueSource.ANCHOR if sharers else ValueSource.COMMAND,
        shared_name=anchor_name(document.entry(edit.model_id), "cmd") if sharers else "",
        also=also,
        added=True,
    )


def _new_flag_splice(edit: FlagEdit, text: str) -> Splice:
    """Put the flag behind the last word of a llama-server's command.

    Another program would take the flag for something else, or end on it: raises ConfigRefused.
    """
    command = edit.document.command(edit.model_id)
    found = launch(command, edit.document.named)
    if found.begin is not None or not split_words(command):
        return word_insertion(text, edit.command, " ".join(map(quote_word, edit.new_words)))
    program = sanitize_line(found.program, 60)
    why = "It isn't llama-server: only a long flag that is already there can be changed."
    remedy = _IN_EDITOR
    action: Action | None = Action.EDIT_CONFIG
    own = context_flag_of(found.program) if edit.is_context_size else None
    if own:
        why = f"It isn't llama-server, and its own flag for the context is {own}."
    elif own is not None:
        why = "It isn't llama-server, and has no flag for the context."
    elif edit.is_context_size:
        why = "It isn't llama-server, and may not support that flag."
        remedy = (
            "If it accepts llama-server's flags, add it to llama_server_programs in config.toml; else "
            "change the command in the editor."
        )
    if own and find_occurrence(command, find_flag(own), edit.document.named) is not None:
        model = shlex.quote(sanitize_line(edit.model_id, 80))
        remedy, action = f"aitui flag {model} {own.lstrip('-')} {edit.value} changes it.", None
    raise ConfigRefused(
        f"{edit.name} can't be set for “{program}”.",
        line=edit.document.lines.line(edit.command.start),
        why=why,
        remedy=remedy,
        action=action,
    )


def _override_flag(edit: FlagEdit, located: LocatedValue) -> ConfigChange:
    """Change the value for this model alone; the shared text stays."""
    document = edit.document
    if models_sharing_command(document, edit.model_id):
        return _detach_shared_command(edit, located)
    traced = document.trace(edit.model_id)
    if located.where is ValueSource.MACRO and located.occurrence is not None and traced is not None:
        reference = locate_macro_reference(document, edit.model_id, traced, located.occurrence)
        if reference is not None:
            return _replace_flag(edit, reference)
    return _append_flag(edit, ())


def _detach_shared_command(edit: FlagEdit, located: LocatedValue | None) -> ConfigChange:
    """Give this model a `cmd` of its own; `located` is None for a flag that is added."""
    document, text, command = edit.document, edit.document.text, edit.command
    entry = document.entry(edit.model_id)
    if located is not None and located.node is command:
        splice, _ = _value_splice(edit, located)
        expected = _words_with_value(edit, located)
    else:
        splice = _new_flag_splice(edit, text)
        expected = verify.command_words(document, edit.model_id) + edit.new_words
    begin = SourceMap.read(text, command).begin
    edited = splice.apply(text)
    end = command.end + len(edited) - len(text)
    copy = YamlScalar(command.value, command.tag, command.style, "", begin, end)
    raw = copy_scalar(edited, copy, begin)
    own = entry.keys["cmd"]
    line = document.model(edit.model_id).first_line
    if not (own.anchor or own.pair.aliased or entry.pair.aliased):
        raise ConfigRefused(
            f"“{sanitize_line(edit.model_id, 80)}” can't be changed alone.",
            line=line,
            why="Other models refer to the cmd defined here.",
            remedy=_IN_EDITOR,
            action=Action.EDIT_CONFIG,
        )
    if own.anchor or not own.pair.aliased:
        after = key_insertion(text, entry, "cmd", raw, first=True).apply(text)
        result = verify.reparse(document, after, line)
        mapping = entry.pair.value
        assert isinstance(mapping, YamlCollection)
        proven = verify.differs_only_in_keys(
            document.root, result.root, mapping, frozenset({"cmd"})
        )
        verify.require_verified(proven=proven, line=line)
    else:
        result = _result_of(edit, _alias_splice(text, own.pair, raw), command, line)
    _verify_words(edit, expected, result, line)
    _other_changed_models(edit, result, line, allowed=False)
    return ConfigChange(
        before=text,
        after=result.text,
        model=edit.model_id,
        flag=located.name if located else edit.name,
        old=located.text if located else None,
        new=edit.value,
        where=ValueSource.COMMAND,
        added=True,
    )


def _alias_splice(text: str, pair: YamlPair, raw: str) -> Splice:
    """Put a scalar in the place of the alias that is the value of a pair."""
    start = text.index("*", pair.key.end)
    end = start
    while end < len(text) and text[end] not in " \t\r\n,]}":
        end += 1
    line_start = text.rfind("\n", 0, pair.key.start) + 1
    indentation = text[line_start : pair.key.start]
    first, *rest = raw.split("\n")
    # What follows on the alias's line, such as a comment, stays on it.
    stop = end_of_line(text, end) if first[0] in "|>" else end
    lines = [first + text[end:stop], *(indentation + line for line in rest)]
    return Splice(start, stop, line_break(text).join(lines))


def _verify_words(
    edit: FlagEdit, expected: tuple[str, ...], result: ConfigDocument, line: int
) -> None:
    """Require that the command has exactly these words now, and the flag the wanted value."""
    old, new = (
        verify.model_effect(edit.document, edit.model_id),
        verify.model_effect(result, edit.model_id),
    )
    located = locate_flag(result, edit.model_id, edit.flag)
    proven = (
        verify.command_words(result, edit.model_id) == expected
        and (old.environment, old.keys) == (new.environment, new.keys)
        and located is not None
        and located.text == edit.value
        and normalize_flag_name(located.name) in edit.flag.names
    )
    verify.require_verified(proven=proven, line=line)


def _verify_variable(edit: FlagEdit, located: LocatedValue, result: ConfigDocument) -> None:
    """Require that exactly this one value of the model's environment is another one now."""
    old, new = (
        verify.model_effect(edit.document, edit.model_id),
        verify.model_effect(result, edit.model_id),
    )
    changed = [
        after
        for before, after in zip(old.environment, new.environment, strict=True)
        if before != after
    ]
    proven = (old.command, old.keys) == (new.command, new.keys) and changed == [
        f"{located.name}={edit.value}"
    ]
    verify.require_verified(proven=proven, line=located.line)


def _other_changed_models(
    edit: FlagEdit, result: ConfigDocument, line: int, *, allowed: bool
) -> tuple[str, ...]:
    """Return the other models that changed; raise if none may, or if this one didn't change."""
    changed = verify.find_changed_models(edit.document, result)
    others = tuple(model_id for model_id in changed if model_id != edit.model_id)
    verify.require_verified(proven=edit.model_id in changed and (allowed or not others), line=line)
    return others
