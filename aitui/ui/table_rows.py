"""Which models the table shows, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass

from aitui.domain.model import Model
from aitui.ui.model_cells import COLUMNS, Column, Moment

SORT_KEYS = ("", *(column.key for column in COLUMNS if column.key != "note"))
"""Orders that `s` walks through; the empty one is the server's own."""


@dataclass(frozen=True, slots=True)
class View:
    """A person's choice of rows: words that must all occur, and the column to sort by."""

    words: str = ""
    sort: str = ""

    def next_sort(self) -> str:
        """The order after this one."""
        return SORT_KEYS[(SORT_KEYS.index(self.sort) + 1) % len(SORT_KEYS)]


def rows(models: Sequence[Model], view: View, moment: Moment) -> tuple[Model, ...]:
    """The models to show; equal ones keep the server's order."""
    shown = _matching(models, view.words)
    column = _column(view.sort)
    if column is None:
        return tuple(shown)
    return tuple(sorted(shown, key=lambda model: column.order(model, moment)))


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
