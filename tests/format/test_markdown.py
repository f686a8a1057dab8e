"""Markdown on a terminal: styled as it streams."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.format.markdown import MarkdownStream

BOLD, NOT_BOLD, CODE, NOT_CODE, DIM, NOT_DIM = (f"\x1b[{n}m" for n in (1, 22, 36, 39, 2, 22))
MARKS = st.text(st.sampled_from("*`#-~ \nab1é"), max_size=60)


def styled(*pieces: str) -> str:
    stream = MarkdownStream()
    return "".join(map(stream.feed, pieces)) + stream.feed("", end=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a **b** c", f"a {BOLD}b{NOT_BOLD} c"),
        ("run `ls -l`.", f"run {CODE}ls -l{NOT_CODE}."),
        ("## Title\nx", f"{BOLD}Title{NOT_BOLD}\nx"),
        ("- one\n  * two\n", "• one\n  • two\n"),
        (
            "```sh\nls **x**\n```\n",
            f"{DIM}```sh{NOT_DIM}\n{CODE}ls **x**{NOT_CODE}\n{DIM}```{NOT_DIM}\n",
        ),
        ("2 * 3 ** 4", "2 * 3 ** 4"),
        ("`a**b`", f"{CODE}a**b{NOT_CODE}"),
        ("**open\nnext", f"{BOLD}open{NOT_BOLD}\nnext"),
        ("| a | b |\n", "| a | b |\n"),
    ],
)
def test_marks_become_styles(text: str, expected: str) -> None:
    assert styled(text) == expected


@given(MARKS, st.integers(0, 60))
def test_where_a_reply_is_cut_into_pieces_makes_no_difference(text: str, place: int) -> None:
    assert styled(text[:place], text[place:]) == styled(text) == styled(*text)


@given(MARKS)
def test_no_word_is_lost_and_no_style_stays_open(text: str) -> None:
    out = styled(text)
    assert re.sub(r"[^ab1é]", "", re.sub(r"\x1b\[\d+m", "", out)) == re.sub(r"[^ab1é]", "", text)
    codes = re.findall(r"\x1b\[(\d+)m", out)
    assert codes.count("36") == codes.count("39")
    assert not codes or codes[-1] in {"22", "39"}
