"""What a command writes, up to a limit."""

import re
import secrets

_LARGEST_NUMBER = (1 << 31) - 1
"""Of a process (`pid_t`): `kill` takes larger ones for others."""
_LONGEST_NUMBER = 20


def new_mark() -> str:
    """Text that nothing can put into an output unless it knows it."""
    return f"aitui-{secrets.token_hex(16)}"


class BoundedOutput:
    """The first `largest` bytes of an output."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._content = bytearray()
        self.is_truncated = False

    @property
    def content(self) -> bytes:
        """The bytes."""
        return bytes(self._content)

    def add(self, data: bytes) -> None:
        """Some more output."""
        room = self._largest - len(self._content)
        self._content += data[: max(room, 0)]
        self.is_truncated = self.is_truncated or len(data) > room


class MarkedOutput(BoundedOutput):
    """The output after the mark, the number of the command's process and the end of that line.

    Where these don't come, all of the output counts: the command wasn't started. `number` is None
    too where it can't be that of a command: as a group, 0 is the killer's own, 1 and -1 are every
    process.
    """

    def __init__(self, mark: str, largest: int) -> None:
        super().__init__(largest)
        written = re.escape(mark.encode())
        # What a login's start-up files wrote before may not have ended its line.
        self._start = re.compile(rb"%b ([+-]?\d{1,%d})\r?\n" % (written, _LONGEST_NUMBER))
        self._longest = len(mark) + _LONGEST_NUMBER + len(" +\r\n")
        self._last = b""
        self.is_started = False
        self.number: int | None = None

    def add(self, data: bytes) -> None:
        """Some more output."""
        if self.is_started:
            super().add(data)
            return
        seen = self._last + data
        start = self._start.search(seen)
        if start is None:
            self._last = seen[-self._longest :]
            super().add(data)
            return
        self.is_started = True
        self.number = _number_of_command(int(start[1]))
        self._content.clear()
        self.is_cut = False
        super().add(seen[start.end() :])


def _number_of_command(number: int) -> int | None:
    return number if 1 < number <= _LARGEST_NUMBER else None
