"""A file that is read from its beginning on, in ranges that somebody else fetches."""

import struct
from collections.abc import Generator
from dataclasses import dataclass

from aitui.errors import ModelFileUnreadable

LARGEST_HEADER = 128 << 20
SMALLEST_READ = 64 << 10
LARGEST_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes of a file that are wanted next; fewer may come where it ends."""

    offset: int
    length: int


Wants = Generator[ByteRange, bytes, None]


class FileWindow:
    """What is known of the file around the place that is being read.

    Reads grow from 64 KiB to 1 MiB: most headers end within a few of them, and long arrays of
    numbers are stepped over without being fetched. `kept` numbers and `passed` texts are counted
    by whoever reads, to bound what a hostile file can ask for.
    """

    def __init__(self) -> None:
        self._bytes = b""
        self._start = 0
        self._place = 0
        self._length = SMALLEST_READ
        self.fetched = 0
        self.kept_numbers = 0
        self.skipped_texts = 0
        self.order = "<"

    @property
    def offset(self) -> int:
        """Where in the file the next value begins."""
        return self._start + self._place

    def has_bytes(self, count: int) -> bool:
        """Whether so many bytes can be taken without fetching any."""
        return len(self._bytes) - self._place >= count

    def fetch(self, count: int) -> Wants:
        """Ask for more until so many bytes can be taken. Raises ModelFileUnreadable."""
        while not self.has_bytes(count):
            if self.offset + count > LARGEST_HEADER:
                raise unreadable_header_error(
                    f"its header is longer than {LARGEST_HEADER >> 20} MiB"
                )
            self._bytes = self._bytes[self._place :]
            self._start, self._place = self.offset, 0
            missing = max(count - len(self._bytes), self._length)
            more = yield ByteRange(self._start + len(self._bytes), missing)
            if not more:
                raise unreadable_header_error("it ends before its header does")
            self._bytes += more
            self.fetched += len(more)
            self._length = min(self._length * 2, LARGEST_READ)

    def skip(self, count: int) -> None:
        """Step over bytes, fetched or not. Raises ModelFileUnreadable."""
        if count > LARGEST_HEADER:
            raise unreadable_header_error(f"its header is longer than {LARGEST_HEADER >> 20} MiB")
        self._place += count
        beyond = self._place - len(self._bytes)
        if beyond > 0:
            self._start, self._bytes, self._place = self.offset, b"", 0

    def number(self, form: str) -> int | float:
        """The next number, in a form of `struct`; its bytes must be ready."""
        (value,) = struct.unpack_from(self.order + form, self._bytes, self._place)
        self._place += struct.calcsize(form)
        assert isinstance(value, int | float)
        return value

    def numbers(self, form: str, count: int) -> tuple[int | float, ...]:
        """The next numbers of one form; their bytes must be ready."""
        shape = f"{self.order}{count}{form}"
        values = struct.unpack_from(shape, self._bytes, self._place)
        self._place += struct.calcsize(shape)
        return values

    def take(self, count: int) -> bytes:
        """The next bytes, which must be ready."""
        found = self._bytes[self._place : self._place + count]
        self._place += count
        return found


def unreadable_header_error(why: str) -> ModelFileUnreadable:
    """The exception for a file that can't be what it should be."""
    return ModelFileUnreadable("The model file's header can't be read", why=why)
