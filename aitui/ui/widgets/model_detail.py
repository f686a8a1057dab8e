"""Everything known of the model under the cursor."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from aitui.ui.model_facts import DetailLine
from aitui.ui.text import wrap_text

LABEL_WIDTH = 8
STYLES = {
    "ready": "$success",
    "transit": "$warning",
    "failed": "$error",
    "quiet": "$foreground 65%",
}


class ModelDetail(VerticalScroll):
    """A pane of facts, each with its label; long ones go on below their own beginning."""

    lines: reactive[tuple[DetailLine, ...]] = reactive((), init=False)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._text = Static(markup=False)

    def compose(self) -> ComposeResult:
        """The text alone."""
        yield self._text

    def watch_lines(self) -> None:
        """Show the new facts."""
        self._show()

    def on_resize(self) -> None:
        """Break the lines anew."""
        self._show()

    def _show(self) -> None:
        width = max(20, self.scrollable_content_region.width - LABEL_WIDTH - 1)
        lines = [line for fact in self.lines for line in _fact_lines(fact, width)]
        self._text.update(Content("\n").join(lines))


def _fact_lines(fact: DetailLine, width: int) -> list[Content]:
    style = STYLES.get(fact.style, "")
    lines: list[Content] = []
    for text in wrap_text(fact.text, width):
        label = "" if lines else fact.label
        lines.append(
            Content.assemble(
                (label.rjust(LABEL_WIDTH), STYLES["quiet"]), " ", (text, style) if style else text
            )
        )
    return lines
