"""The terminal's input on its way to Textual: nothing that comes in can end the app or act for it."""

import errno
import os
import select
import selectors
import signal
import termios
import threading
import time
import tty
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any

from textual import constants, events
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size
from textual.keys import Keys
from textual.message import Message

from aitui.ui.terminal.paste_guard import PastedText, PasteGuard, Piece

READ_AT_ONCE = 1 << 16
LOOK_AGAIN, LOOK_AGAIN_SOON = 0.1, 0.02
"""Seconds until what waits for its rest is looked at again."""


_BEGINNINGS = ("\x1b[[", "\x1b[M")
"""Sequences in front of a function key of the Linux console, and of a mouse event of old terminals."""


class PasteCut(Message):
    """A paste was too long, and so many characters of it were left out."""

    def __init__(self, left_out: int) -> None:
        super().__init__()
        self.left_out = left_out


class GuardedParser(XTermParser):
    """Textual's parser behind a guard that takes out pasted text."""

    def __init__(self, *, debug: bool = False) -> None:
        super().__init__(debug)
        self.guard = PasteGuard(constants.ESCAPE_DELAY, _knows_sequence)

    @property
    def patience(self) -> float | None:
        """Seconds until `tick` is needed, None while nothing waits for its rest."""
        if self.guard.is_waiting:
            return LOOK_AGAIN_SOON
        unfinished = self.guard.is_in_paste or self._timeout_time is not None
        return LOOK_AGAIN if unfinished else None

    def feed(self, data: str) -> Iterator[Message]:
        """Read what came; the empty text is the end of it."""
        if not data:
            yield from super().feed(data)
        yield from self._read(self.guard.feed(data, time.monotonic()))

    def tick(self) -> Iterator[Message]:
        """Read what has waited for its rest long enough."""
        pieces = self.guard.tick(time.monotonic())
        yield from self._read(pieces)
        if pieces and self._timeout_time is not None:
            # The guard has waited already: an ESC is a key now.
            self._timeout_time = 0.0
        yield from super().tick()

    def parse_mouse_code(self, code: str) -> Message | None:
        """Take places as they are if the terminal says 0 for its size in pixels."""
        if self.terminal_pixel_size is not None and not all(self.terminal_pixel_size):
            self.mouse_pixels = False
        return super().parse_mouse_code(code)

    def _read(self, pieces: Iterable[Piece]) -> Iterator[Message]:
        for piece in pieces:
            if not isinstance(piece, PastedText):
                yield from super().feed(piece)
                continue
            if self._timeout_time is not None:
                # An ESC in front of the paste is a key, and comes before it.
                self._timeout_time = 0.0
                yield from super().tick()
            yield events.Paste(piece.text)
            if piece.left_out:
                yield PasteCut(piece.left_out)

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> list[events.Key]:  # noqa: FBT001, FBT002 - as Textual has it
        """Ignore reports of keys that no keyboard has; Textual fails at their numbers."""
        ignored = [events.Key(Keys.Ignore, sequence)]
        try:
            keys = list(super()._sequence_to_key_events(sequence, alt))
        except (ValueError, OverflowError):
            return ignored
        # Half of a surrogate pair can neither be shown nor sent nor saved.
        characters = "".join(key.character or "" for key in keys)
        return ignored if any("\ud800" <= one <= "\udfff" for one in characters) else keys


@lru_cache(maxsize=1024)
def _knows_sequence(sequence: str) -> bool:
    """Whether Textual waits for nothing behind it: it takes one that it doesn't know apart into keys."""
    if sequence in _BEGINNINGS:
        return True
    parser = XTermParser()
    try:
        found = tuple(parser.feed(sequence))
        return bool(found) or parser._timeout_time is None  # noqa: SLF001
    except (ValueError, OverflowError):
        return True


class SelectableEvent(threading.Event):
    """An event that a selector can wait for: `fileno` can be read while it is set."""

    def __init__(self) -> None:
        super().__init__()
        self._reader, self._writer = os.pipe()

    def fileno(self) -> int:
        """The descriptor to select."""
        return self._reader

    def set(self) -> None:
        """Set the event."""
        if not self.is_set():
            super().set()
            os.write(self._writer, b"\0")

    def clear(self) -> None:
        """Clear the event."""
        if self.is_set():
            super().clear()
            os.read(self._reader, 1)


