"""A command that several models share, copied into the block of one and changed there."""

from aitui.domain.config.additions import (
    Splice,
    added_key,
    end_of_line,
    line_break,
    raw_copy,
)
from aitui.domain.config.change import Change
from aitui.domain.config.flag_wish import (
    Wish,
    appended,
    changed_others,
    prove_words,
    replacement,
    with_value,
)
from aitui.domain.config.proof import command_words, only_keys, only_scalar, refuse_unless, reread
from aitui.domain.config.spelling import Spelling
from aitui.domain.config.tree import Collection, Pair, Scalar
from aitui.domain.config.values import Located, Where


def copied(wish: Wish, located: Located | None) -> Change:
    """The change that gives this model a `cmd` of its own; `located` is None for a flag to add."""
    document, text, command = wish.document, wish.document.text, wish.command
    entry = document.entry(wish.model_id)
    if located is not None and located.node is command:
        edit, _ = replacement(wish, located)
        expected = with_value(wish, located)
    else:
        edit = appended(wish, text)
        expected = command_words(document, wish.model_id) + wish.added_words
    begin = Spelling.read(text, command).begin
    edited = edit.applied(text)
    moved = len(edited) - len(text)
    copy = Scalar(command.value, command.tag, command.style, "", begin, command.end + moved)
    raw = raw_copy(edited, copy, begin)
    own = entry.keys["cmd"]
    line = document.model(wish.model_id).first_line
    mapping = entry.pair.value
    if own.anchor or not own.pair.aliased:
        after = added_key(text, entry, "cmd", raw, first=True).applied(text)
        result = reread(after, line)
        assert isinstance(mapping, Collection)
        proven = only_keys(document.root, result.root, mapping, frozenset({"cmd"}))
    else:
        after = _instead_of_alias(text, own.pair, raw).applied(text)
        result = reread(after, line)
        proven = only_scalar(document.root, result.root, command)
    refuse_unless(proven=proven, line=line)
    prove_words(wish, expected, result, line)
    also = changed_others(wish, result, line, allowed=False)
    return Change(
        before=text,
        after=after,
        model=wish.model_id,
        flag=located.name if located else wish.name,
        old=located.text if located else None,
        new=wish.value,
        where=Where.COMMAND,
        also=also,
        added=True,
    )


def _instead_of_alias(text: str, pair: Pair, raw: str) -> Splice:
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
