"""One value of a config file replaced, and everything else left as it was, byte for byte."""

import re
import shlex
from dataclasses import dataclass

from aitui.domain.config.document import (
    ConfigDocument,
    MappingEntry,
    ModelEntry,
    YamlCollection,
    YamlPair,
    YamlScalar,
    after_colon,
    block_end,
    scalar_text,
)
from aitui.domain.config.keys import MODEL, ValueType
from aitui.domain.config.lint import constraint_violation, matches_schema
from aitui.domain.config.locate import (
    LocatedValue,
    SourceMap,
    ValueSource,
    command_anchor_name,
    escape_fragment,
    locate_flag,
    locate_macro_reference,
    models_sharing_command,
)
from aitui.domain.config.verify import (
    command_words,
    differs_only_in_keys,
    differs_only_in_scalar,
    find_changed_models,
    model_effect,
    not_verified_error,
    reparse,
    require_verified,
    unified_diff,
)
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
from aitui.errors import ConfigRefused


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """The text before and after, and what differs.

    `flag` is the flag or key as it stands in the file; `old` is None where it wasn't there, `new`
    None where it goes away. `shared_name` is the macro or anchor whose text changed, and `also`
    are the ids of the other models that change with it. `added` says that no value was there to
    replace. Where the value is the wanted one already, `after` is `before`.
    """

    before: str
    after: str
    model: str
    flag: str
    old: str | None
    new: str | None
    where: ValueSource
    shared_name: str = ""
    also: tuple[str, ...] = ()
    added: bool = False

    @property
    def diff(self) -> str:
        """A unified diff of the whole change, three lines around it, lines ending in LF."""
        return unified_diff(self.before, self.after)

    @property
    def diff_lines(self) -> str:
        """Only the lines that go and come, with their `-` and `+`."""
        lines = self.diff.splitlines(keepends=True)[2:]
        return "".join(line for line in lines if line.startswith(("-", "+")))


def change_flag(
    document: ConfigDocument, model_id: str, flag: str, value: str, *, only_this_model: bool = False
) -> ConfigChange:
    """Gives a llama-server flag of one model another value; call it in a thread.

    Where the value stands in a macro or behind an anchor, the shared text changes, unless
    `only_this_model`. A flag that takes no value is added with "". Raises ConfigRefused where
    nothing can be changed safely: through a shell's script, digits written as escapes, a value put
    together from several places.
    """

    return build_flag_change(document, model_id, flag, value, only_this_model=only_this_model)


def change_key(
    document: ConfigDocument, model_id: str, key: str, value: str, *, only_this_model: bool = False
) -> ConfigChange:
    """Gives a plain key of one model, such as `ttl`, another value; call it in a thread.

    Raises ConfigRefused for a key whose value isn't a single one, and for a value that isn't of
    the key's kind.
    """

    return build_key_change(document, model_id, key, value, only_this_model=only_this_model)


_ONE_STEP = "  "


@dataclass(frozen=True, slots=True)
class Splice:
    """`text[start:end]` makes way for `put_in`."""

    start: int
    end: int
    text: str

    def apply(self, text: str) -> str:
        """The text after it."""
        return text[: self.start] + self.text + text[self.end :]


def line_break(text: str) -> str:
    """What ends the lines of a text, by its first one."""
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"


