"""Notices, and notifications for a user who looks elsewhere."""

import time
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from textual.app import App
from textual.notifications import SeverityLevel

from aitui.domain.sanitize import sanitize_line
from aitui.ui.terminal.screen_diff import is_terminal_ready

MAX_NOTICES = 50
"""The maximum of notices in the list of messages."""
_RECENT, _SAME_EVENT_SECONDS = 3, 10.0
MAX_NOTICE_CELLS = 6000
MAX_TITLE_CELLS, MAX_TEXT_CELLS = 120, 400
"""Cells of a toast: it must not cover the screen."""
SIGNS: Mapping[SeverityLevel, tuple[str, str]] = {
    "information": ("✓", "ready"),
    "warning": ("!", "warning"),
    "error": ("✘", "error"),
}
"""The sign of a notice, and its color."""
MAX_NOTIFICATION_CELLS = 200
_BELL = "\x07"
_TERMINALS_WITHOUT_OSC9 = ("", "linux", "dumb", "unknown")


class Notice(Struct, frozen=True):
    """Something said in passing at a moment (Unix time); texts are as they came, never markup."""

    at: float
    text: str
    title: str = ""
    severity: SeverityLevel = "information"
    seconds: float = 5.0

    @property
    def clock_time(self) -> str:
        """Return when it was said, by the clock of this machine."""
        return time.strftime("%H:%M:%S", time.localtime(self.at))

    @property
    def heading(self) -> str:
        """Return the title as it stands before the text."""
        return self.title and f"{self.title}{'' if self.title.endswith('.') else ':'} "

    @property
    def line(self) -> tuple[tuple[str, str], ...]:
        """Return it as pieces of one line, with their colors."""
        sign, color = SIGNS[self.severity]
        ink = "error" if self.severity == "error" else "muted"
        return (sign, color), (f" {self.clock_time} ", "muted"), (self.words, ink)

    @property
    def words(self) -> str:
        """Return title and text in one line."""
        words = ""
        for line in f"{self.heading}{self.text}".strip().split("\n"):
            # A remedy goes on in lower case, or begins with a command.
            end = ("." if line[:1].isupper() else ";") if words[-1:].isalnum() else ""
            words = f"{words}{end} {line}"
        return " ".join(words.split())


def add_notice(notices: tuple[Notice, ...], notice: Notice) -> tuple[Notice, ...]:
    """Return the notices with one more; what was just said is said again only with its new time.

    A failed load is noticed by the table and by the chat that waits for it: the longer one is kept.
    """
    for earlier in notices[-_RECENT:]:
        shorter, longer = sorted((earlier, notice), key=lambda one: len(one.words))
        repeated = longer.words == shorter.words and earlier is notices[-1]
        more = longer.words[len(shorter.words) :]
        extends = longer.words.startswith(shorter.words) and not more[:1].isalnum()
        if repeated or (extends and notice.at - earlier.at < _SAME_EVENT_SECONDS):
            kept = replace(longer, at=notice.at)
            return (*(one for one in notices if one is not earlier), kept)
    return (*notices, notice)[-MAX_NOTICES:]


class TerminalNotifier:
    """Calls a user back who looks at another window or view, when what they waited for has ended."""

    def __init__(self, app: App[Any], environment: Mapping[str, str], *, enabled: bool) -> None:
        self._app = app
        self._environment = environment
        self._enabled = enabled

    def notify_if_away(self, words: str) -> None:
        """Ring and notify.

        While a terminal takes nothing, or belongs to an editor, it isn't called: Textual would block.
        """
        app = self._app
        view = next(screen for screen in reversed(app.screen_stack) if not screen.is_modal)
        elsewhere = not app.app_focus or view is not app.screen_stack[0]
        if elsewhere and self._enabled and is_terminal_ready(app):
            self.write(notification_sequence(words, self._environment))

    def write(self, sequence: str) -> None:
        if self._app._driver is not None:  # noqa: SLF001 - the only way to the terminal
            self._app._driver.write(sequence)  # noqa: SLF001


def notification_sequence(words: str, environment: Mapping[str, str]) -> str:
    """Return what to send to the terminal: its bell, and a notification by OSC 9 if it may have them.

    Inside tmux the notification goes through its passthrough, which lets it out if
    `allow-passthrough` is on and drops it if not; the bell comes through either way.
    """
    # Words of their own come first: OSC 9 with a number there means something else to ConEmu.
    notification = f"\x1b]9;aitui: {sanitize_line(words, MAX_NOTIFICATION_CELLS)}\x1b\\"
    if environment.get("TERM", "") in _TERMINALS_WITHOUT_OSC9 or environment.get("STY"):
        return _BELL
    if environment.get("TMUX"):
        escaped = notification.replace("\x1b", "\x1b\x1b")
        return f"{_BELL}\x1bPtmux;{escaped}\x1b\\"
    return _BELL + notification
