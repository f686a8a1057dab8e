"""Rows of text in symbolic styles: a theme gives them colors when they are drawn."""

from typing import NamedTuple

from msgspec import Struct


class TextStyle(NamedTuple):
    """What a run of text looks like; `part` names a component class of the transcript."""

    part: str = "text"
    bold: bool = False
    italic: bool = False
    strike: bool = False
    ground: str = ""
    """The component class that gives the background, or none."""


Run = tuple[str, TextStyle]

TEXT_STYLE = TextStyle()
MARKER_STYLE = TextStyle("marker")
CODE_STYLE = TextStyle("code-text", ground="code")


class TranscriptRow(Struct, frozen=True):
    """One row of the screen.

    `glue` joins it to the row above when it is copied: a line break, or what stood at the
    place at which a long line was broken. The first `lead` characters are decoration and are not copied. `fill` is
    the style of the rest of the row.
    """

    runs: tuple[Run, ...]
    glue: str = "\n"
    lead: int = 0
    fill: TextStyle = TEXT_STYLE

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.runs)


EMPTY_ROW = TranscriptRow(())