class GuardedDriver(LinuxDriver):
    """Textual's driver with the guarded parser; bytes that aren't UTF-8 become `�`.

    It sleeps until something comes in. Textual's looks ten times a second whether the driver has
    ended, which costs 0.15 % of a core.
    """

    def __init__(self, app: App[Any], **options: Any) -> None:  # noqa: ANN401 - as Textual has it
        super().__init__(app, **options)
        self.exit_event = self._end = SelectableEvent()

    def start_application_mode(self) -> None:
        """Take the terminal over, and follow its size and its shell in the loop.

        Textual 8.2.8 reads the size in a signal handler, which the next SIGWINCH interrupts: of two
        at once the older size could be posted last, and stay.
        """
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self._loop.add_signal_handler(signal.SIGWINCH, self._post_size)
        # In the loop: a handler within a write would wait for the lock of the write for ever.
        self._loop.add_signal_handler(signal.SIGTSTP, self._sigtstp_application)
        self._loop.add_signal_handler(signal.SIGCONT, self._go_on)

    def _go_on(self) -> None:
        """Take the terminal again after a stop: a shell may have had it meanwhile.

        Textual 8.2.8 starts a second time after a SIGSTOP, which gave it no chance to leave: two threads
        read the keys then, one of which keeps the app from ending, and the settings of before are lost.
        """
        if not self._auto_restart:
            return
        if self._must_signal_resume:
            self.resume_application_mode()
            return
        # One that hung up is left to `is_terminal_closed`.
        with suppress(termios.error):
            settings = termios.tcgetattr(self.fileno)
            settings[tty.IFLAG] = self._patch_iflag(settings[tty.IFLAG])
            settings[tty.LFLAG] = self._patch_lflag(settings[tty.LFLAG])
            termios.tcsetattr(self.fileno, termios.TCSANOW, settings)
        self.write("\x1b[?1049h\x1b[?25l\x1b[?1004h")
        self._enable_mouse_support()
        self._enable_bracketed_paste()
        self._disable_line_wrap()
        self._app.post_message(self.SignalResume())

    def _post_size(self) -> None:
        if not self._in_band_window_resize:
            size = Size(*self._get_terminal_size())
            self._app.post_message(events.Resize(size, size))

    def _get_terminal_size(self) -> tuple[int, int]:
        # Textual prefers COLUMNS and LINES of the environment, which a shell may have exported.
        try:
            columns, rows = os.get_terminal_size(self.fileno)
        except OSError:
            return super()._get_terminal_size()
        return columns or 80, rows or 25

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except BaseException as error:  # noqa: BLE001 - the app reports it and ends with status 1
            self._loop.call_soon_threadsafe(_fail, self._app, error)

    def run_input_thread(self) -> None:
        """Read until the driver ends; a terminal that hung up is left to `is_terminal_closed`."""
        parser = GuardedParser(debug=self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            for source in (self.fileno, self._end):
                selector.register(source, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                ready = selector.select(parser.patience)
                if any(key.fileobj == self.fileno for key, _ in ready):
                    data = _read(self.fileno)
                    if not data:
                        self.exit_event.wait(LOOK_AGAIN)
                    # Half a character is no text yet, and no text would be the end for the parser.
                    if text := decode(data):
                        for event in parser.feed(text):
                            self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)


def is_terminal_closed(descriptor: int) -> bool:
    """Return whether the terminal behind a file descriptor has hung up.

    A program that isn't the terminal's session leader gets no SIGHUP when it closes: it would run
    on unseen, and Textual would read the end of its input for ever.
    """
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(
        event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0)
    )


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, READ_AT_ONCE)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        # A terminal that hung up, if it isn't the one that the program is controlled by.
        return b""


def _fail(app: App[object], error: BaseException) -> None:
    failure = error if isinstance(error, Exception) else RuntimeError(repr(error))
    app._handle_exception(failure)  # noqa: SLF001 - what Textual does with faults of its own
