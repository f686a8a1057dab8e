"""Copy text to tmux, the terminal's clipboard or a file, also over SSH."""

import asyncio
import base64
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Mapping
from pathlib import Path

from aitui.domain.sanitize import sanitize_line
from aitui.errors import AituiError
from aitui.store.files import make_private_directory, replace_atomically

# Textual's `copy_to_clipboard` writes OSC 52 whatever the size, and never through tmux or screen.
LARGEST_COPY = 74_994
"""Bytes before base64: hterm's osc52.sh, the usual measure, sends no sequence of over 100,000."""

_VTE_SINCE = 7600
_UNSUPPORTED_TERMS = (
    *("linux", "dumb", "unknown", "vt100", "vt102", "vt220", "cons25", "eterm", "sun"),
)


def supports_osc52(environment: Mapping[str, str]) -> bool:
    """Return whether a terminal probably takes OSC 52; it never answers, so this is a guess."""
    term = environment.get("TERM", "")
    vte = environment.get("VTE_VERSION", "")
    is_apple = environment.get("TERM_PROGRAM") == "Apple_Terminal"
    # GNU screen, which sets STY, keeps unknown sequences to itself.
    if not term or term in _UNSUPPORTED_TERMS or is_apple or environment.get("STY"):
        return False
    return not (vte.isascii() and vte.isdecimal()) or int(vte[:9]) >= _VTE_SINCE


FILE_NAME = "clipboard.txt"
_TMUX_SECONDS = 5.0


async def copy_text(
    text: str, environment: Mapping[str, str], write: Callable[[str], object], folder: Path
) -> str:
    """Copy text in the best of three ways; return where it went, in words.

    `write` sends to the terminal, `folder` takes the file. Raises AituiError.
    """
    content = text.encode("utf-8", "replace")
    if environment.get("TMUX"):
        for options in (("-w",), ()):  # tmux before 3.2 has no -w
            load = ("load-buffer", *options, "-")
            if await run_tmux(environment, *load, given=content) is not None:
                return "to tmux's buffer"
    if len(content) <= LARGEST_COPY and supports_osc52(environment):
        write(f"\x1b]52;c;{base64.b64encode(content).decode()}\x07")
        return "to the terminal's clipboard"
    file = folder / FILE_NAME
    await asyncio.to_thread(_copy_to_file, file, content)
    return f"to {file}"


async def run_tmux(environment: Mapping[str, str], *words: str, given: bytes = b"") -> bytes | None:
    """Run a command of tmux with that input; return its output, None if it fails."""
    try:
        process = await asyncio.create_subprocess_exec(
            *("tmux", *words), env=dict(environment), stdin=PIPE, stdout=PIPE, stderr=DEVNULL
        )
    except OSError:  # TMUX was set on another machine, where tmux is installed
        return None
    try:
        async with asyncio.timeout(_TMUX_SECONDS):
            output, _ = await process.communicate(given)
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return None if process.returncode else output


def _copy_to_file(file: Path, content: bytes) -> None:
    try:
        make_private_directory(file.parent)
        replace_atomically(file, content)
    except OSError as error:
        raise AituiError(
            "The text could not be copied",
            why=f"the terminal doesn't support copying, and {file} can't be written: {error.strerror}",
            remedy="set XDG_STATE_HOME to a writable folder",
        ) from error


_BY_TERM = {
    "xterm-kitty": "kitty",
    "alacritty": "Alacritty",
    "foot": "foot",
    "foot-extra": "foot",
    "xterm-ghostty": "Ghostty",
    "contour": "Contour",
    "wezterm": "WezTerm",
    "rio": "Rio",
    "st-256color": "st",
    "tmux-256color": "tmux",
}
_BY_PROGRAM = {"WezTerm": "WezTerm", "ghostty": "Ghostty", "vscode": "VS Code", "rio": "Rio"}
_TO_FILES = "if the terminal doesn't support copying, text is written to a file"


def describe_clipboard(environment: Mapping[str, str]) -> tuple[bool, str, str]:
    """Return whether copying is known to work, what is known, and what helps if it doesn't."""
    refusal = _clipboard_obstacle(environment)
    if refusal:
        return False, refusal, _TO_FILES
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if program == "iTerm.app":
        where = "in Settings, General, Selection: allow applications to access the clipboard"
        return False, "iTerm2 supports it if its settings allow it", where
    known = _BY_TERM.get(term, "") or _BY_PROGRAM.get(program, "")
    if environment.get("WT_SESSION"):
        known = "Windows Terminal"
    if environment.get("VTE_VERSION"):
        known = "VTE"
    if known:
        return True, f"supported by {known}", ""
    return False, f"unknown for TERM={sanitize_line(term, 60) or '(unset)'}", _TO_FILES


def _clipboard_obstacle(environment: Mapping[str, str]) -> str:
    """Return why `y` won't use a clipboard, empty if it will."""
    if supports_osc52(environment):
        return ""
    if environment.get("STY"):
        return "GNU screen does not forward it"
    if environment.get("VTE_VERSION"):
        return f"VTE {sanitize_line(environment['VTE_VERSION'], 20)} is too old to support it"
    if environment.get("TERM_PROGRAM") == "Apple_Terminal":
        return "not supported by macOS Terminal"
    return f"not supported by TERM={sanitize_line(environment.get('TERM', ''), 60)}"
