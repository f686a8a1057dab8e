"""Text that others wrote, for the places in which Textual reads a `str` as markup.

Placeholders of text areas, border titles and subtitles, tooltips, options, tabs and labels all do:
`[/]` in a model's id ends the app there, and `[@click=app.quit]` makes it a button.
"""

from textual.content import Content
from textual.widget import Widget


def plain(text: str) -> Content:
    """Return the text as content that says what the text says, brackets included."""
    return Content(text)


def set_border_title(widget: Widget, text: str) -> None:
    """Set a widget's border title, unless it says that already.

    Textual repaints the border, and with it every line of the widget, for the same text as well: for
    the table and the detail pane once a second that was 1.5 % of a core, most of what an idle
    dashboard cost.
    """
    title = plain(text)
    if widget.border_title != title.markup:
        widget.border_title = title
