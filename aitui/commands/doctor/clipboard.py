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
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if environment.get("STY"):
        return False, "GNU screen keeps it to itself", _TO_FILES
    if program in _NOT_BY_PROGRAM:
        return False, f"not taken by the {_NOT_BY_PROGRAM[program]}", _TO_FILES
    if term == "linux":
        return False, "the console has no clipboard", _TO_FILES
    if program == "iTerm.app":
        where = "Settings, General, Selection: applications may access the clipboard"
        return False, "iTerm2 takes it where its settings allow it", where
    vte = environment.get("VTE_VERSION", "")
    if vte.isascii() and vte.isdecimal():
        able = int(vte) >= _VTE_SINCE
        words = f"VTE {vte} " + ("takes it" if able else f"takes none before {_VTE_SINCE}")
        return able, words, "" if able else _TO_FILES
    known = "Windows Terminal" if environment.get("WT_SESSION") else ""
    known = known or _BY_TERM.get(term, "") or _BY_PROGRAM.get(program, "")
    if known:
        return True, f"taken by {known}", ""
    return False, f"not known of TERM={clean_line(term, 60) or '(unset)'}", _TO_FILES
