"""Which terminals take text for the clipboard by OSC 52. Nobody can be asked: there is no answer."""

from collections.abc import Mapping

from aitui.domain.clean import clean_line

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
_NOT_BY_PROGRAM = {"Apple_Terminal": "Terminal of macOS"}
_VTE_SINCE = 7600
_TO_FILES = "copies go to a file where the terminal takes none"


def clipboard_words(environment: Mapping[str, str]) -> tuple[bool, str, str]:
    """Whether it is known to work, what is known, and what helps where it isn't."""
    refusal = _known_refusal(environment)
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
    return False, f"not known of TERM={clean_line(term, 60) or '(unset)'}", _TO_FILES


def _known_refusal(environment: Mapping[str, str]) -> str:
    """Who is known to take none, empty where nobody is."""
    vte = environment.get("VTE_VERSION", "")
    if environment.get("STY"):
        return "GNU screen keeps it to itself"
    if environment.get("TERM") == "linux":
        return "the console has no clipboard"
    if vte.isascii() and vte.isdecimal() and int(vte) < _VTE_SINCE:
        return f"VTE {vte} takes none before {_VTE_SINCE}"
    program = _NOT_BY_PROGRAM.get(environment.get("TERM_PROGRAM", ""), "")
    return f"not taken by the {program}" if program else ""
