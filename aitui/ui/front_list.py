"""A list whose oldest items go, and whose other items keep their numbers."""

from typing import Generic, TypeVar

T = TypeVar("T")

_COMPACT_THRESHOLD = 64


class RingBuffer(Generic[T]):
    """Items by number; taking the first away costs, on average, as much as adding one.

    `items` from `gone` on are there, for bisection; item n stands at `items[n - shift]`.
    """

    def __init__(self, first: int = 0) -> None:
        self.items: list[T] = []
        self.removed = 0
        self.offset = first

    def __len__(self) -> int:
        return len(self.items) - self.removed

    def __getitem__(self, number: int) -> T:
        at = number - self.offset
        if at < self.removed:
            raise IndexError(number)
        return self.items[at]

    @property
    def first(self) -> int:
        """The number of the first item that is there, or will be."""
        return self.removed + self.offset

    @property
    def end(self) -> int:
        """One more than the number of the last item."""
        return len(self.items) + self.offset

    def append(self, item: T) -> None:
        """Add an item at the end."""
        self.items.append(item)

    def pop(self) -> T:
        """Take the last item away."""
        return self.items.pop()

    def popleft(self) -> T:
        """Take the first item away."""
        item = self.items[self.removed]
        self.removed += 1
        if self.removed > _COMPACT_THRESHOLD and self.removed * 8 > len(self.items):
            del self.items[: self.removed]
            self.offset += self.removed
            self.removed = 0
        return item
