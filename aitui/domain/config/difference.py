"""What differs between two texts, as `diff -u` would print it."""

import difflib

from aitui.domain.clean import sanitize_text

_CONTEXT_LINES = 3
_NAME = "config.yaml"


def config_diff(before: str, after: str) -> str:
    """A unified diff, harmless to show, its lines ending in LF; "" where nothing differs."""
    old, new = _split_lines(before), _split_lines(after)
    first, last = _common_ends(old, new)
    if first == len(old) == len(new):
        return ""
    start = max(0, first - _CONTEXT_LINES)
    old_window = old[
        start : len(old) - last + _CONTEXT_LINES if last > _CONTEXT_LINES else len(old)
    ]
    new_window = new[
        start : len(new) - last + _CONTEXT_LINES if last > _CONTEXT_LINES else len(new)
    ]
    body = "".join(f"{sanitize_text(line)}\n" for line in _hunk_body(old_window, new_window))
    header = (
        f"--- {_NAME}\n+++ {_NAME}\n"
        f"@@ -{_hunk_range(start, len(old_window))} +{_hunk_range(start, len(new_window))} @@\n"
    )
    return header + body


def diff_lines(before: str, after: str) -> str:
    """The lines that go and come, each with its `-` or `+`."""
    return "".join(
        line + "\n"
        for line in config_diff(before, after).split("\n")[3:]
        if line.startswith(("-", "+"))
    )


def _hunk_body(old: list[str], new: list[str]) -> list[str]:
    body: list[str] = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if kind == "equal":
            body += (" " + line for line in old[old_start:old_end])
        else:
            body += ("-" + line for line in old[old_start:old_end])
            body += ("+" + line for line in new[new_start:new_end])
    return body


def _hunk_range(start: int, length: int) -> str:
    first = start + 1 if length else start
    return str(first) if length == 1 else f"{first},{length}"


def _split_lines(text: str) -> list[str]:
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _common_ends(old: list[str], new: list[str]) -> tuple[int, int]:
    """How many lines are the same at the start, and then at the end."""
    shorter = min(len(old), len(new))
    first = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    rest = shorter - first
    last = next((n for n in range(rest) if old[-1 - n] != new[-1 - n]), rest)
    return first, last
