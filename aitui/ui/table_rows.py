"""Which models the table shows, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass

from aitui.domain.model import Model
from aitui.ui.model_cells import COLUMNS, NOTHING, Column, Moment

SORT_KEYS = ("", *(column.key for column in COLUMNS if column.key != "note"))
"""Orders that `s` walks through; the empty one is the server's own."""
TURNED = "-"
"""Before a key: the same order the other way round."""


@dataclass(frozen=True, slots=True)
class View:
    """A person's choice of rows: words that must all occur, and the column to sort by."""

    words: str = ""
    sort: str = ""

    def next_sort(self) -> str:
        """The order after this one."""
        at = SORT_KEYS.index(self.sort.removeprefix(TURNED))
        return SORT_KEYS[(at + 1) % len(SORT_KEYS)]


def sort_after_click(key: str, sort: str) -> str:
    """The order that a click on a title brings: that column's, then turned, then the server's."""
    return {key: TURNED + key, TURNED + key: ""}.get(sort, key)


def sort_mark(column: Column, sort: str) -> str:
    """What the title carries: whether the column rises or falls, where it is the sorted one."""
    if column.key != sort.removeprefix(TURNED):
        return ""
    return " ▾" if column.falls != sort.startswith(TURNED) else " ▴"


def rows(models: Sequence[Model], view: View, moment: Moment) -> tuple[Model, ...]:
    """The models to show; equal ones keep the server's order."""
    shown = _matching(models, view.words)
    column = _column(view.sort.removeprefix(TURNED))
    if column is None:
        return tuple(shown)
    turned = view.sort.startswith(TURNED)
    ordered = sorted(shown, key=lambda model: column.order(model, moment), reverse=turned)
    if column.right:
        # Where there is no figure there is nothing to compare, whichever way round.
        ordered.sort(key=lambda model: column.text(model, moment) == NOTHING)
    return tuple(ordered)


def _matching(models: Sequence[Model], words: str) -> Sequence[Model]:
    wanted = words.casefold().split()
    if not wanted:
        return models
    return [model for model in models if all(word in _haystack(model) for word in wanted)]


def _haystack(model: Model) -> str:
    parts = (model.id, model.name, model.description, model.peer, model.state.value, *model.aliases)
    return "\n".join(parts).casefold()


def _column(key: str) -> Column | None:
    return next((column for column in COLUMNS if column.key == key), None)
