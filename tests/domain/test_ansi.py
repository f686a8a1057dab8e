"""Colors are read into spans, and nothing else of an escape sequence is left."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.ansi import AnsiStyle, StyledSpan, format_ansi, parse_ansi
from aitui.domain.sanitize import sanitize_line

HARMFUL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
PIECES = st.sampled_from(
    [
        *("\x1b[31m", "\x1b[0m", "\x1b[1;4m", "\x1b[38;5;208m", "\x1b[48;2;1;2;3m", "\x1b[m"),
        *("\x1b", "\x1b[", "\x1b[3", "m", "\x1b]0;title\x07", "\x1b]52;c;YQ==\x1b\\", "\x9b31m"),
        *("\x1bP", "\x1b[?25l", "\x1b[2J", "\x07", "\x00", "\x9c", "\u202e", "\t", "\r", "text"),
        *("☃", "你", "\ud800", "38;5;", "[@click=app.quit]x[/]"),
    ]
)
HOSTILE = st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=30).map("".join)


def test_plain_text_has_no_spans() -> None:
    assert parse_ansi("all slots are idle") == ("all slots are idle", ())


def test_a_color_goes_from_its_sequence_to_the_next() -> None:
    text, spans = parse_ansi("a \x1b[31mred\x1b[0m b")
    assert text == "a red b"
    assert spans == (StyledSpan(2, 5, AnsiStyle(foreground=1)),)


@pytest.mark.parametrize(
    ("parameters", "ink"),
    [
        ("31", AnsiStyle(foreground=1)),
        ("92", AnsiStyle(foreground=10)),
        ("44", AnsiStyle(background=4)),
        ("103", AnsiStyle(background=11)),
        ("1;2;3;4;7;9", AnsiStyle(None, None, *[True] * 6)),
        ("38;5;208", AnsiStyle(foreground=208)),
        ("38:5:208", AnsiStyle(foreground=208)),
        ("48;2;1;2;3", AnsiStyle(background=(1, 2, 3))),
        ("38:2::1:2:3", AnsiStyle(foreground=(1, 2, 3))),
        ("38;5;208;1", AnsiStyle(foreground=208, bold=True)),
        ("38;2;1;2;3;44", AnsiStyle(foreground=(1, 2, 3), background=4)),
        ("4:3", AnsiStyle(underline=True)),
    ],
)
def test_each_way_of_writing_a_color(parameters: str, ink: AnsiStyle) -> None:
    assert parse_ansi(f"\x1b[{parameters}mx") == ("x", (StyledSpan(0, 1, ink),))


@pytest.mark.parametrize("parameters", ["31;39", "44;49", "1;22", "3;23", "31;0", "31;", "5", "8"])
def test_what_is_turned_off_or_would_hide_text_leaves_no_span(parameters: str) -> None:
    assert parse_ansi(f"\x1b[{parameters}mx") == ("x", ())


@pytest.mark.parametrize("parameters", ["38;5;999", "38;5", "38;2;1;2", "38", "48;9;9", "9999999"])
def test_nonsense_colors_nothing(parameters: str) -> None:
    assert parse_ansi(f"\x1b[{parameters}mx")[0] == "x"


def test_tabs_become_columns() -> None:
    assert parse_ansi("a\tb")[0] == "a       b"


@given(HOSTILE)
def test_no_escape_sequence_and_no_control_character_is_left(line: str) -> None:
    text, _ = parse_ansi(line)
    assert not HARMFUL.search(text)


@given(HOSTILE)
def test_spans_lie_in_the_text_in_order(line: str) -> None:
    text, spans = parse_ansi(line)
    places = [place for span in spans for place in (span.start, span.end)]
    assert places == sorted(places)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)


@given(HOSTILE)
def test_colors_written_again_are_read_as_the_same(line: str) -> None:
    text, spans = parse_ansi(line)
    again = parse_ansi(format_ansi(text, spans))
    assert again[0] == text
    assert _by_character(*again) == _by_character(text, spans)


@given(st.text())
def test_a_line_without_colors_is_cleaned_as_everywhere(line: str) -> None:
    assert parse_ansi(line)[0] == sanitize_line(line.expandtabs(8))


def _by_character(text: str, spans: tuple[StyledSpan, ...]) -> list[AnsiStyle]:
    inks = [AnsiStyle()] * len(text)
    for span in spans:
        inks[span.start : span.end] = [span.style] * (span.end - span.start)
    return inks
