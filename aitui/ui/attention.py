"""Calls somebody back who is elsewhere, when what they waited for has ended."""

from collections.abc import Mapping

from aitui.domain.sanitize import sanitize_line

MAX_NOTIFICATION_CELLS = 200
_BELL = "\x07"
_TERMINALS_WITHOUT_OSC9 = ("", "linux", "dumb", "unknown")


def notification_sequence(words: str, environment: Mapping[str, str]) -> str:
    """What to send to the terminal: its bell, and a notification by OSC 9 where it may have them.

    Inside tmux the notification goes through its passthrough, which lets it out where
    `allow-passthrough` is on and drops it where not; the bell comes through either way.
    """
    # Words of their own come first: OSC 9 with a number there means something else to ConEmu.
    notification = f"\x1b]9;aitui: {sanitize_line(words, MAX_NOTIFICATION_CELLS)}\x1b\\"
    if environment.get("TERM", "") in _TERMINALS_WITHOUT_OSC9 or environment.get("STY"):
        return _BELL
    if environment.get("TMUX"):
        escaped = notification.replace("\x1b", "\x1b\x1b")
        return f"{_BELL}\x1bPtmux;{escaped}\x1b\\"
    return _BELL + notification