def word_insertion(text: str, command: YamlScalar, added: str) -> Splice:
    """Puts words behind the last one of a command.

    On a line of their own where the command has one flag a line, with a backslash where the others
    have one; else on the last word's line.
    """
    found = split_words(command.value)
    if not found:
        raise ConfigRefused("The command is empty.", remedy="Change it in the editor (e).")
    spelling = SourceMap.read(text, command)
    last = found[-1]
    end = spelling.locate(text, last.end - 1, last.end)[1]
    start = text.rfind("\n", 0, end) + 1
    before = text[start:end]
    content = before.lstrip(" \t")
    own_line = (
        start > command.start and sum(is_flag(word.text) for word in split_words(content)) == 1
    )
    fragment = escape_fragment(added, command.style)
    if not (own_line and content.startswith("-")):
        return Splice(end, end, " " + fragment)
    indentation = before[: len(before) - len(content)]
    ending = line_break(text)
    if _is_continued(text[end:]):
        return _insertion_after_backslash(text, end, ending + indentation + fragment)
    previous = text[:start].rstrip("\r\n").rpartition("\n")[2].rstrip()
    backslash = " \\" if previous.endswith("\\") else ""
    return Splice(end, end, backslash + ending + indentation + fragment)


def _is_continued(rest: str) -> bool:
    return rest.partition("\n")[0].strip() == "\\"


def _insertion_after_backslash(text: str, end: int, put_in: str) -> Splice:
    at = text.index("\\", end) + 1
    return Splice(at, at, put_in)


def key_insertion(
    text: str, entry: ModelEntry, key: str, raw: str, *, first: bool = False
) -> Splice:
    """Puts a key into a model's own mapping: at its end, or before its first key.

    `raw` is the value as the file shall have it, its further lines indented for a key at column 0.
    Raises ConfigRefused where the block is another model's, or empty.
    """
    mapping = entry.pair.value
    if entry.pair.aliased or not isinstance(mapping, YamlCollection) or not mapping.pairs:
        raise ConfigRefused(
            "The model has no block of its own.",
            why="All of it stands elsewhere.",
            remedy="Write one in the editor (e).",
        )
    ending = line_break(text)
    opening = mapping.pairs[0].key.start
    if mapping.flow:
        if "\n" in raw or "\r" in raw:
            raise ConfigRefused("A block doesn't go into braces.", remedy="Use the editor (e).")
        # In JSON keys are quoted.
        quote = text[opening] if text[opening] in {'"', "'"} else ""
        return Splice(opening, opening, f"{quote}{key}{quote}: {raw}, ")
    line_start = text.rfind("\n", 0, opening) + 1
    indentation = text[line_start:opening]
    lines = f"{key}: {raw}".split("\n")
    if indentation.strip(" \ufeff"):
        raise ConfigRefused(
            "The block starts in the middle of a line.", remedy="Use the editor (e)."
        )
    put_in = (ending + indentation).join(line.rstrip("\r") for line in lines)
    if first:
        return Splice(opening, opening, put_in + ending + indentation)
    at = end_of_line(text, block_end(text, entry.pair))
    return Splice(at, at, ending + indentation + put_in)


def end_of_line(text: str, at: int) -> int:
    """Where the line of a place ends, before its line break."""
    end = text.find("\n", at)
    if end < 0:
        return len(text)
    return end - 1 if text[end - 1] == "\r" else end


def copy_scalar(text: str, scalar: YamlScalar, begin: int) -> str:
    """A scalar as it is written, without anchor and tag, indented for a key at column 0.

    `begin` is where its own spelling starts, behind the anchor.
    """
    lines = text[begin : scalar.end].rstrip().replace("\r\n", "\n").split("\n")
    if len(lines) == 1:
        return lines[0]
    if scalar.style not in {"|", ">"}:
        return "\n".join([lines[0], *(_ONE_STEP + line.strip() for line in lines[1:])])
    body = [line for line in lines[1:] if line.strip()]
    depth = min((len(line) - len(line.lstrip(" ")) for line in body), default=0)
    # Indentation that is stated counts from the parent; the copy has only what it needs.
    header = re.sub("[0-9]", "", lines[0][:3]) + lines[0][3:]
    moved = (_ONE_STEP + line[depth:] if line.strip() else "" for line in lines[1:])
    return "\n".join([header, *moved])


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


