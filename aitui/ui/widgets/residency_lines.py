"""The lines of a residency timeline: one a model, its loads, how busy it was, and how it left."""

from collections.abc import Callable, Sequence
from datetime import datetime

from rich.cells import cell_len, set_cell_size

from aitui.domain.activity import ActivityKind
from aitui.domain.models import RunState
from aitui.domain.residency import ResidencyView, TimeRange
from aitui.domain.snapshot import Snapshot
from aitui.format.fit import shorten_id
from aitui.ui.widgets.activity_table import Piece

_EIGHTHS = "▁▂▃▄▅▆▇█"
_LONGEST_LABEL = 44
_TICKS = (60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 10800.0, 21600.0, 43200.0, 86400.0)
_TICK_CELLS = 11
"""Cells from one time of the axis to the next, at least."""
LEGEND: Sequence[Piece] = (
    ("█", "transit"),
    (" loading  ", ""),
    ("▁", "m1"),
    (" idle  ", ""),
    ("█", "m1"),
    (" at work  ", ""),
    ("×", "warning"),
    (" evicted  ", ""),
    ("✘", "error"),
    (" failed", ""),
)
_ENDS = {ActivityKind.FAILED: ("✘", "error"), ActivityKind.EVICTION: ("×", "warning")}


def label_cells(models: Sequence[str], width: int) -> int:
    """Return the cells of the models' names in a view of that many cells."""
    longest = max(map(cell_len, models), default=0)
    return max(8, min(longest, _LONGEST_LABEL, width * 2 // 5))


class ResidencyLines:
    """The lines of the models of a snapshot, those that were loaded last first."""

    def __init__(
        self,
        snapshot: Snapshot,
        hue: Callable[[str], str],
        width: int,
        names: Sequence[str] = (),
    ) -> None:
        self._snapshot = snapshot
        self._hue = hue
        self._view: ResidencyView | None = None
        self._names = (*names, *(model.id for model in snapshot.models))
        self.models: list[str] = []
        self._width = width

    def show_view(self, view: ResidencyView) -> None:
        """Take what is to be drawn."""
        self._view = view
        last = {
            model: view.range.began + (at + 1) * view.range.step
            for model, shares in view.busy.items()
            for at, share in enumerate(shares)
            if share > 0
        }
        last |= {stay.model: stay.ended for stay in view.timeline.stays}
        last |= {model.id: float("inf") for model in self._snapshot.resident}
        known = dict.fromkeys(
            [*last, *(model.id for model in self._snapshot.models if model.loadable)]
        )
        self.models = sorted(known, key=lambda model: (-last.get(model, 0.0), model))

    @property
    def count(self) -> int:
        """The number of lines."""
        return len(self.models) if self._view is not None else 0

    def fit(self, width: int) -> None:
        """Lay the columns out for that many cells."""
        self._width = width

    def show(self, first: int, end: int) -> None:
        """Everything is there."""

    @property
    def plot_cells(self) -> int:
        """The cells of the timeline."""
        return max(1, self._width - self._label - 5)

    @property
    def _label(self) -> int:
        if self._view is not None:  # the record may have models with longer names
            return max(1, self._width - 5 - self._view.range.cells)
        return label_cells(self._names, self._width)

    def title(self) -> Sequence[Piece]:
        """Return the time axis."""
        text = "  MODEL".ljust(self._label + 3)
        if self._view is None:
            return [(text, "bold muted")]
        over = self._view.range
        axis = [" "] * over.cells
        for at, words in axis_ticks(over):
            cell = int(over.position(at))
            if cell + len(words) < over.cells - 6:
                axis[cell : cell + len(words)] = words
        axis[-3:] = "now" if self._shows_now else "   "
        return [(text, "bold muted"), ("".join(axis), "")]

    @property
    def _shows_now(self) -> bool:
        return self._view is not None and self._view.range.ended >= self.now - 1

    now = 0.0
    """The present (Unix time)."""

    def line(self, index: int) -> Sequence[Piece]:
        """Return the line of a model."""
        model_id = self.models[index]
        model = self._snapshot.model(model_id)
        sign, color = "○", "muted"
        if model is not None and model.state is RunState.READY:
            sign, color = "●", "ready"
        elif model is not None and model.resident:
            sign, color = "◑", "transit"
        elif model is not None and model.failed is not None:
            sign, color = "✘", "error"
        assert self._view is not None
        stays = self._view.stays(model_id)
        used = stays or any(self._view.busy.get(model_id, ()))
        ink = "bold foreground" if sign in "●◑" else "foreground" if used else ""
        return [
            (f"{sign} ", color),
            (set_cell_size(shorten_id(model_id, self._label), self._label + 1), ink),
            *self._cells(model_id, self._view),
        ]

    def _cells(self, model_id: str, view: ResidencyView) -> list[Piece]:
        over, hue = view.range, self._hue(model_id)
        hue = "other" if hue == "error" else hue
        busy = view.busy.get(model_id, ())
        cells: list[Piece] = [(" ", "")] * over.cells
        for at, _ in axis_ticks(over):
            cells[max(0, min(over.cells - 1, int(over.position(at))))] = ("·", "faint")
        for cell, share in enumerate(busy):
            if share > 0:
                # It was loaded when it replied, also where no load was watched.
                cells[cell] = (_EIGHTHS[min(7, round(share * 7))], hue)
        for stay in view.stays(model_id):
            first = max(0, int(over.position(stay.began)))
            end = max(first + 1, min(over.cells, int(over.position(stay.ended)) + 1))
            ready = over.cells if stay.ready is None else int(over.position(stay.ready))
            for cell in range(first, min(end, over.cells)):
                if cell < ready or (cell == first and stay.loading):
                    cells[cell] = ("█", "transit")
                else:
                    share = busy[cell] if cell < len(busy) else 0.0
                    cells[cell] = (_EIGHTHS[min(7, round(share * 7))], hue)
            if stay.end in _ENDS and end <= over.cells:
                cells[end - 1] = _ENDS[stay.end]
        merged: list[Piece] = []
        for text, style in cells:
            if merged and merged[-1][1] == style:
                merged[-1] = (merged[-1][0] + text, style)
            else:
                merged.append((text, style))
        return merged


def axis_ticks(over: TimeRange) -> list[tuple[float, str]]:
    """Return round times of a range with their words, as many as there is room for."""
    span = over.ended - over.began
    step = next((one for one in _TICKS if span / one * _TICK_CELLS <= over.cells), 7 * 86400.0)
    form = "%H:%M" if step < 86400 else "%b %d"
    offset = datetime.fromtimestamp(over.began).astimezone().utcoffset()
    zone = offset.total_seconds() if offset is not None else 0.0
    at = ((over.began + zone) // step + 1) * step - zone
    found: list[tuple[float, str]] = []
    while at < over.ended:
        found.append((at, datetime.fromtimestamp(at).astimezone().strftime(form)))
        at += step
    return found
