"""A log in pieces becomes harmless text, wherever it is cut."""

from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.sanitize import sanitize_text
from aitui.llamaswap.logs import LogTextDecoder

_PIECES = st.sampled_from(
    ["a", "é", "😀", "\n", "\r", "\r\n", "\x1b[1;31m", "\x1b]0;t\x07", "\x1b(B", "\t"]
)


def cleaned(*pieces: bytes) -> str:
    text = LogTextDecoder()
    return "".join([*(text.feed(piece) for piece in pieces), text.finish()])


def test_a_character_in_two_pieces_is_one() -> None:
    assert cleaned(b"\xc3", b"\xa9") == "é"


def test_a_color_in_two_pieces_vanishes_whole() -> None:
    assert cleaned(b"a\x1b[3", b"1mb") == "ab"


def test_a_line_end_in_two_pieces_is_one() -> None:
    assert cleaned(b"a\r", b"\nb") == "a\nb"


def test_a_sequence_that_never_ends_holds_nothing_back_for_long() -> None:
    text = LogTextDecoder()
    assert "x" * 1000 in text.feed(b"\x1b]0;" + b"x" * 500) + text.feed(b"\n" + b"x" * 1000)


def test_bytes_that_are_no_text_are_shown_as_replaced() -> None:
    assert cleaned(b"a\xffb\xc3") == "a\ufffdb\ufffd"


@given(st.lists(_PIECES, max_size=20).map("".join), st.data())
def test_cuts_change_nothing(log: str, data: st.DataObject) -> None:
    stream = log.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    ends = [*cuts, len(stream)]
    pieces = [stream[start:end] for start, end in zip([0, *cuts], ends, strict=True)]
    assert cleaned(*pieces) == sanitize_text(log)
