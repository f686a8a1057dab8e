"""A list whose oldest items go, and whose other items keep their numbers."""

from typing import Generic, TypeVar

T = TypeVar("T")

_WORTH_IT = 64


class FrontList(Generic[T]):
    """Items by number; taking the first away costs, on average, as much as adding one.

    `items` from `gone` on are there, for bisection; item n stands at `items[n - shift]`.
    """

    def __init__(self, first: int = 0) -> None:
        self.items: list[T] = []
        self.gone = 0
        self.shift = first

    def __len__(self) -> int:
        return len(self.items) - self.gone

    def __getitem__(self, number: int) -> T:
        at = number - self.shift
        if at < self.gone:
            raise IndexError(number)
        return self.items[at]

    @property
    def first(self) -> int:
        """The number of the first item that is there, or will be."""
        return self.gone + self.shift

    @property
    def end(self) -> int:
        """One more than the number of the last item."""
        return len(self.items) + self.shift

    def append(self, item: T) -> None:
        """Add an item at the end."""
        self.items.append(item)

    def pop(self) -> T:
        """Take the last item away."""
        return self.items.pop()

    def pop_first(self) -> T:
        """Take the first item away."""
        item = self.items[self.gone]
        self.gone += 1
        if self.gone > _WORTH_IT and self.gone * 8 > len(self.items):
            del self.items[: self.gone]
            self.shift += self.gone
            self.gone = 0
        return item
