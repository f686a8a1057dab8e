"""Standard output and standard error of the commands: any locale, any reader, none at all."""

import asyncio
import codecs
import io
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Self, TextIO

from aitui.domain.sanitize import sanitize_line

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from aitui.domain.confirmation import Ask, Confirmation
    from aitui.domain.snapshot import Snapshot
    from aitui.format.styled import Line

_SPELLINGS = {
    **dict.fromkeys("–—−─·", "-"),
    **dict.fromkeys("“”", '"'),
    **dict(zip("×≈°●◐◌○◇", "x~ *+!o^", strict=True)),
    "✔": "ok",
    "✘": "FAILED",
    "→": "->",
    "…": "...",
    "≥": ">=",
    "≤": "<=",
}
"""Replacements for aitui's own symbols in locales that lack them."""


class _LastingFile(io.FileIO):
    """A file that drops what can't be written: its reader has gone, or the disk is full."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare_streams() -> None:
    """Set up the standard streams so that neither characters nor closed streams end the program."""
    codecs.register_error(_spell.__name__, _spell)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell: `>&-`
            nowhere = os.open(os.devnull, os.O_RDWR)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, os.fdopen(nowhere, mode, closefd=False))
    _reconfigure(sys.stdout, sys.stdout.encoding)
    sys.stderr = _lasting(sys.stderr)
    _reconfigure(sys.stderr, sys.stderr.encoding)


def prepare_output(*, json: bool, outlasts_reader: bool) -> None:
    """Set up standard output for a command: JSON is UTF-8 in any locale.

    A command that changes something outlasts its reader: it ends by what became of the change.
    """
    if outlasts_reader:
        sys.stdout = _lasting(sys.stdout)
    _reconfigure(sys.stdout, "utf-8" if json else sys.stdout.encoding)


def prepare_screen() -> None:
    """Set up the dashboard's stream, Textual's `sys.__stderr__`: a character keeps its one cell."""
    if isinstance(sys.__stderr__, io.TextIOWrapper):
        sys.__stderr__.reconfigure(errors="replace")


def print_lines(lines: "Iterable[Line]", stream: TextIO | None = None) -> None:
    """Print styled lines: with colors on a terminal, unless NO_COLOR is set."""
    # The dashboard prints no line.
    from aitui.format.styled import ansi_text, plain_text

    stream = stream or sys.stdout
    text = ansi_text(lines) if has_colors(stream) else plain_text(lines)
    print(text, file=stream, flush=True)


NOTICE_SECONDS = 3.0


class WaitNotice:
    """Prints what is waited for, on standard error, when a block takes longer than NOTICE_SECONDS."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._timer = asyncio.get_running_loop().call_later(NOTICE_SECONDS, self._report)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def pause(self, ask: "Ask") -> "Ask":
        """Return an Ask that the notice does not count as waiting."""

        async def ask_meanwhile(build: "Callable[[Snapshot], Confirmation]") -> bool:
            self.__exit__()
            answer = await ask(build)
            self.__enter__()
            return answer

        return ask_meanwhile

    def _report(self) -> None:
        print(f"waiting for {sanitize_line(self._what)} …", file=sys.stderr, flush=True)


def has_colors(stream: TextIO) -> bool:
    """Return whether a stream may have colors (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def terminal_width() -> int | None:
    """Return the width of the terminal in columns, None if standard output is not a terminal."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):  # a file or a pipe, or closed
        return None


def _reconfigure(stream: TextIO, encoding: str) -> None:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding=encoding, errors=_spell.__name__)


def _lasting(stream: TextIO) -> TextIO:
    stream.flush()
    file = io.BufferedWriter(_LastingFile(stream.fileno(), "wb", closefd=False))
    return io.TextIOWrapper(file, stream.encoding, line_buffering=True)


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding lacks by ASCII; an error handler for `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    spelled = (_SPELLINGS.get(one, ascii(one)[1:-1]) for one in missing)
    return "".join(spelled), error.end
