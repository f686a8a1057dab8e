"""Everything known of the model under the cursor."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from aitui.ui.model_facts import Fact

LABEL_WIDTH = 9


class ModelDetail(VerticalScroll):
    """A pane of facts, one a line; long ones wrap where there is room for that."""

    lines: reactive[tuple[Fact, ...]] = reactive((), init=False)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._text = Static(markup=False)

    def compose(self) -> ComposeResult:
        """The text alone."""
        yield self._text

    def watch_lines(self, lines: tuple[Fact, ...]) -> None:
        """Show the new facts."""
        self._text.update(Content("\n").join(_line(fact) for fact in lines))


def _line(fact: Fact) -> Content:
    label = Content.styled(fact.label.rjust(LABEL_WIDTH), "$text-muted")
    styles = {"ready": "$text-success", "transit": "$text-warning", "failed": "$text-error"}
    indented = fact.text.replace("\n", "\n" + " " * (LABEL_WIDTH + 1))
    style = "$text-muted" if fact.mood == "quiet" else styles.get(fact.mood, "")
    return Content.assemble(label, " ", (indented, style) if style else indented)
