"""Plots and bars of block characters: they read without colours, and in any terminal font."""

from collections.abc import Sequence

_STEPS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = 8


def plot(
    values: Sequence[float | None], smallest: float, largest: float, rows: int
) -> tuple[str, ...]:
    """One column a value, the top row first. A value that is known leaves a trace, however small;
    what isn't known is blank.
    """
    span = max(largest - smallest, 1e-9)
    heights = [
        None
        if value is None
        else max(1, round(min(max((value - smallest) / span, 0.0), 1.0) * rows * _EIGHTHS))
        for value in values
    ]
    return tuple(
        "".join(_plot_cell(height, (rows - 1 - row) * _EIGHTHS) for height in heights)
        for row in range(rows)
    )


def bar_cells(parts: Sequence[int], total: int, cells: int) -> tuple[int, ...]:
    """How many cells each part gets of a bar; what is there at all gets one, while there is room."""
    if total <= 0 or cells < 1:
        return tuple(0 for _ in parts)
    widths = [max(1, round(part * cells / total)) if part > 0 else 0 for part in parts]
    while sum(widths) > cells:
        widths[widths.index(max(widths))] -= 1
    return tuple(widths)


def _plot_cell(height: int | None, below: int) -> str:
    if height is None:
        return " "
    return _STEPS[min(max(height - below, 0), _EIGHTHS)]
