"""What a command writes, up to a limit."""

import re

MARK = "aitui-started-4f1c9d"
_START = re.compile(rf"(?:\A|.*?\n){MARK} (\d{{1,10}})\r?\n".encode(), re.DOTALL)
_LONGEST_NOISE = 1 << 16


class Kept:
    """The first `largest` bytes of an output."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._kept = bytearray()
        self.is_cut = False

    @property
    def kept(self) -> bytes:
        """The bytes."""
        return bytes(self._kept)

    def add(self, data: bytes) -> None:
        """Some more output."""
        room = self._largest - len(self._kept)
        self._kept += data[: max(room, 0)]
        self.is_cut = self.is_cut or len(data) > room


class Started(Kept):
    """The output after the line that says MARK and the number of the command's process.

    Where that line doesn't come, all of the output counts: the command wasn't started.
    """

    def __init__(self, largest: int) -> None:
        super().__init__(largest)
        self._before = bytearray()
        self._has_given_up = False
        self.number: int | None = None

    @property
    def kept(self) -> bytes:
        """The bytes."""
        return super().kept if self._is_through else bytes(self._before[: self._largest])

    @property
    def _is_through(self) -> bool:
        return self.number is not None or self._has_given_up

    def add(self, data: bytes) -> None:
        """Some more output."""
        if self._is_through:
            super().add(data)
            return
        self._before += data
        start = _START.match(self._before)
        if start:
            self.number = int(start[1])
            super().add(bytes(self._before[start.end() :]))
            self._before.clear()
        elif len(self._before) > _LONGEST_NOISE:
            self._has_given_up = True
            super().add(bytes(self._before))
            self._before.clear()
