"""Two edits of one file merged: each line of both is there, and what both changed is marked."""

from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.config.text_merge import MergedText, find_conflict_mark, merge_texts

BASE = b"a: 1\nb: 2\nc: 3\nd: 4\ne: 5\n"
TEXTS = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\r\n", b"\n", b"d"]), max_size=8).map(b"".join)


def test_edits_of_different_lines_are_both_there() -> None:
    ours = BASE.replace(b"a: 1", b"a: 10") + b"f: 6\n"
    theirs = BASE.replace(b"c: 3\n", b"")
    assert merge_texts(BASE, ours, theirs) == MergedText(b"a: 10\nb: 2\nd: 4\ne: 5\nf: 6\n")


def test_lines_that_both_changed_are_marked_with_both() -> None:
    ours, theirs = BASE.replace(b"c: 3", b"c: 30"), BASE.replace(b"c: 3", b"c: 33")
    merged = merge_texts(BASE, ours, theirs)
    assert merged.conflicts == (3,)
    assert find_conflict_mark(merged.content) == 3
    assert merged.content == (
        b"a: 1\nb: 2\n<<<<<<< your edit\nc: 30\n=======\nc: 33\n>>>>>>> the file now\nd: 4\ne: 5\n"
    )


def test_a_last_line_without_an_end_does_not_run_into_a_mark() -> None:
    merged = merge_texts(b"x\r\na", b"x\r\nb", b"x\r\nc")
    assert merged.content.splitlines()[2:] == [b"b", b"=======", b"c", b">>>>>>> the file now"]


@given(TEXTS, TEXTS)
def test_an_edit_of_one_side_alone_is_the_result(base: bytes, edited: bytes) -> None:
    for ours, theirs in ((edited, base), (base, edited), (edited, edited)):
        assert merge_texts(base, ours, theirs) == MergedText(edited)


@given(TEXTS, TEXTS, TEXTS)
def test_no_conflict_stays_unmarked(base: bytes, ours: bytes, theirs: bytes) -> None:
    merged = merge_texts(base, ours, theirs)
    assert (find_conflict_mark(merged.content) is None) is (merged.conflicts == ())
