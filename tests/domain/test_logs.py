"""Pieces of bytes become lines, however they are cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.logs import LineAssembler, LogLevel, LogLine, detect_level, parse_log_line

OWN = '[INFO] Request 127.0.0.1 "{}" 200 265 "aitui/0.1.0 (me@desk)" 175.796µs'
BYTES = st.lists(
    st.one_of(
        st.sampled_from(
            [b"\n", b"\r", b"\r\n", b"\x1b[31m", "größer ☃ 你".encode(), b"\x1b]0;t\x07"]
        ),
        st.binary(max_size=8),
    ),
    max_size=40,
).map(b"".join)


def lines_of(*pieces: bytes, longest: int = 1000) -> tuple[list[LogLine], LogLine | None]:
    assembler = LineAssembler(longest)
    whole: list[LogLine] = []
    unfinished = None
    for piece in pieces:
        lines = assembler.feed(piece)
        whole += lines.whole
        unfinished = lines.unfinished
    return whole, unfinished


@given(BYTES, st.data())
def test_any_cut_gives_the_same_lines(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    edges = [0, *cuts, len(stream)]
    pieces = [stream[start:end] for start, end in itertools.pairwise(edges)]
    assert lines_of(*pieces) == lines_of(stream)


@given(BYTES, st.data())
def test_any_cut_gives_the_same_lines_where_they_are_too_long(
    stream: bytes, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(stream)))
    assert lines_of(stream[:cut], stream[cut:], longest=5) == lines_of(stream, longest=5)


def test_an_unfinished_line_is_there_at_once() -> None:
    whole, unfinished = lines_of(b"one\ntw", b"o")
    assert [line.text for line in whole] == ["one"]
    assert unfinished is not None
    assert unfinished.text == "two"


def test_a_finished_log_has_no_unfinished_line() -> None:
    assert lines_of(b"one\n")[1] is None


def test_a_line_of_ten_megabytes_keeps_its_beginning_and_says_so() -> None:
    assembler = LineAssembler()
    piece = b"x" * 64 * 1024
    for _ in range(160):
        assert assembler.feed(piece).whole == ()
        assert len(assembler._buffer) <= 32 * 1024
    line = assembler.feed(b"\n").whole[0]
    assert line.text == "x" * 32 * 1024 + "… (10,452,992 bytes more)"


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("[DEBUG] x", LogLevel.DEBUG),
        ("[INFO] the last error was long ago", LogLevel.INFO),
        ("2026-11-22T10:58:46Z [WARN] group: starting broken failed", LogLevel.WARNING),
        ("[ERROR] x", LogLevel.ERROR),
        ("0.00.050.752 E ggml: x", LogLevel.ERROR),
        ("0.00.050.752 W x", LogLevel.WARNING),
        ("0.00.050.752 I no error", LogLevel.INFO),
        ("llama_model_load: error loading model: unable to allocate", LogLevel.ERROR),
        ("srv    load_model: failed to load model", LogLevel.ERROR),
        ("cudaMalloc failed: out of memory", LogLevel.ERROR),
        ("warning: no usable GPU found", LogLevel.WARNING),
        ("srv  update_slots: all slots are idle", LogLevel.INFO),
        ("srv  log_server_r: request: POST /v1 127.0.0.1 b'{\"an error\"}'", LogLevel.INFO),
        ("terror and forewarning", LogLevel.INFO),
    ],
)
def test_levels(text: str, level: LogLevel) -> None:
    assert detect_level(text) is level


@pytest.mark.parametrize(
    "request_line",
    [
        *("GET /running HTTP/1.1", "GET /v1/models HTTP/1.1", "GET /api/events HTTP/1.1"),
        *("GET /logs/stream HTTP/1.1", "GET /logs/stream/a%2Fb?no-history HTTP/1.1"),
        *("GET /api/events/logs HTTP/1.1", "GET /api/mcp HTTP/1.1", "GET /health HTTP/1.1"),
        "GET /logs/stream/50% größer ☃ HTTP/1.1",
        *("GET /api/version HTTP/1.1", "GET /ai/running HTTP/1.1", "GET /api/performance HTTP/1.1"),
    ],
)
def test_own_polls_are_known(request_line: str) -> None:
    assert parse_log_line(OWN.format(request_line)).own


@pytest.mark.parametrize(
    "line",
    [
        OWN.format("GET /running HTTP/1.1").replace("aitui/", "curl/"),
        OWN.format("GET /upstream/qwen/health HTTP/1.1"),
        OWN.format("POST /api/models/unload/qwen HTTP/1.1"),
        OWN.format("POST /v1/chat/completions HTTP/1.1"),
    ],
)
def test_what_others_do_and_what_aitui_changes_is_no_poll(line: str) -> None:
    assert not parse_log_line(line).own
