"""The last gate before the terminal: no control character of any origin gets through."""

import re

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

# C0 without a place in a line, DEL, C1, bidi controls, line separators.
_CONTROL_CHARACTERS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)


class ControlCharFilter(LineFilter):
    """Replaces what could steer a terminal by a visible mark of one cell.

    Everything from a server is cleaned where it comes in; this catches what a place forgot.
    Textual's own control segments have no text and stay.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002
        """The segments, with harmful characters replaced by `�`."""
        if not any(
            _CONTROL_CHARACTERS.search(text) for text, _, control in segments if not control
        ):
            return segments
        return [
            segment
            if segment.control
            else Segment(_CONTROL_CHARACTERS.sub("\ufffd", segment.text), segment.style)
            for segment in segments
        ]
