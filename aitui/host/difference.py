"""What differs between two versions of a file, for a person."""

from difflib import unified_diff

from aitui.domain.clean import sanitize_line

_LINES_COMPARED = 2000
_LINES_SHOWN = 200
_LONGEST_LINE = 500


def file_diff(old: bytes, new: bytes, old_name: str, new_name: str) -> str:
    """A unified diff, harmless and of a bounded length. Blocks: large files take a while."""
    old_lines, new_lines = _split_bytes(old), _split_bytes(new)
    start = _common_prefix(old_lines, new_lines)
    start = max(start - 3, 0)  # the lines that a diff shows around a change
    head = slice(start, start + _LINES_COMPARED)
    lines = list(
        unified_diff(
            [""] * start + old_lines[head],
            [""] * start + new_lines[head],
            sanitize_line(old_name, 300),
            sanitize_line(new_name, 300),
            lineterm="",
        )
    )
    shown = lines[:_LINES_SHOWN]
    if len(lines) > len(shown):
        shown.append("…")
    return "\n".join(shown)


def _split_bytes(content: bytes) -> list[str]:
    # A return that came or went would be invisible in a cleaned line.
    text = content.decode(errors="replace").replace("\r\n", "␍\n")
    return [sanitize_line(line, _LONGEST_LINE) for line in text.split("\n")]


def _common_prefix(old: list[str], new: list[str]) -> int:
    pairs = zip(old, new, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(old), len(new)))
