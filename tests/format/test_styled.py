"""Tables of the command line: as wide as the terminal, ids shortened in their middle."""

from hypothesis import given
from hypothesis import strategies as st

from aitui.format.fit import shorten_id
from aitui.format.styled import Cell, Column, cell_width, plain_text, table

COLUMNS = (
    Column("MODEL"),
    Column("STATE"),
    Column("CTX", right=True, need=2),
    Column("TTL", need=1),
)
LONG = "Qwen3-Coder-30B-A3B-Instruct-UD-Q6_K_XL"


def drawn(width: int | None) -> list[str]:
    rows = [
        tuple(map(Cell, row)) for row in ((LONG, "ready", "128k", "24m"), ("mini", "–", "8k", "–"))
    ]
    return plain_text(table(COLUMNS, rows, width, 0)).splitlines()


def test_a_pipe_gets_every_id_whole() -> None:
    assert drawn(None)[1].split() == [LONG, "ready", "128k", "24m"]


def test_a_long_id_loses_its_middle_before_a_column_leaves() -> None:
    line = drawn(50)[1]
    assert line.endswith("ready  128k  24m")
    assert line.startswith("Qwen3-Coder")
    assert "UD-Q6_K_XL" in line


def test_the_least_needed_column_leaves_first() -> None:
    head = drawn(32)[0]
    assert ("CTX" in head, "TTL" in head) == (True, False)


def test_a_column_without_content_takes_no_room() -> None:
    rows = [(Cell("mini"), Cell("–"), Cell("8k"), Cell("–"))]
    assert "TTL" not in plain_text(table(COLUMNS, rows, None, 0))


@given(st.text(), st.integers(1, 40))
def test_a_shortened_text_fits(text: str, width: int) -> None:
    assert cell_width(shorten_id(text, width)) <= width


@given(st.integers(28, 120))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert all(cell_width(line) <= width for line in drawn(width))
