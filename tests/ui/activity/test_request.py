"""The lines of a request's body."""

from unittest.mock import Mock, patch

import pytest
from rich.cells import cell_len, chop_cells

from aitui.domain.capture import Capture
from aitui.ui import text
from aitui.ui.screens import request
from aitui.ui.screens.request import capture_texts
from aitui.ui.text import wrap_line


@pytest.mark.parametrize(
    "line", ["", "a", "word " * 50, "x" * 999, "語" * 333, "a\u200d" * 500, "ä b" * 100]
)
def test_a_long_line_breaks_into_parts_that_fit_and_lose_nothing(line: str) -> None:
    parts = wrap_line(line, 40, 20)
    assert "".join(parts) == line
    assert all(cell_len(part) <= 40 for part in parts)


def test_a_line_breaks_behind_a_blank() -> None:
    assert wrap_line("one two three", 9, 4) == ["one two ", "three"]


def test_each_part_of_a_long_line_is_measured_once() -> None:
    measured = Mock(side_effect=chop_cells)
    line = "語" * 20_000
    with patch.object(text, "chop_cells", measured):
        wrap_line(line, 100, 50)
    assert sum(len(call.args[0]) for call in measured.call_args_list) <= 5 * len(line)


def test_a_text_is_wrapped_once_for_a_width() -> None:
    with patch.object(request, "wrap_line", Mock(wraps=wrap_line)) as wrapped:
        texts = capture_texts(Capture(1, request_body="語" * 200), 40)
        before = wrapped.call_count
        texts["raw"].fit(40)
        assert wrapped.call_count == before
        assert next(iter(texts)) == "pretty"  # it is no chat
        texts["raw"].fit(20)
        assert wrapped.call_count > before
