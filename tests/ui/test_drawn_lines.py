"""Where two drawn lines differ."""

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from aitui.ui.drawn_lines import first_change

RED = Style(color="red")


@pytest.mark.parametrize(
    ("before", "after", "cell"),
    [
        (["laptop ", "6.4s"], ["laptop ", "6.5s"], 8),
        (["日本 ", "6.4s"], ["日本 ", "7.4s"], 5),
        (["日本 1"], ["日本 2"], 4),
        (["ab"], ["ab\u0301"], 1),
        (["ab"], ["ab", "c"], 2),
        ([], ["a"], 0),
    ],
)
def test_the_first_cell_that_changes(before: list[str], after: list[str], cell: int) -> None:
    assert first_change(*(Strip(map(Segment, line)) for line in (before, after))) == cell


def test_another_style_is_a_change() -> None:
    lines = Strip([Segment("a"), Segment("b")]), Strip([Segment("a"), Segment("b", RED)])
    assert first_change(*lines) == 1
