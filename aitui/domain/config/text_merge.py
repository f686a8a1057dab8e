"""Merge two edits of one file line by line, as diff3 does; conflicts are marked in the text."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from msgspec import Struct

_OURS, _BETWEEN, _THEIRS = b"<<<<<<< your edit", b"=======", b">>>>>>> the file now"

_Lines = Sequence[bytes]


class MergedText(Struct, frozen=True):
    """A merged file, and the lines at which its conflicts begin."""

    content: bytes
    conflicts: tuple[int, ...] = ()


def merge_texts(base: bytes, ours: bytes, theirs: bytes) -> MergedText:
    """Merge two edits of `base`. Where both changed the same lines, both are there, marked. Blocks."""
    old, mine, other = (text.splitlines(keepends=True) for text in (base, ours, theirs))
    ending = b"\r\n" if old and old[0].endswith(b"\r\n") else b"\n"
    merged: list[bytes] = []
    conflicts: list[int] = []
    at = at_mine = at_other = 0
    for begin, end, in_mine, in_other in _common_runs(old, mine, other):
        before, left, right = old[at:begin], mine[at_mine:in_mine], other[at_other:in_other]
        if left == before:
            merged += right
        elif right in (before, left):
            merged += left
        else:
            conflicts.append(len(merged) + 1)
            merged += [_OURS + ending, *_end_lines(left, ending), _BETWEEN + ending]
            merged += [*_end_lines(right, ending), _THEIRS + ending]
        merged += old[begin:end]
        at, at_mine, at_other = end, in_mine + end - begin, in_other + end - begin
    return MergedText(b"".join(merged), tuple(conflicts))


def find_conflict_mark(content: bytes) -> int | None:
    """Return the line of the first mark of a conflict, None if there is none."""
    lines = enumerate(content.splitlines(), start=1)
    return next((number for number, line in lines if line in {_OURS, _THEIRS}), None)


def _common_runs(old: _Lines, mine: _Lines, other: _Lines) -> Iterator[tuple[int, int, int, int]]:
    """Yield what all three have: begin and end in the old text, and the begin in both others."""
    ours, theirs = (SequenceMatcher(None, old, new).get_matching_blocks() for new in (mine, other))
    first = second = 0
    while first < len(ours) and second < len(theirs):
        left, right = ours[first], theirs[second]
        begin = max(left.a, right.a)
        end = min(left.a + left.size, right.a + right.size)
        if begin < end:
            yield begin, end, left.b + begin - left.a, right.b + begin - right.a
        if left.a + left.size < right.a + right.size:
            first += 1
        else:
            second += 1
    yield len(old), len(old), len(mine), len(other)


def _end_lines(lines: _Lines, ending: bytes) -> list[bytes]:
    """End the last line, so that a mark may follow."""
    ended = b"".join(lines[-1:]).endswith((b"\n", b"\r"))
    return [*lines, *([] if ended or not lines else [ending])]
