"""Text from a server, a file or a model, for sinks in which Textual reads a `str` as markup.

Measured over 43 sinks of Textual 8.2.8: `[@click=app.quit]` in such a text becomes a button that ends
the app, and a stray `[/]` ends it at once. `textual.markup.escape` is not reliable.
"""

from textual.content import Content
from textual.visual import VisualType
from textual.widgets import Static


class PlainText(Static):
    """A Static that shows a `str` as it is, brackets included."""

    def __init__(
        self,
        content: VisualType = "",
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(content, markup=False, id=id, classes=classes)


def plain(text: str) -> Content:
    """Return the text as content, for placeholders, border titles, tooltips, options and labels."""
    return Content(text)
