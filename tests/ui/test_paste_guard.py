"""Nothing between the marks of a paste becomes a key, however it is split and whatever it holds."""

import re
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.message import Message

from aitui.ui.terminal.driver import GuardedParser, PasteCut
from aitui.ui.terminal.paste_guard import (
    AFTERWARDS,
    BEGINS,
    ENDS,
    LONGEST_PASTE,
    MOST_COLUMNS,
    MOST_ROWS,
    PATIENCE,
    PastedText,
    PasteGuard,
    Piece,
)

CONTROLS = {chr(code) for code in (*range(32), *range(0x7F, 0xA0))} - set("\t\n\r")
PARTS = st.sampled_from(
    [
        *(
            "\x1b",
            "\x1b\x1b",
            "\x1bj",
            "\x1b[",
            "\x1b[2",
            "\x1b[A",
            "\x1bOP",
            "\x1b[15~",
            "\x1b[[A",
        ),
        *("\x1b[97;5u", "\x1b[<35;10;20M", "\x1b[I", "\x1b[M !!", "\x1b]0;x\x07", "\x1b[?2026;2$y"),
        *(
            "q",
            "U",
            "y",
            "~",
            "[200~",
            "ä",
            "\x00",
            "\x03",
            "\r",
            "text ",
            "\x1b[48;30;90;600;900t",
        ),
        *("\x1b[99999999999999999999;5u", "\x1b[" + "9" * 40, "\x1b[200", "\x1b[201"),
    ]
)
MARKS = st.sampled_from([BEGINS, ENDS])
TYPED = st.lists(
    st.sampled_from(
        ["q", "U", "ä", "\r", "\x03", "\x1b[A", "\x1bOP", "\x1b[15~", "\x1b[97;5u", "\x1b[I"]
    ),
    max_size=8,
).map("".join)
"""Whole keys: behind the beginning of one Textual would wait for the rest."""
STREAMS = st.lists(PARTS | MARKS | st.text(max_size=3), max_size=12).map("".join)
INSIDE = st.lists(PARTS | st.text(), max_size=12).map("".join).filter(lambda text: ENDS not in text)