def detach_shared_command(wish: FlagEdit, located: LocatedValue | None) -> ConfigChange:
    """The change that gives this model a `cmd` of its own; `located` is None for a flag to add."""
    document, text, command = wish.document, wish.document.text, wish.command
    entry = document.entry(wish.model_id)
    if located is not None and located.node is command:
        edit, _ = value_replacement(wish, located)
        expected = words_with_value(wish, located)
    else:
        edit = splice_new_flag(wish, text)
        expected = command_words(document, wish.model_id) + wish.words_to_add
    begin = SourceMap.read(text, command).begin
    edited = edit.apply(text)
    moved = len(edited) - len(text)
    copy = YamlScalar(command.value, command.tag, command.style, "", begin, command.end + moved)
    raw = copy_scalar(edited, copy, begin)
    own = entry.keys["cmd"]
    line = document.model(wish.model_id).first_line
    mapping = entry.pair.value
    if own.anchor or not own.pair.aliased:
        after = key_insertion(text, entry, "cmd", raw, first=True).apply(text)
        result = reparse(after, line)
        assert isinstance(mapping, YamlCollection)
        proven = differs_only_in_keys(document.root, result.root, mapping, frozenset({"cmd"}))
    else:
        after = _replace_alias(text, own.pair, raw).apply(text)
        result = reparse(after, line)
        proven = differs_only_in_scalar(document.root, result.root, command)
    require_verified(proven=proven, line=line)
    verify_words(wish, expected, result, line)
    also = collect_other_changes(wish, result, line, allowed=False)
    return ConfigChange(
        before=text,
        after=after,
        model=wish.model_id,
        flag=located.name if located else wish.name,
        old=located.text if located else None,
        new=wish.value,
        where=ValueSource.COMMAND,
        also=also,
        added=True,
    )


def _replace_alias(text: str, pair: YamlPair, raw: str) -> Splice:
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


def build_flag_change(
    document: ConfigDocument, model_id: str, flag: str, value: str, *, only_this_model: bool
) -> ConfigChange:
    """See `change.change_flag`."""
    line = document.model(model_id).first_line
    found_flag = find_flag(flag)
    name = flag if flag.startswith("-") else found_flag.long_name
    wish = FlagEdit(document, model_id, found_flag, name, value, line, only_this_model)
    refuse_wrong_value_count(wish)
    refuse_unwritable(value, line)
    refuse_script(wish)
    located = locate_flag(document, model_id, found_flag)
    if located is not None and (located.text == value or found_flag.takes is FlagArity.NOTHING):
        return _no_change(wish, located)
    if located is None:
        return _add_flag(wish)
    if only_this_model and (located.also or located.node is None):
        return _override_flag(wish, located)
    return _replace_flag(wish, located)


def _no_change(wish: FlagEdit, located: LocatedValue) -> ConfigChange:
    text = wish.document.text
    return ConfigChange(
        before=text,
        after=text,
        model=wish.model_id,
        flag=located.name,
        old=located.text,
        new=wish.value,
        where=located.where,
        shared_name=located.shared_name,
        also=(),
    )


def _replace_flag(wish: FlagEdit, located: LocatedValue) -> ConfigChange:
    splice, node = value_replacement(wish, located)
    after = splice.apply(wish.document.text)
    result = reparse(after, located.line)
    require_verified(
        proven=differs_only_in_scalar(wish.document.root, result.root, node), line=located.line
    )
    if located.where is ValueSource.ENVIRONMENT:
        verify_variable(wish, located, result)
    else:
        verify_words(wish, words_with_value(wish, located), result, located.line)
    also = collect_other_changes(wish, result, located.line, allowed=bool(located.also))
    return ConfigChange(
        before=wish.document.text,
        after=after,
        model=wish.model_id,
        flag=located.name,
        old=located.text,
        new=wish.value,
        where=located.where,
        shared_name=located.shared_name,
        also=also,
    )


def _add_flag(wish: FlagEdit) -> ConfigChange:
    also = models_sharing_command(wish.document, wish.model_id)
    if also and wish.only_this_model:
        return detach_shared_command(wish, None)
    return _append_flag(wish, splice_new_flag(wish, wish.document.text), also)


