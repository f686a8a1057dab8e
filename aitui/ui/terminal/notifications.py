"""What is said in passing: few toasts at a time on screen, and a call to a user who looks elsewhere."""

from collections.abc import Mapping
from typing import Any

from textual.app import App
from textual.notifications import Notification

from aitui.domain.sanitize import sanitize_line
from aitui.ui.terminal.screen_diff import is_terminal_ready

MAX_NOTIFICATIONS = 3
"""Toasts side by side."""
MAX_TITLE_CELLS, MAX_TEXT_CELLS = 120, 400
"""Cells of a toast: it must not cover the screen."""
MAX_NOTIFICATION_CELLS = 200
_BELL = "\x07"
_TERMINALS_WITHOUT_OSC9 = ("", "linux", "dumb", "unknown")


def limit_toasts(app: App[Any], notification: Notification) -> None:
    """Show the same text once, and no more toasts at a time than leave room for this one.

    Textual 8.2.8 shows every one of them, and those that it has no room for cover the screen.
    """
    shown = list(app._notifications)  # noqa: SLF001 - Textual has no public name for them
    again = [one for one in shown if _toast_key(one) == _toast_key(notification)]
    others = [one for one in shown if one not in again]
    for one in (*again, *others[: max(0, len(others) - MAX_NOTIFICATIONS + 1)]):
        app._unnotify(one, refresh=False)  # noqa: SLF001


def _toast_key(one: Notification) -> tuple[str, str, str]:
    return one.message, one.title, one.severity


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
