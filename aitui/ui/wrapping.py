"""Text broken into lines of a limited width, counted in cells."""

from rich.cells import cell_len, chop_cells

MAX_WRAPPED_LENGTH = 8000
"""Characters; a pane shows far fewer, and a hostile text may have millions."""


def wrap_text(text: str, width: int) -> list[str]:
    """The lines of a text, broken at blanks, and inside words that are wider than a line."""
    lines: list[str] = []
    for paragraph in text[:MAX_WRAPPED_LENGTH].split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if cell_len(longer) <= width:
                line = longer
                continue
            if line:
                lines.append(line)
            *whole, line = chop_cells(word, width) or [""]
            lines.extend(whole)
        lines.append(line)
    return lines