def _append_flag(wish: FlagEdit, splice: Splice, sharers: tuple[str, ...]) -> ConfigChange:
    """The flag put behind the last word, where it counts more than any before."""
    text = wish.document.text
    line = wish.document.lines.line(splice.start)
    after = splice.apply(text)
    result = reparse(after, line)
    require_verified(
        proven=differs_only_in_scalar(wish.document.root, result.root, wish.command), line=line
    )
    verify_words(
        wish, command_words(wish.document, wish.model_id) + wish.words_to_add, result, line
    )
    also = collect_other_changes(wish, result, line, allowed=bool(sharers))
    return ConfigChange(
        before=text,
        after=after,
        model=wish.model_id,
        flag=wish.name,
        old=_current_text(wish),
        new=wish.value,
        where=ValueSource.ANCHOR if sharers else ValueSource.COMMAND,
        shared_name=command_anchor_name(wish.document, wish.model_id) if sharers else "",
        also=also,
        added=True,
    )


def _current_text(wish: FlagEdit) -> str | None:
    located = locate_flag(wish.document, wish.model_id, wish.flag)
    return located.text if located else None


def _override_flag(wish: FlagEdit, located: LocatedValue) -> ConfigChange:
    """Another value for this model alone, while the shared text stays."""
    if models_sharing_command(wish.document, wish.model_id):
        return detach_shared_command(wish, located)
    traced = wish.document.trace(wish.model_id)
    if located.where is ValueSource.MACRO and located.occurrence is not None and traced is not None:
        reference = locate_macro_reference(wish.document, wish.model_id, traced, located.occurrence)
        if reference is not None:
            return _replace_flag(wish, reference)
    return _append_flag(wish, splice_new_flag(wish, wish.document.text), ())


_SINGLE = (ValueType.TEXT, ValueType.NUMBER, ValueType.SWITCH)
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./ ()+-]*[A-Za-z0-9_./()+-]|[A-Za-z/]")
_NOT_TEXT = re.compile(r"(?i:true|false|null|yes|no|on|off|y|n)")


def build_key_change(
    document: ConfigDocument, model_id: str, key: str, value: str, *, only_this_model: bool
) -> ConfigChange:
    """See `change.change_key`."""
    line = document.model(model_id).first_line
    kind = MODEL.keys.get(key)
    if kind is None or kind.takes not in _SINGLE or key == "cmd":
        raise ConfigRefused(
            f"“{sanitize_line(key, 60)}” is no key with a single value.",
            line=line,
            remedy="Change it in the editor (e).",
        )
    refuse_unwritable(value, line)
    wanted = YamlScalar(value, "", "", "", 0, 0)
    wrong = "" if matches_schema(wanted, kind) else f"takes {kind.takes.value}"
    wrong = wrong or constraint_violation(wanted, kind)
    if wrong or not value:
        raise ConfigRefused(
            f"“{sanitize_line(value, 60)}” can't be the {key} of a model.",
            line=line,
            why=f"{key} {wrong}." if wrong else "It is empty.",
        )
    entry = document.entry(model_id).keys.get(key)
    others = _find_sharers(document, model_id, key, entry)
    if entry is None or (others and only_this_model):
        return _add_key(document, model_id, key, value, entry, alone=only_this_model)
    return _replace_key(document, model_id, key, value, entry, shared=bool(others))


