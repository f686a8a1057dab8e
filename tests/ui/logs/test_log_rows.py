"""Rows are what one gets by filtering, wrapping and searching everything that is kept."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from aitui.domain.logs import LogFilter, LogLevel, LogLine, LogRing, PatternTooSlow, compile_pattern
from aitui.ui.widgets.log_rows import LogRows, row_starts

LINES = st.builds(
    LogLine,
    st.text("ab ☃你", max_size=40),
    level=st.sampled_from(LogLevel),
    own=st.booleans(),
    mark=st.booleans(),
)
BATCHES = st.lists(st.tuples(st.lists(LINES, max_size=8), st.none() | LINES), max_size=8)
FILTERS = st.builds(
    LogFilter,
    st.sampled_from(LogLevel),
    st.sampled_from([None, compile_pattern("a")]),
    st.booleans(),
)
WIDTHS = st.sampled_from([0, 8, 20])


@given(BATCHES, FILTERS, WIDTHS, st.booleans())
def test_rows_are_those_of_all_kept_lines(
    batches: list[tuple[list[LogLine], LogLine | None]],
    chosen: LogFilter,
    width: int,
    late: bool,
) -> None:
    rows = LogRows(LogRing(most_lines=10))
    needle = re.compile("b")
    if not late:
        rows.set_filter(chosen)
        rows.set_wrap_width(width)
        rows.search(needle)
    kept: list[LogLine] = []
    before: LogLine | None = None
    for lines, unfinished in batches:
        rows.extend(lines, unfinished)
        kept = (kept[:-1] if before else kept) + lines
        kept = [*kept[-10:], *([unfinished] if unfinished else [])][-10:]
        before = unfinished
    if late:
        rows.set_filter(chosen)
        rows.set_wrap_width(width)
        rows.search(needle)
    assert list(rows.ring) == kept
    assert list(rows.visible_lines()) == [line for line in kept if chosen.passes(line)]
    assert rows.match_count == sum("b" in line.text for line in rows.visible_lines())
    assert rows.hidden_polls == sum(line.own and not chosen.passes(line) for line in rows.ring)
    text = "".join(
        line.text[start:end]
        for line, start, end in map(rows.row_text, range(rows.first_row, rows.end_row))
    )
    assert text == "".join(line.text for line in rows.visible_lines())


@given(st.text("ab ☃你\u0301", max_size=100), st.integers(8, 30))
def test_no_row_is_wider_than_the_view(text: str, width: int) -> None:
    starts = [*row_starts(text, width), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(starts)]
    assert "".join(pieces) == text
    assert all(cell_len(piece) <= width for piece in pieces)


def test_each_row_knows_its_line() -> None:
    rows = LogRows()
    rows.set_wrap_width(8)
    rows.extend([LogLine("short"), LogLine("x" * 20), LogLine("last")], None)
    assert [rows.line_at_row(row) for row in range(rows.first_row, rows.end_row)] == [
        *((0, 0), (1, 0), (1, 1), (1, 2), (2, 0)),
    ]


def test_an_unfinished_line_is_replaced_by_what_it_becomes() -> None:
    rows = LogRows()
    rows.extend([LogLine("one")], LogLine("tw"))
    rows.extend([LogLine("two")], None)
    assert [line.text for line in rows.visible_lines()] == ["one", "two"]


def test_searching_goes_round() -> None:
    rows = LogRows()
    rows.extend([LogLine(text) for text in ("a", "b", "a", "b")], None)
    rows.search(re.compile("a"))
    assert [rows.next_match(number, 1) for number in (0, 1, 2, 3)] == [2, 2, 0, 0]
    assert [rows.next_match(number, -1) for number in (0, 1, 2, 3)] == [2, 0, 0, 2]
    assert [rows.match_number(number) for number in range(4)] == [1, 0, 2, 0]


def test_numbers_stay_while_the_oldest_lines_go() -> None:
    rows = LogRows(LogRing(most_lines=100))
    for number in range(5000):
        rows.extend([LogLine(str(number))], None)
    assert (rows.first, rows.end) == (4900, 5000)
    assert rows.line(4950).text == "4950"
    assert rows.row_text(4950)[0].text == "4950"


SLOW = "(a|a)*$"
MAKES_IT_SLOW = LogLine("a" * 60 + "!")


@pytest.mark.usefixtures("impatient")
def test_a_pattern_that_takes_too_long_leaves_the_rows_as_they_were() -> None:
    rows = LogRows()
    rows.extend([LogLine("before"), MAKES_IT_SLOW], None)
    with pytest.raises(PatternTooSlow):
        rows.set_filter(LogFilter(pattern=compile_pattern(SLOW)))
    assert [line.text for line in rows.visible_lines()] == ["before", MAKES_IT_SLOW.text]
    assert rows.filter == LogFilter()


@pytest.mark.usefixtures("impatient")
def test_lines_that_a_pattern_takes_too_long_for_are_not_added() -> None:
    rows = LogRows()
    chosen = LogFilter(pattern=compile_pattern(SLOW))
    rows.set_filter(chosen)
    rows.extend([LogLine("a")], LogLine("begun"))
    with pytest.raises(PatternTooSlow):
        rows.extend([LogLine("aa"), MAKES_IT_SLOW], None)
    rows.extend([], LogLine("ended"))
    assert [line.text for line in rows.ring] == ["a", "ended"]
    assert list(rows.visible_lines()) == [line for line in rows.ring if chosen.passes(line)]


def test_many_lines_share_the_patience_of_one() -> None:
    lines = [LogLine(f"line {number}") for number in range(10)]
    ticks = itertools.count()
    with pytest.raises(PatternTooSlow):
        LogFilter(pattern=compile_pattern("line")).passes_each(
            lines, 5.0, lambda: float(next(ticks))
        )
