"""The frame of a dialog: its title is in the border, and in whole below it if it has no room there."""

from rich.cells import cell_len
from textual.containers import Vertical
from textual.content import Content

from aitui.format.fit import shorten_id
from aitui.ui.frame import set_frame_title
from aitui.ui.plain import PlainText

SMALL_DIALOG_CELLS, DIALOG_CELLS, WIDE_DIALOG_CELLS = 64, 72, 78
LOW_ROWS = 21
"""Rows of a terminal from which a dialog has room for blank lines."""
BREAKPOINTS = [(0, "-low"), (LOW_ROWS, "-high")]
STAGES = ("value", "review", "apply")
"""The dialogs of a change of the context size, which look like one."""
_CORNERS = 8
"""Cells of the border's line that a title doesn't have."""
_CONTEXT_TITLE_CELLS = 46
"""Cells of the border's line that the model's id doesn't have beside the stages."""
_LEAST_ID_CELLS = 12


class Dialog(Vertical):
    """A frame of that many cells, or as many as the terminal has."""

    def __init__(self, cells: int = DIALOG_CELLS) -> None:
        super().__init__(id="dialog")
        self._most_cells = cells
        self.styles.width = cells

    @property
    def cells(self) -> int:
        """The cells of a line with the border, also before it has its place."""
        return min(self._most_cells, self.screen.size.width)

    def show_title(self, title: str, heading: PlainText, *cost: tuple[str, str]) -> None:
        """Write a title with its cost, in styled pieces; a title without room is whole in the heading."""
        room = self.cells - _CORNERS
        heading.display = cell_len(title) > room
        heading.update(Content.styled(title, "bold"))
        name = title.partition(" ")[0] if heading.display else title
        width = sum(cell_len(text) for text, _ in cost) + 3
        set_frame_title(self, name, "", cost if cell_len(title) + width <= room else "")

    def show_stage(self, current: str, model_id: str = "") -> None:
        """Write which of the dialogs of a context change this is, and of which model."""
        at = STAGES.index(current)
        done = " ".join(f"✓ {stage}" for stage in STAGES[:at])
        open_ = " ".join(f"○ {stage}" for stage in STAGES[at + 1 :])
        stages = (
            (done and f"{done} ", "ready"),
            (f"● {current}", "bold accent"),
            (open_ and f" {open_}", ""),
        )
        room = self.cells - _CONTEXT_TITLE_CELLS
        name = shorten_id(model_id, room) if room >= _LEAST_ID_CELLS else ""
        set_frame_title(self, "Context size", name, stages)
