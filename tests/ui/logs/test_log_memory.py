"""Memory is bounded by lines and by bytes; a history told again is joined where it goes on."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.logs import LogLine, LogRing, overlap_length, parse_log_line
from aitui.ui.widgets.log_rows import LogRows


def test_the_oldest_lines_go_when_there_are_too_many() -> None:
    ring = LogRing(most_lines=3)
    gone = ring.extend(LogLine(str(number)) for number in range(5))
    assert [line.text for line in gone] == ["0", "1"]
    assert [line.text for line in ring] == ["2", "3", "4"]


def test_the_oldest_lines_go_when_they_are_too_large() -> None:
    ring = LogRing(most_bytes=10_000)
    ring.extend(LogLine("x" * 1000) for _ in range(50))
    assert len(ring) < 10
    assert ring.bytes <= 10_000


def test_what_a_ring_says_it_takes_is_close_to_what_it_takes() -> None:
    tracemalloc.start()
    try:
        ring = LogRing()
        ring.extend(
            parse_log_line(f"\x1b[31m[INFO]\x1b[0m line {number}") for number in range(2000)
        )
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.5 * taken < ring.bytes < 2 * taken


def test_a_flood_takes_no_more_than_what_is_kept_of_it() -> None:
    tracemalloc.start()
    try:
        rows = LogRows(LogRing(most_lines=2000))
        for start in range(0, 10_000, 500):
            rows.extend(
                (parse_log_line(f"[INFO] line {start + n} {'x' * 60}") for n in range(500)), None
            )
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(rows.ring) == 2000
    assert taken < 2 * 1024 * 1024


def test_lines_of_a_megabyte_stay_within_the_limit() -> None:
    tracemalloc.start()
    try:
        rows = LogRows()
        for number in range(2500):
            rows.extend((parse_log_line(f"{number} {'x' * 30_000}"),), None)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 48 * 1024 * 1024


@pytest.mark.parametrize(
    ("old", "told", "known"),
    [
        ("abcd", "abcdef", 4),
        ("abcd", "bcdef", 3),
        ("abcd", "Xcdef", 3),  # the oldest line told is cut in two
        ("abcd", "abcd", 4),
        ("abcd", "wxyz", None),
        ("abcd", "", None),
        ("", "abc", None),
        ("aaaa", "aaaaaa", 4),
        ("abcd", "wxydz", None),  # one line alike may be a coincidence
        ("d", "abcde", 4),
        ("abXd", "abcdXde", 6),  # lines were dropped before
    ],
)
def test_where_a_history_joins(old: str, told: str, known: int | None) -> None:
    assert overlap_length(old, told) == known


@given(st.lists(st.integers(), min_size=1, unique=True), st.lists(st.integers(100, 200)), st.data())
def test_what_is_new_comes_after_what_is_known(
    old: list[int], new: list[int], data: st.DataObject
) -> None:
    old = [1000 + number * 3 for number in old]
    told = old[data.draw(st.integers(0, max(0, len(old) - 2))) :] + new
    known = overlap_length(old, told)
    assert known is not None
    assert told[known:] == new
