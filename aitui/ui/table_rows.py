"""Which models the table shows, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass

from aitui.domain.model import Model
from aitui.ui.model_cells import COLUMNS, EMPTY_CELL, ClockReading, TableColumn

SORT_KEYS = ("", *(column.key for column in COLUMNS if column.key != "note"))
"""Orders that `s` walks through; the empty one is the server's own."""
DESCENDING_PREFIX = "-"
"""Before a key: the same order the other way round."""


@dataclass(frozen=True, slots=True)
class TableQuery:
    """A person's choice of rows: words that must all occur, and the column to sort by."""

    words: str = ""
    sort: str = ""

    def next_sort(self) -> str:
        """The order after this one."""
        at = SORT_KEYS.index(self.sort.removeprefix(DESCENDING_PREFIX))
        return SORT_KEYS[(at + 1) % len(SORT_KEYS)]


def sort_after_click(key: str, sort: str) -> str:
    """The order that a click on a title brings: that column's, then turned, then the server's."""
    return {key: DESCENDING_PREFIX + key, DESCENDING_PREFIX + key: ""}.get(sort, key)


def sort_mark(column: TableColumn, sort: str) -> str:
    """What the title carries: whether the column rises or falls, where it is the sorted one."""
    if column.key != sort.removeprefix(DESCENDING_PREFIX):
        return ""
    return " ▾" if column.descending != sort.startswith(DESCENDING_PREFIX) else " ▴"


def visible_rows(
    models: Sequence[Model], view: TableQuery, moment: ClockReading
) -> tuple[Model, ...]:
    """The models to show; equal ones keep the server's order."""
    shown = _filter_models(models, view.words)
    column = _find_column(view.sort.removeprefix(DESCENDING_PREFIX))
    if column is None:
        return tuple(shown)
    turned = view.sort.startswith(DESCENDING_PREFIX)
    ordered = sorted(shown, key=lambda model: column.sort_key(model, moment), reverse=turned)
    if column.align_right:
        # Where there is no figure there is nothing to compare, whichever way round.
        ordered.sort(key=lambda model: column.text(model, moment) == EMPTY_CELL)
    return tuple(ordered)


def _filter_models(models: Sequence[Model], words: str) -> Sequence[Model]:
    wanted = words.casefold().split()
    if not wanted:
        return models
    return [model for model in models if all(word in _searchable_text(model) for word in wanted)]


def _searchable_text(model: Model) -> str:
    parts = (model.id, model.name, model.description, model.peer, model.state.value, *model.aliases)
    return "\n".join(parts).casefold()


def _find_column(key: str) -> TableColumn | None:
    return next((column for column in COLUMNS if column.key == key), None)