@st.composite
def split(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> tuple[str, list[str]]:
    """A text, and the pieces of one way to split it."""
    text = draw(texts)
    places = draw(st.sets(st.integers(0, len(text)), max_size=20))
    cuts = sorted({0, len(text), *places})
    return text, [text[one:other] for one, other in pairwise(cuts)]


def join(pieces: Iterable[Piece]) -> list[Piece]:
    """The pieces, texts side by side as one."""
    together: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and together and isinstance(together[-1], str):
            together[-1] += piece
        else:
            together.append(piece)
    return together


def read(guard: PasteGuard, *texts: str, now: float = 0.0) -> list[Piece]:
    return join(piece for text in texts for piece in guard.feed(text, now))


def parse(*texts: str) -> list[Message]:
    parser = GuardedParser()
    return [event for text in texts for event in parser.feed(text)]


def harmless(text: str) -> str:
    text = "".join(sign for sign in text.replace(BEGINS, "") if sign not in CONTROLS)
    return re.sub(r"(?<![\u0600-\U0010ffff])\u200d+", "", text)


def what(event: Message) -> tuple[object, ...]:
    return (type(event), getattr(event, "text", ""), getattr(event, "key", ""))


@given(split(STREAMS))
def test_however_it_is_split_it_is_the_same(given: tuple[str, list[str]]) -> None:
    text, parts = given
    assert read(PasteGuard(), *parts) == read(PasteGuard(), text)


@given(split(INSIDE.map(lambda inside: BEGINS + inside + ENDS)))
def test_what_is_inside_is_one_paste_and_no_key(given: tuple[str, list[str]]) -> None:
    text, parts = given
    inside = harmless(text[len(BEGINS) : -len(ENDS)])
    found = parse(*parts)
    assert [type(event) for event in found] == ([events.Paste] if inside else [])
    assert [event.text for event in found if isinstance(event, events.Paste)] == [inside][
        : len(found)
    ]


@given(TYPED, INSIDE)
def test_keys_in_front_and_behind_stay_what_they_are(typed: str, inside: str) -> None:
    pasted = parse(f"{BEGINS}{inside}{ENDS}")
    alone = [what(event) for event in parse(typed)]
    around = [what(event) for event in parse(f"{typed}{BEGINS}{inside}{ENDS}{typed}")]
    assert around == [*alone, *map(what, pasted), *alone]


@given(STREAMS)
def test_no_input_ends_the_parser(text: str) -> None:
    parse(text)


@pytest.mark.parametrize("mark", [BEGINS, ENDS])
@pytest.mark.parametrize("place", range(1, len(BEGINS)))
@pytest.mark.parametrize("late", [0.05, 0.5, 0.9])
def test_a_mark_whose_rest_is_late_is_a_mark(mark: str, place: int, late: float) -> None:
    guard = PasteGuard()
    before, _, behind = f"{BEGINS}qU\x1by{ENDS}".partition(mark)
    pieces = guard.feed(before + mark[:place], 0.0)
    pieces += guard.tick(late)
    pieces += guard.feed(mark[place:] + behind, late)
    # An ESC that nothing follows is a key after a tenth of a second, or none would ever be.
    is_key = mark == BEGINS and place == 1 and late > 0.1
    assert pieces == [*(["\x1b"] if is_key else []), PastedText("qUy")]


@pytest.mark.parametrize("late", [2.0, 100.0, 10_000.0])
@pytest.mark.parametrize("place", [3, 4, 5])
def test_most_of_a_mark_waits_for_its_rest_for_any_time(place: int, late: float) -> None:
    guard = PasteGuard()
    assert guard.feed(BEGINS[:place], 0.0) == []
    assert guard.tick(late) == []
    assert guard.feed(BEGINS[place:] + "q" + ENDS, late) == [PastedText("q")]


def test_a_key_behind_an_escape_that_has_gone_is_itself() -> None:
    guard = PasteGuard()
    assert guard.feed("\x1b", 0.0) == []
    assert guard.tick(0.05) == []
    assert guard.tick(0.1) == ["\x1b"]
    assert guard.feed("[", 0.2) == []
    assert guard.tick(0.31) == ["["]
    assert guard.feed("[x", 5.0) == ["[x"]


def test_an_arrow_whose_rest_is_late_is_an_arrow() -> None:
    guard = PasteGuard()
    assert guard.feed("\x1b[", 0.0) == []
    assert guard.tick(0.5) == []
    assert guard.feed("Aj", 0.5) == ["\x1b[A", "j"]


def test_the_rest_of_a_sequence_that_never_comes_is_given_up() -> None:
    guard = PasteGuard()
    assert guard.feed("\x1b[1;5", 0.0) == []
    assert guard.tick(0.9) == []
    assert guard.tick(1.0) == ["\x1b[1;5"]
    assert guard.feed("j", 2.0) == ["j"]


def test_a_paste_that_never_ends_is_over_when_nothing_comes_any_more() -> None:
    guard = PasteGuard()
    assert guard.feed(BEGINS + "abc\x1b[2", 0.0) == []
    assert guard.tick(PATIENCE - 0.1) == []
    assert guard.tick(PATIENCE) == [PastedText("abc[2")]
    assert guard.feed("j", PATIENCE + 1) == ["j"]


def test_typing_does_not_keep_a_paste_open() -> None:
    guard = PasteGuard()
    guard.feed(BEGINS + "abc", 0.0)
    pieces: list[Piece] = []
    now = 0.0
    while not pieces:
        now += 0.03
        pieces = [*guard.feed("j", now), *guard.tick(now)]
        assert now < 3 * PATIENCE
    assert guard.feed("j", now) == ["j"]


def test_a_slow_line_keeps_a_paste_open() -> None:
    guard = PasteGuard()
    pieces = guard.feed(BEGINS, 0.0)
    for tenth in range(1, 1000):
        pieces += guard.feed("0123456789" * 2, tenth / 10)
        pieces += guard.tick(tenth / 10)
    assert pieces == []
    assert guard.feed(ENDS, 100.0) == [PastedText("0123456789" * 2 * 999)]


@pytest.mark.parametrize("rest", ["qUy" + ENDS, ENDS, "qUy " * 20, "qUy " * 20 + ENDS])
def test_the_rest_of_a_paste_that_was_given_up_is_no_key(rest: str) -> None:
    guard = PasteGuard()
    guard.feed(BEGINS + "abc", 0.0)
    pieces = guard.tick(PATIENCE)
    pieces += guard.feed(rest, PATIENCE + AFTERWARDS / 2)
    pieces += guard.tick(2 * PATIENCE + AFTERWARDS)
    inside = rest.removesuffix(ENDS)
    assert pieces == [PastedText("abc"), *([PastedText(inside)] if inside else [])]
    assert guard.feed("q" * 100, 3 * AFTERWARDS) == ["q" * 100]


def test_keys_behind_a_paste_that_was_given_up_are_keys() -> None:
    guard = PasteGuard()
    guard.feed(BEGINS + "abc", 0.0)
    guard.tick(PATIENCE)
    mouse = "\x1b[<35;10;20M" * 20
    assert join(guard.feed("j" + mouse, PATIENCE + 1)) == ["j" + mouse]
    assert guard.feed(BEGINS + "q" + ENDS + "j", PATIENCE + 2) == [PastedText("q"), "j"]
    assert guard.feed("q" * 100, PATIENCE + 3) == ["q" * 100]


def test_a_paste_has_a_largest_size_and_says_what_is_left_out() -> None:
    guard = PasteGuard()
    guard.feed(BEGINS, 0.0)
    for _ in range(LONGEST_PASTE // 1000 + 5):
        assert guard.feed("x" * 1000, 0.0) == []
    pasted, key = guard.feed(ENDS + "j", 0.0)
    assert pasted == PastedText("x" * LONGEST_PASTE, left_out=5000)
    assert key == "j"


@pytest.mark.parametrize(
    ("pasted", "kept"),
    [
        ("A\u200d" * 400, "A" * 400),
        ("\u200dA", "A"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("ක්\u200dර",) * 2,
    ],
)
def test_a_joiner_that_joins_nothing_is_left_out(pasted: str, kept: str) -> None:
    assert read(PasteGuard(), f"{BEGINS}{pasted}{ENDS}") == [PastedText(kept)]


def test_what_was_cut_is_reported_behind_the_paste() -> None:
    kinds = [type(event) for event in parse(BEGINS + "x" * (LONGEST_PASTE + 1) + ENDS)]
    assert kinds == [events.Paste, PasteCut]


def test_an_escape_in_front_of_a_paste_comes_before_it() -> None:
    found = [what(event) for event in parse("\x1b" + BEGINS + "a" + ENDS)]
    assert found == [(events.Key, "", "escape"), (events.Paste, "a", "")]


@pytest.mark.parametrize(
    "report",
    [
        "\x1b[99999999999999999999;5u",
        "\x1b[1114112u",
        "\x1b[55296u",
        "\x1b[97;1;57343u",
        "\x1b[97:65;5u",
        "\x1b[97;5:1u",
        "\x1b[" + "9" * 40 + ";5u",
        "\x1b[" + "9" * 5000 + "u",
        "\x1b[48;999999;999999;9;9t",
        f"\x1b[48;{MOST_ROWS + 1};80;9;9t",
        f"\x1b[48;24;{MOST_COLUMNS + 1};9;9t",
        "\x1b[48;0;0;0;0t",
        "\x1b[48;99999999999:1;80:2;9;9t",
        "\x1b[<0;99999999999;5M",
    ],
)
def test_an_absurd_report_is_ignored(report: str) -> None:
    assert parse(report) == []
    assert [what(event) for event in parse(report + "j")] == [(events.Key, "", "j")]


@pytest.mark.parametrize(
    "report",
    [
        *(
            "\x1b[0n",
            "\x1b[?62;4;6c",
            "\x1b[>0;276;0c",
            "\x1b[?1u",
            "\x1b[?2026;9$p",
            "\x1b[8;24;80q",
        ),
        *("\x1b]11;rgb:1e1e/1e1e/1e1e\x1b\\", "\x1b]52;c;cXVpdA==\x07", "\x1b]0;q\x07"),
        *("\x1bP>|xterm(370)\x1b\\", "\x1bP1+r4d73=q\x1b\\", "\x1b_Gi=1;OK\x1b\\"),
    ],
)
def test_a_report_that_nobody_asked_for_is_no_keys(report: str) -> None:
    for split in range(1, len(report)):
        found = parse(report[:split], report[split:], "j")
        assert [what(event) for event in found] == [(events.Key, "", "j")]


@pytest.mark.parametrize("key", ["\x1b]", "\x1bP", "\x1b_", "\x1bX", "\x1b^"])
def test_a_key_with_alt_is_not_the_beginning_of_a_report(key: str) -> None:
    guard = PasteGuard()
    assert join([*guard.feed(key, 0.0), *guard.tick(0.2)]) == [key]


def test_reports_of_good_terminals_are_read() -> None:
    found = parse("\x1b[97;5u\x1b[48;50;200;1000;2000t\x1b[<0;3;4M\x1b[A\x1b[Iä")
    assert [type(event) for event in found] == [
        *(events.Key, events.Resize, events.MouseDown, events.Key, events.AppFocus, events.Key)
    ]


def test_a_terminal_that_does_not_know_its_pixels_has_a_mouse() -> None:
    resize, mouse = parse("\x1b[48;50;200;0;0t\x1b[<0;3;4M")
    assert isinstance(resize, events.Resize)
    assert isinstance(mouse, events.MouseDown)
    assert (mouse.x, mouse.y) == (2, 3)