def _replace_key(
    document: ConfigDocument,
    model_id: str,
    key: str,
    value: str,
    entry: MappingEntry,
    *,
    shared: bool,
) -> ConfigChange:
    node = entry.value
    line = document.lines.line(node.start)
    if not isinstance(node, YamlScalar) or node.style in {"|", ">"}:
        raise ConfigRefused(
            f"The {key} of this model is no single value.",
            line=line,
            remedy="Change it in the editor (e).",
        )
    text = document.text
    old = scalar_text(node)
    also: tuple[str, ...] = ()
    after = text
    if old != value:
        after = _value_splice(document, entry.pair, node, value).apply(text)
        result = reparse(after, line)
        require_verified(proven=differs_only_in_scalar(document.root, result.root, node), line=line)
        also = _verify_key(document, result, model_id, key, value)
        require_verified(proven=shared or not also, line=line)
    return ConfigChange(
        before=text,
        after=after,
        model=model_id,
        flag=key,
        old=old,
        new=value,
        where=ValueSource.KEY,
        shared_name=_anchor_name(document, model_id, entry) if shared else "",
        also=also,
        added=old is None,
    )


def _value_splice(document: ConfigDocument, pair: YamlPair, node: YamlScalar, value: str) -> Splice:
    text = document.text
    key = pair.key.value if isinstance(pair.key, YamlScalar) else ""
    if node.start == node.end:
        at = after_colon(text, pair)
        return Splice(at, at, " " + _format_value(value, key))
    begin = SourceMap.read(text, node).begin
    if node.style in {"'", '"'}:
        return Splice(begin + 1, node.end - 1, escape_fragment(value, node.style))
    return Splice(begin, node.end, _format_value(value, key))


def _format_value(value: str, key: str) -> str:
    """A value as YAML that means exactly it, of the key's kind."""
    if MODEL.keys[key].takes is not ValueType.TEXT:
        return value
    if _PLAIN.fullmatch(value) and not _NOT_TEXT.fullmatch(value):
        return value
    return '"' + escape_fragment(value, '"') + '"'


def _add_key(
    document: ConfigDocument,
    model_id: str,
    key: str,
    value: str,
    merged: MappingEntry | None,
    *,
    alone: bool,
) -> ConfigChange:
    text = document.text
    entry = document.entry(model_id)
    line = document.model(model_id).last_line
    mapping = entry.pair.value
    for first in (False, True):
        splice = key_insertion(text, entry, key, _format_value(value, key), first=first)
        after = splice.apply(text)
        try:
            result = reparse(after, line)
        except ConfigRefused:
            continue
        assert isinstance(mapping, YamlCollection)
        if differs_only_in_keys(document.root, result.root, mapping, frozenset({key})):
            break
    else:
        raise not_verified_error(line)
    also = _verify_key(document, result, model_id, key, value)
    require_verified(proven=not also or not (merged or alone), line=line)
    return ConfigChange(
        before=text,
        after=after,
        model=model_id,
        flag=key,
        old=scalar_text(merged.value) if merged else None,
        new=value,
        where=ValueSource.KEY,
        shared_name=mapping.anchor if also else "",
        also=also,
        added=True,
    )


def _verify_key(
    document: ConfigDocument, result: ConfigDocument, model_id: str, key: str, value: str
) -> tuple[str, ...]:
    """The other models that changed; raises where this one didn't get exactly this value."""
    entry = result.entry(model_id).keys.get(key)
    changed = find_changed_models(document, result)
    proven = (
        entry is not None
        and scalar_text(entry.value) == value
        and matches_schema(entry.value, MODEL.keys[key])
        and document.command(model_id) == result.command(model_id)
        and model_id in changed
    )
    require_verified(proven=proven, line=document.model(model_id).first_line)
    return tuple(other for other in changed if other != model_id)


def _find_sharers(
    document: ConfigDocument, model_id: str, key: str, entry: MappingEntry | None
) -> tuple[str, ...]:
    if entry is None:
        return ()
    return tuple(
        other
        for other, model in document.entries.items()
        if other != model_id and (found := model.keys.get(key)) and found.value is entry.value
    )


def _anchor_name(document: ConfigDocument, model_id: str, entry: MappingEntry) -> str:
    model = document.entry(model_id)
    return entry.value.anchor or entry.anchor or model.pair.value.anchor or model.anchor
