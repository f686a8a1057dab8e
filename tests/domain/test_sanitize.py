import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.sanitize import ELLIPSIS, sanitize_line, sanitize_text

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
SEPARATORS = "\u2028\u2029"
PIECES = [
    "\x1b",
    "\x1b[",
    "\x1b]",
    "\x1b]8;;http://x",
    "\x1b]52;c;QQ==",
    "\x1b\\",
    "\x1bP",
    "\x1b[31",
    "\x9b",
    "\x9d0;t",
    "\x9c",
    "\x07",
    "\r",
    "\n",
    "\t",
    "\x85",
    "\ud800",
    *BIDI,
    *SEPARATORS,
    "\u200b",
    "\u200d",
    "\ufe0f",
    "m",
    "[31m",
    "…",
]
hostile = st.lists(
    st.one_of(
        st.sampled_from(PIECES),
        st.characters(max_codepoint=0x9F),
        st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Lo", "So", "Mn"]),
        st.text(max_size=5),
    )
).map("".join)
printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))
limits = st.none() | st.integers(min_value=0, max_value=40)


def assert_harmless(text: str, kept: str = "") -> None:
    rest = set(text) - set(kept)
    assert not {c for c in rest if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}}
    assert not rest & set(BIDI)


@given(hostile, limits)
def test_a_line_holds_no_control_character_whatever_came(text: str, limit: int | None) -> None:
    assert_harmless(sanitize_line(text, limit))


@given(hostile, limits)
def test_a_text_holds_no_control_character_but_newline_and_tab(
    text: str, limit: int | None
) -> None:
    assert_harmless(sanitize_text(text, limit), kept="\n\t")


@given(hostile, limits)
def test_cleaning_twice_is_cleaning_once(text: str, limit: int | None) -> None:
    line, block = sanitize_line(text, limit), sanitize_text(text, limit)
    assert sanitize_line(line, limit) == line
    assert sanitize_text(block, limit) == block


@given(printable)
def test_printable_ascii_is_untouched(text: str) -> None:
    assert sanitize_line(text) is text
    assert sanitize_text(text) is text


@given(st.lists(printable).map("\n\t".join))
def test_a_text_keeps_its_newlines_and_tabs(text: str) -> None:
    assert sanitize_text(text) is text


@given(hostile, st.integers(min_value=0, max_value=40))
def test_the_limit_holds(text: str, limit: int) -> None:
    assert len(sanitize_line(text, limit)) <= limit
    assert len(sanitize_text(text, limit)) <= limit


@pytest.mark.parametrize(
    "sequence",
    [
        "\x1b[31m",
        "\x1b[38;2;1;2;3m",
        "\x1b[?1049h",
        "\x1b[2J",
        "\x9b31m",
        "\x1b]0;title\x07",
        "\x1b]0;title\x1b\\",
        "\x1b]8;;https://example.org\x1b\\",
        "\x1b]52;c;ZXZpbA==\x07",
        "\x9d52;c;ZXZpbA==\x9c",
        "\x1bPq#0;2;0;0;0\x1b\\",
        "\x1b_Gf=100;AAAA\x1b\\",
        "\x1b^private\x1b\\",
        "\x1bXstart of string\x1b\\",
        "\x1bPtmux;\x1b\x1b]52;c;ZXZpbA==\x07\x1b\\",
        "\x1bc",
        "\x1b(B",
        "\x1b#8",
    ],
)
def test_an_escape_sequence_goes_whole(sequence: str) -> None:
    assert sanitize_line(f"before {sequence}after") == "before after"


@pytest.mark.parametrize(
    "start", ["\x1b", "\x1b[", "\x1b[38;5", "\x1b]52;c;ZXZp", "\x1bP", "\x9b3"]
)
def test_an_incomplete_sequence_at_the_end_goes_too(start: str) -> None:
    assert sanitize_line("before" + start) == "before"
    assert sanitize_text("before" + start) == "before"


def test_an_unterminated_string_ends_at_the_next_control_character() -> None:
    assert sanitize_text("a\x1b]0;title\nnext line") == "a\nnext line"


def test_a_quotation_mark_decoded_wrongly_does_not_swallow_the_line() -> None:
    assert sanitize_line("â€\x9d he said") == "â€� he said"


@pytest.mark.parametrize("text", ["a\x00b", "a\x07\x07b", "a\x7fb", "a\x80b", "a\ud800b"])
def test_a_run_of_other_control_characters_is_shown_once(text: str) -> None:
    assert sanitize_line(text) == "a�b"


@pytest.mark.parametrize("between", ["\n", "\t", "\r\n", "\n\n\t", "\x85", "\u2028", "\x0b"])
def test_breaks_and_tabs_become_one_blank_in_a_line(between: str) -> None:
    assert sanitize_line(f"a{between}b") == "a b"


def test_breaks_at_the_ends_of_a_line_vanish() -> None:
    assert sanitize_line("\r\nsrv  started\r\n") == "srv  started"


@pytest.mark.parametrize("break_", ["\r\n", "\r", "\x85", "\u2028", "\u2029", "\x0b", "\x0c"])
def test_every_line_break_is_a_newline_in_a_text(break_: str) -> None:
    assert sanitize_text(f"a{break_}b") == "a\nb"


def test_bidi_controls_vanish() -> None:
    assert sanitize_line("user\u202e\u2066admin\u2069") == "useradmin"


def test_invisible_characters_vanish() -> None:
    assert sanitize_line("qwen\u200b3\u00ad-8b\ufeff\U000e0041\u3164") == "qwen3-8b"


def test_joiners_stay_in_prose_and_go_from_cells() -> None:
    family = "👩\u200d👧 ❤\ufe0f"
    assert sanitize_text(family) == family
    assert sanitize_line(family) == "👩👧 ❤"


def test_umlauts_and_wide_characters_are_untouched() -> None:
    assert sanitize_line("größer 世界 é 🙂") == "größer 世界 é 🙂"


@pytest.mark.parametrize(
    ("text", "limit", "cut"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("ab", 1, "…"), ("a", 0, ""), ("", 0, "")],
)
def test_a_cut_text_ends_with_an_ellipsis(text: str, limit: int, cut: str) -> None:
    assert sanitize_line(text, limit) == cut
    assert sanitize_text(text, limit) == cut


@pytest.mark.parametrize("piece", ["a", "\x1b", "\x1b[1m", "\x9d", "\x00", "\u200b", "\x1b]"])
def test_a_line_of_ten_megabytes_is_cut_before_it_is_read(piece: str) -> None:
    text = piece * (10_000_000 // len(piece))
    started = time.process_time()
    assert sanitize_line(text, 500).endswith(ELLIPSIS)
    assert time.process_time() - started < 0.2


@pytest.mark.parametrize("piece", ["\x1b[1m", "\x9d", "\x1b]0;", "\x1bP\x1b", "\x9d;", "\n\t"])
def test_the_time_grows_in_line_with_the_text(piece: str) -> None:
    started = time.process_time()
    sanitize_text(piece * (2_000_000 // len(piece)))
    assert time.process_time() - started < 2
