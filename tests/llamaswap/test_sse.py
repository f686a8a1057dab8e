"""Server-sent events: the rules of the format, whatever the cuts between chunks."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.errors import BadResponse
from aitui.llamaswap.stream import SseEvent, SseParser

_FIELDS = [b"data:", b"data: ", b"event:", b":", b"id: 1", b"a", b"{}", b" "]
_LINE_ENDS = [b"\n", b"\r", b"\r\n", b"\n\n"]
_ODDITIES = ["\u2028\u0085\x0b\x1c".encode(), "é".encode(), b"\xef\xbb\xbf", b"\xff"]
_PIECES = st.sampled_from([*_FIELDS, *_LINE_ENDS, *_ODDITIES])


def parsed(*chunks: bytes) -> list[SseEvent]:
    parser = SseParser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return events + parser.finish()


def test_reads_frames_without_a_blank_after_the_colon() -> None:
    assert parsed(b"event:message\ndata:{}\n\n") == [SseEvent(b"{}")]


def test_removes_one_blank_after_the_colon_and_only_one() -> None:
    assert parsed(b"data:  x\n\n") == [SseEvent(b" x")]


def test_joins_lines_of_data_with_a_line_feed() -> None:
    assert parsed(b"data: a\ndata\ndata: b\n\n") == [SseEvent(b"a\n\nb")]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_takes_every_kind_of_line_end(end: bytes) -> None:
    assert parsed(b"data: a" + end + end + b"data: b" + end + end) == [
        SseEvent(b"a"),
        SseEvent(b"b"),
    ]


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c"])
def test_takes_no_other_character_for_a_line_end(character: str) -> None:
    text = f"a{character}b".encode()
    assert parsed(b"data: " + text + b"\n\n") == [SseEvent(text)]


def test_keeps_the_first_event_after_a_bom() -> None:
    assert parsed(b"\xef\xbb\xbfdata: a\n\n") == [SseEvent(b"a")]


def test_does_not_dispatch_an_event_without_data() -> None:
    assert parsed(b"event: x\n\ndata: a\n\n") == [SseEvent(b"a")]


def test_names_the_event_and_forgets_the_name_afterwards() -> None:
    assert parsed(b"event: x\ndata: a\n\ndata: b\n\n") == [SseEvent(b"a", "x"), SseEvent(b"b")]


def test_ignores_comments_ids_and_retry() -> None:
    assert parsed(b": hello\nid: 4\nretry: 10\ndata: a\n\n") == [SseEvent(b"a")]


def test_hands_on_a_line_of_bare_json() -> None:
    assert parsed(b'data: a\n\n{"error":"x"}\n') == [
        SseEvent(b"a"),
        SseEvent(b'{"error":"x"}', bare=True),
    ]


def test_hands_on_bare_json_that_the_end_of_the_stream_cuts() -> None:
    assert parsed(b'data: a\n\n{"error":"x"}')[-1] == SseEvent(b'{"error":"x"}', bare=True)


def test_drops_a_line_of_data_that_the_end_of_the_stream_cuts() -> None:
    assert parsed(b"data: a\ndata: hal") == [SseEvent(b"a")]


def test_refuses_an_event_beyond_its_limit() -> None:
    with pytest.raises(BadResponse, match="more than"):
        SseParser(largest=1000).feed((b"data: " + b"x" * 50 + b"\n") * 100)


def test_refuses_a_line_beyond_its_limit() -> None:
    parser = SseParser(largest=1000)
    parser.feed(b"x" * 1000)
    with pytest.raises(BadResponse, match="more than"):
        parser.feed(b"x")


@given(st.lists(_PIECES, max_size=30).map(b"".join), st.data())
def test_cuts_between_chunks_change_nothing(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    ends = [*cuts, len(stream)]
    chunks = [stream[start:end] for start, end in zip([0, *cuts], ends, strict=True)]
    assert parsed(*chunks) == parsed(stream)


@given(st.lists(_PIECES, max_size=30).map(b"".join))
def test_single_bytes_give_the_same_events(stream: bytes) -> None:
    assert parsed(*(stream[i : i + 1] for i in range(len(stream)))) == parsed(stream)


def test_is_linear_in_a_long_line_that_comes_in_small_pieces() -> None:
    parser = SseParser()
    began = time.perf_counter()
    parser.feed(b"data: ")
    for _ in range(100_000):
        parser.feed(b"x" * 10)
    (event,) = parser.feed(b"\n\n")
    assert len(event.data) == 1_000_000
    assert time.perf_counter() - began < 5
