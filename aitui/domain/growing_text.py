"""A text that only grows, and frozen views of it that cost nothing to make."""

from bisect import bisect_right
from dataclasses import dataclass, field

_BLOCK = 4096


class GrowingText:
    """Appends in constant time; a view made before shows what it showed then."""

    __slots__ = ("_blocks", "_length", "_starts")

    def __init__(self, text: str = "") -> None:
        self._blocks: list[str] = []
        self._starts: list[int] = []
        self._length = 0
        self.append(text)

    def append(self, piece: str) -> None:
        """Add to the end."""
        if not piece:
            return
        if self._blocks and len(self._blocks[-1]) < _BLOCK:
            self._blocks[-1] += piece
        else:
            self._blocks.append(piece)
            self._starts.append(self._length)
        self._length += len(piece)

    def __len__(self) -> int:
        return self._length

    def view(self) -> "TextSnapshot":
        """The text as it is now."""
        return TextSnapshot(self, self._length)

    def between(self, start: int, end: int) -> str:
        """The characters from `start` up to `end`."""
        if start >= end:
            return ""
        first = bisect_right(self._starts, start) - 1
        last = bisect_right(self._starts, end - 1)
        joined = "".join(self._blocks[first:last])
        offset = self._starts[first]
        return joined[start - offset : end - offset]


@dataclass(frozen=True, slots=True)
class TextSnapshot:
    """The first `length` characters of a growing text."""

    source: GrowingText = field(default_factory=GrowingText, repr=False, compare=False)
    length: int = 0

    def __str__(self) -> str:
        return self.source.between(0, self.length)

    def __len__(self) -> int:
        return self.length

    def since(self, start: int) -> str:
        """What came after the first `start` characters: all that a reader has to add."""
        return self.source.between(start, self.length)
