"""Which terminals take text for the clipboard by OSC 52. Nobody can be asked: there is no answer."""

from collections.abc import Mapping

from aitui.commands.clipboards import supports_osc52
from aitui.domain.clean import sanitize_line

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
_NOT_BY_PROGRAM = {"Apple_Terminal": "the Terminal of macOS"}
_TO_FILES = "copies go to a file where the terminal takes none"


def describe_clipboard(environment: Mapping[str, str]) -> tuple[bool, str, str]:
    """Whether it is known to work, what is known, and what helps where it isn't."""
    refusal = _clipboard_obstacle(environment)
    if refusal:
        return False, refusal, _TO_FILES
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if program == "iTerm.app":
        where = "Settings, General, Selection: applications may access the clipboard"
        return False, "iTerm2 takes it where its settings allow it", where
    known = _BY_TERM.get(term, "") or _BY_PROGRAM.get(program, "")
    if environment.get("WT_SESSION"):
        known = "Windows Terminal"
    if environment.get("VTE_VERSION"):
        known = "VTE"
    if known:
        return True, f"taken by {known}", ""
    return False, f"not known of TERM={sanitize_line(term, 60) or '(unset)'}", _TO_FILES


def _clipboard_obstacle(environment: Mapping[str, str]) -> str:
    """Why `y` won't try it, empty where it will."""
    if supports_osc52(environment):
        return ""
    if environment.get("STY"):
        return "GNU screen keeps it to itself"
    if environment.get("VTE_VERSION"):
        return f"VTE {sanitize_line(environment['VTE_VERSION'], 20)} is too old to take it"
    program = _NOT_BY_PROGRAM.get(environment.get("TERM_PROGRAM", ""))
    term = sanitize_line(environment.get("TERM", ""), 60)
    return f"not taken by {program or f'TERM={term}'}"
