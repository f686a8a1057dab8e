"""Text that others wrote, for the places in which Textual reads a `str` as markup.

Placeholders of text areas, border titles and subtitles, tooltips, options, tabs and labels all do:
`[/]` in a model's id ends the app there, and `[@click=app.quit]` makes it a button.
"""

from textual.content import Content


def plain(text: str) -> Content:
    """Return the text as content that says what the text says, brackets included."""
    return Content(text)
