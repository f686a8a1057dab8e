"""A text is cut the same however it comes in, and nothing of it is lost."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len

from aitui.domain.models import Model, RunState
from aitui.domain.snapshot import Snapshot
from aitui.format.status import status_as_markdown
from aitui.ui.transcript.blocks import (
    MAX_PIECE_LENGTH,
    Piece,
    PieceKind,
    StreamedText,
    replace_control_characters,
)
from aitui.ui.transcript.highlight import highlight_lines
from aitui.ui.transcript.render import code_lines, render_piece
from aitui.ui.transcript.rows import CODE_STYLE, TranscriptRow
from ui.transcript.documents import MIXED, documents, split_documents, split_text

WIDTHS = (41, 77, 117)
OPEN_BLOCKS = [
    *("- ", "12. ", "> ", "    ", "  ", "\n", "\n\n", "- [ ] ", "10. ", "---\n", "'t\n"),
    *("word ", "word\n", "[x]: /u\n", "zz " * 3000, "```py\n", "~~~\n", "  - b\n" * 50),
    *("a\n" * 40, "```\n" + "v\n" * 23, "===\n", "```\n", "    c\n" * 24, "| x |\n", "|---|\n"),
    *(
        ">\n" * 45,
        "> text\n",
        "> a\n" * 45,
        "  c\n" * 50,
        "    code\n" * 30,
        "> ```\n" + "> k\n" * 30,
    ),
    *("| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 45, "> > r\n" * 44, "   v\n" * 30),
]
"""Blocks that are longer than a piece, and what may stand before, in and after them."""


def streamed(deltas: list[str]) -> list[Piece]:
    """The pieces of a text that came in deltas, with a look at the end after each."""
    growing = StreamedText()
    pieces: list[Piece] = []
    for delta in deltas:
        growing.add(delta)
        pieces += growing.advance()
        growing.tail()
    return pieces + growing.tail()


def rows_of(text: str, width: int) -> list[TranscriptRow]:
    """All rows of a text."""
    return [row for piece in split_text(text) for row in render_piece(piece, width)]


def texts_of(text: str, width: int = 77) -> list[str]:
    """All rows of a text, without their inks."""
    return [row.text.rstrip() for row in rows_of(text, width)]


@settings(deadline=None, max_examples=40)
@given(split_documents())
def test_any_split_gives_the_pieces_of_the_whole(split: tuple[str, list[str]]) -> None:
    document, deltas = split
    assert streamed(deltas) == split_text(document)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_the_mixed_document_in_deltas_of_one_size(size: int) -> None:
    deltas = [MIXED[at : at + size] for at in range(0, len(MIXED), size)]
    assert streamed(deltas) == split_text(MIXED)


@settings(deadline=None, max_examples=40)
@given(documents)
def test_the_sources_of_all_pieces_are_the_text(document: str) -> None:
    assert "".join(piece.source for piece in split_text(document)) == replace_control_characters(
        document
    )


@settings(deadline=None, max_examples=40)
@given(documents, st.sampled_from(WIDTHS))
def test_no_row_is_wider_than_the_screen(document: str, width: int) -> None:
    for row in rows_of(document, width):
        assert sum(cell_len(text) for text, _ in row.runs) <= width, row.text


@settings(deadline=None, max_examples=40)
@given(documents, st.sampled_from(WIDTHS))
def test_no_word_is_lost(document: str, width: int) -> None:
    shown = re.sub(r"\W", "", "".join(row.text for row in rows_of(document, width)))
    for piece in split_text(document):
        if piece.kind is PieceKind.PARAGRAPH:
            for word in re.findall(r"word|longerword|bold|code", piece.source):
                assert word in shown


WORDS = st.text("ab-/.", min_size=1, max_size=34)
LINES = st.tuples(
    st.integers(0, 40), st.lists(WORDS | st.just("日本"), min_size=1, max_size=9)
).map(lambda line: " " * line[0] + " ".join(line[1]))
TABLES = st.lists(st.lists(WORDS, min_size=4, max_size=4), min_size=2, max_size=45).map(
    lambda rows: "\n".join(
        ["| " + " | ".join(cells) + " |" for cells in rows[:1]]
        + ["|---|--:|:-:|---|"]
        + ["| " + " | ".join(cells) + " |" for cells in rows[1:]]
    )
)


@settings(deadline=None, max_examples=80)
@given(LINES.map("```\n{}\n```".format) | LINES.map(str.strip) | TABLES, st.integers(12, 70))
@example("```\n" + " " * 30 + "word" * 5 + " --flag\n```", 24)
@example("| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 45 + "| Qwen3-Coder-30B-A3B | 2 |\n", 23)
def test_no_word_is_cut_that_fits_the_width(document: str, width: int) -> None:
    rows = rows_of(document, width)
    assert all(cell_len(row.text) <= width for row in rows)
    shown = " ".join(row.text for row in rows).replace(": ", " ").split()
    bars = len("│ ") if document.startswith("```") else 0
    for word in re.sub(r"[|`]|日本|[|:-]{3,}(?=\|)", " ", document).split():
        if bars + len(word) <= width - 1:
            assert word in shown


def test_code_that_is_wrapped_is_copied_as_it_was_written() -> None:
    line = '    return sum(float(value) * UNITS[unit]  for value, unit in parts if "a b"  in unit)'
    rows = rows_of(f"```\n{line}\n```", 30)
    assert len(rows) > 2
    assert "".join(row.glue + row.text[row.lead :] for row in rows) == f"\n{line}"


def test_a_table_that_lacks_a_few_cells_has_narrow_gaps() -> None:
    table = f"| model | GB |\n|---|--:|\n| {'m' * 20} | 34.4 |"
    assert texts_of(table, 25) == ["model" + " " * 18 + "GB", "─" * 25, "m" * 20 + " 34.4"]


def test_the_table_of_status_has_room_beside_the_models_for_an_id_of_41_cells() -> None:
    loading = Model("m" * 41, state=RunState.STARTING, progress=0.62)
    shown = texts_of(status_as_markdown(Snapshot(models=(loading,)), 1.0), 60)
    assert shown[-1].startswith("m" * 41 + " 62 %")


def test_a_table_that_is_too_wide_is_a_block_a_row() -> None:
    table = "| model | file | GB |\n|---|---|---|\n| a | /srv/{0} | 34.4 |\n| b | {0} | |"
    assert texts_of(table.format("x" * 50), 58) == [
        *("model: a", "file:", "/srv/" + "x" * 50, "GB: 34.4"),
        "─" * 24,
        *("model: b", "file: " + "x" * 50),
    ]


@settings(deadline=None, max_examples=40)
@given(documents)
def test_no_piece_is_larger_than_what_can_be_drawn_in_a_frame(document: str) -> None:
    for piece in split_text(document):
        assert len(piece.source) <= 2 * MAX_PIECE_LENGTH + 1
        # Blank lines cost nothing: they are counted by their characters alone.
        assert sum(bool(line.strip()) for line in piece.source.splitlines()) <= 41


@settings(deadline=None, max_examples=40)
@given(documents, st.sampled_from(WIDTHS))
def test_drawing_twice_gives_the_same(document: str, width: int) -> None:
    assert rows_of(document, width) == rows_of(document, width)


def test_the_code_of_a_cut_fence_is_that_of_the_whole() -> None:
    lines = [f"    line {number}" if number % 3 else "" for number in range(200)]
    text = "```python\n" + "\n".join(lines) + "\n```\nafter\n"
    code = [piece for piece in split_text(text) if piece.kind is PieceKind.CODE]
    assert len(code) > 1
    assert [line for piece in code for line in code_lines(piece)] == lines
    assert [piece.opens for piece in code] == [True] + [False] * (len(code) - 1)
    assert split_text(text)[-1].source == "after\n"


def test_rows_of_a_cut_fence_are_those_of_its_lines() -> None:
    lines = [f"value_{number} = {number}" for number in range(100)]
    shown = texts_of("```\n" + "\n".join(lines) + "\n```\n")
    assert shown == [f"│ {line}" for line in lines]


def test_rows_of_a_long_list_are_those_of_its_items() -> None:
    items = [f"{number}. item {number}" for number in range(1, 200)]
    assert texts_of("\n".join(items)) == items


def test_columns_stay_the_same_down_a_long_table() -> None:
    text = "| a | b |\n|---|---|\n" + "".join(f"| {n:03} | x{n:03} |\n" for n in range(150))
    shown = [line for line in texts_of(text) if line]
    assert len(shown) == 152
    assert {line.index("│") for line in shown if "│" in line} == {shown[0].index("│")}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# Head\ntext", ["Head", "text"]),
        ("Head\n===\ntext", ["Head", "text"]),
        ("a\nb", ["a b"]),
        ("a  \nb", ["a", "b"]),
        ("a\n\nb", ["a", "", "b"]),
        ("- a\n- b", ["• a", "• b"]),
        ("- a\n\n- b", ["• a", "", "• b"]),
        ("- a\n  - b\n- c", ["• a", "  ◦ b", "• c"]),
        ("3. a\n3. b", ["3. a", "4. b"]),
        ("- a\n\n  b", ["• a", "", "  b"]),
        ("- a\nlazy", ["• a lazy"]),
        ("- [ ] a\n- [x] b", ["• ☐ a", "• ☑ b"]),
        ("> a\n> b", ["▎ a b"]),
        ("> - a\n>   - b", ["▎ • a", "▎   ◦ b"]),
        ("1. a\n   ```sh\n   ls\n   ```\n2. b", ["1. a", "   │ sh", "   │ ls", "2. b"]),
        ("a\n```\nb", ["a", "│ b"]),
        ("    code\n", ["│ code"]),
        ("a\n    b", ["a b"]),
        ("in 1986\n2. no list", ["in 1986 2. no list"]),
        ("***", ["─" * 77]),
        ("a\n---\nb", ["a", "b"]),
        ("# a #", ["a"]),
        ("#hashtag", ["#hashtag"]),
        ("| a |\n|---|\n| b |", ["a", "─", "b"]),
        ("text\n| a | b |\n|---|--:|\n| 1 | 2 |", ["text", "a │ b", "──┼──", "1 │ 2"]),
        ("a | b", ["a | b"]),
        (r"| a\|b | c |" + "\n|---|---|", ["a|b │ c", "────┼──"]),
        ("```\n\n\n```", ["│", "│"]),
        ("[t](http://x.y)", ["t (http://x.y)"]),
        ("<http://x.y>", ["http://x.y"]),
        ("![alt](http://x.y)", ["[image: alt] (http://x.y)"]),
        ("[t](javascript:x)", ["[t](javascript:x)"]),
        ("<script>x</script>", ["<script>x</script>"]),
        ("&lt;b&gt;", ["<b>"]),
        ("[@click=app.quit]x[/]", ["[@click=app.quit]x[/]"]),
        ("\x1b]0;title\x07", ["�]0;title�"]),
    ],
)
def test_how_markdown_looks(text: str, shown: list[str]) -> None:
    assert texts_of(text) == shown


@pytest.mark.parametrize(
    "text", [MIXED, "- a\n- b\n\n  c\n\n      d\n- e\n\nf\n", "> a\n> - b\n\nc"]
)
def test_words_come_in_the_order_that_markdown_it_has_them(text: str) -> None:
    words = [
        word
        for token in MarkdownIt("commonmark", {"html": False})
        .enable(["table", "strikethrough"])
        .parse(text)
        for child in (token.children or [token])
        for word in re.findall(r"\w+", child.content)
    ]
    shown = re.findall(
        r"\w+", "".join(row.glue + row.text[row.lead :] for row in rows_of(text, 400))
    )
    place = 0
    for word in (word for word in words if word != "x"):
        place = shown.index(word, place)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(OPEN_BLOCKS), max_size=10).map("".join), st.integers(1, 90))
@example("a\n" * 40 + "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 48, 1)
def test_what_stays_open_over_a_cut_is_what_it_was(document: str, size: int) -> None:
    deltas = [document[at : at + size] for at in range(0, len(document), size)]
    assert streamed(deltas) == split_text(document)


def test_items_that_are_nested_too_deep_are_text() -> None:
    deep = "- " * 500 + "word\n\nafter\n"
    shown = "".join(row.text for row in rows_of(deep, 77))
    assert "word" in shown
    assert "after" in shown


def test_a_line_of_a_megabyte_is_cut_and_whole() -> None:
    text = "x" * 1_000_000
    pieces = split_text(text)
    assert "".join(piece.source for piece in pieces) == text
    assert "".join(row.text for piece in pieces for row in render_piece(piece, 100)) == text


def test_a_lexer_sees_no_line_that_is_too_long() -> None:
    lines = ["short = 1", "y" * 3000]
    assert list(highlight_lines(lines, "python")) == [[(line, CODE_STYLE)] for line in lines]


@pytest.mark.parametrize(
    "language", ["python", "c", "bash", "console", "html", "yaml", "nonsense", ""]
)
def test_colors_change_no_character_of_code(language: str) -> None:
    lines = ["", "\tdef x(): return 'a'  # b", "/* a", "", '  " ` ( */ $ 1 <b>', "é 日本 🙂 \\", ""]
    assert ["".join(text for text, _ in runs) for runs in highlight_lines(lines, language)] == lines
