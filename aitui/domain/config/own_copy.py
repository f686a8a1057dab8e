"""A command that several models share, copied into the block of one and changed there."""

from aitui.domain.config.additions import (
    Splice,
    copy_scalar,
    end_of_line,
    key_insertion,
    line_break,
)
from aitui.domain.config.change import ConfigChange
from aitui.domain.config.flag_wish import (
    FlagEdit,
    collect_other_changes,
    splice_new_flag,
    value_replacement,
    verify_words,
    words_with_value,
)
from aitui.domain.config.proof import (
    command_words,
    differs_only_in_keys,
    differs_only_in_scalar,
    reparse,
    require_verified,
)
from aitui.domain.config.spelling import SourceMap
from aitui.domain.config.tree import YamlCollection, YamlPair, YamlScalar
from aitui.domain.config.values import LocatedValue, ValueSource


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
