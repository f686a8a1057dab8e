"""Streams that no recording holds: long ones, odd ones, hostile ones."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aitui.domain.chat.reply import StreamError
from aitui.domain.sanitize import sanitize_text
from aitui.llamaswap.chat_stream import ChatStreamParser
from services.chat.recorded_streams import Said, said

DONE = b"data: [DONE]\n\n"


def event(value: object, *, ascii_only: bool = True) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=ascii_only)}\n\n".encode()


def delta(**fields: Any) -> bytes:
    return event({"id": "x", "model": "m", "choices": [{"index": 0, "delta": fields}]})


def answer(*texts: str) -> bytes:
    return b"".join(delta(content=text) for text in texts) + DONE


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    edges = [0, *sorted(cuts), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def test_a_long_answer_comes_out_whole() -> None:
    words = [f"word{number} é\N{SNOWMAN} " for number in range(20_000)]
    data = answer(*words)
    result = said(data, range(0, len(data), 1499))
    assert result.text == "".join(words)
    assert result.pieces == 20_000


LONG_WORDS = [f"word{number} é\N{SNOWMAN}\N{GRINNING FACE}\r\n" for number in range(3000)]
LONG = answer("<think>", *LONG_WORDS, "</think>", *LONG_WORDS)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, len(LONG)), max_size=200))
def test_a_long_answer_cut_anywhere_says_the_same(cuts: list[int]) -> None:
    assert said(LONG, cuts) == said(LONG)


def test_a_long_answer_in_single_bytes_says_the_same() -> None:
    assert said(LONG, range(1, len(LONG))) == said(LONG)


hostile = st.text(
    st.sampled_from("ab\x1b[]m0;\x07\x9b\x9d\x9c\x90\r\n\0\x7f\u200b\u202e\\ \x85�"), max_size=30
)


@given(hostile, st.lists(st.integers(0, 30), max_size=6))
def test_an_escape_sequence_in_several_deltas_is_removed_as_one(text: str, cuts: list[int]) -> None:
    assert said(answer("x", *pieces_of(text, cuts))).text == sanitize_text("x" + text)


@given(hostile, st.lists(st.integers(0, 30), max_size=6))
def test_reasoning_is_cleaned_the_same_way(text: str, cuts: list[int]) -> None:
    parts = [delta(reasoning_content=piece) for piece in pieces_of(text, cuts)]
    assert said(b"".join(parts) + DONE).reasoning == sanitize_text(text)


def test_an_endless_escape_sequence_does_not_fill_the_memory() -> None:
    stream = ChatStreamParser()
    for _ in range(2_000):
        stream.feed(delta(content="\x1b]" + "x" * 100))
        assert len(stream._text_sanitizer._pending) <= 4096


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_both_names_of_reasoning_are_known(field: str) -> None:
    assert said(delta(**{field: "hm"}) + DONE).reasoning == "hm"


think = st.lists(st.integers(0, 60), max_size=10)


@given(think)
def test_think_tags_cut_anywhere_part_reasoning_from_answer(cuts: list[int]) -> None:
    text = " <think>why <b> is that</think>\n\nBecause <think> is a tag."
    result = said(answer(*pieces_of(text, [cut for cut in cuts if cut < len(text)])))
    assert result.reasoning == "why <b> is that"
    assert result.text == "Because <think> is a tag."


def test_an_answer_that_only_resembles_a_tag_is_whole() -> None:
    assert said(answer("<thi", "s> is")).text == "<this> is"


def test_an_answer_that_ends_within_a_tag_is_whole() -> None:
    assert said(answer("<thin")).text == "<thin"


def test_reasoning_without_an_end_is_reasoning() -> None:
    result = said(answer("<think>", "on and", " on</thi"))
    assert (result.reasoning, result.text) == ("on and on</thi", "")


def test_reasoning_that_looks_like_nothing_of_llama_swap_stays_reasoning() -> None:
    nameless = event({"choices": [{"delta": {"reasoning_content": "hm"}}]})
    assert said(nameless + DONE).reasoning == "hm"


def test_an_error_object_ends_the_stream() -> None:
    error = {"error": {"code": 500, "message": "Context size has been exceeded.", "type": "x"}}
    result = said(delta(content="so far") + event(error))
    assert result.text == "so far"
    assert result.error == StreamError("Context size has been exceeded.", "x", 500)


@pytest.mark.parametrize("glue", [b"", b"\n", b"data: "])
def test_a_bare_error_is_found_with_and_without_glue(glue: bytes) -> None:
    bare = b'{"src":"llama-swap","error":"it broke"}'
    result = said(delta(content="a").rstrip(b"\n") + b"\n\n" + glue + bare)
    if glue == b"data: ":
        # An unfinished line of data is no event; a whole one is.
        result = said(delta(content="a") + glue + bare + b"\n\n")
    assert isinstance(result.error, StreamError)
    assert result.error.words == "it broke"
    assert result.text == "a"


def test_an_error_glued_to_an_event_costs_the_event_nothing() -> None:
    content = delta(content="a").rstrip(b"\n") + b'{"error":"it broke"}\n\n'
    result = said(content)
    assert isinstance(result.error, StreamError)
    assert result.text == "a"


WORDS = "engine core died"
FRAMES = [
    b'error: {"code":500,"message":"engine core died","type":"server_error"}\n\n',
    b"error: engine core died\n\n",
    b'data: {"object":"error","message":"engine core died","type":"x","code":500}\n\n',
    b'event: error\ndata: {"object":"error","message":"engine core died","code":500}\n\n',
    b'event: error\ndata: {"message":"engine core died"}\n\n',
    b'event: error\ndata: {"error":{"message":"engine core died"}}\n\n',
    b"event: error\ndata: engine core died\n\n",
    b'data: {"error":{"message":"engine core died"}}\n\n',
    b'data: {"error":"engine core died"}\n\n',
    b'data: {"src":"llama-swap","error":{"message":"engine core died","type":"server_error"}}\n\n',
]


@pytest.mark.parametrize("before", ["", "Half of "])
@pytest.mark.parametrize("frame", FRAMES)
def test_an_error_in_any_shape_ends_the_answer_whatever_follows(frame: bytes, before: str) -> None:
    result = said((delta(content=before) if before else b"") + frame + delta(content="x") + DONE)
    assert isinstance(result.error, StreamError)
    assert (result.error.words, result.text, result.done) == (WORDS, before, False)


@pytest.mark.parametrize("frame", FRAMES)
def test_an_error_cut_into_single_bytes_is_the_same(frame: bytes) -> None:
    assert said(frame, range(1, len(frame))) == said(frame)


PEG = "Output does not match the expected peg-native format"


@pytest.mark.parametrize("end", [b"", DONE], ids=["without the end", "with it"])
def test_output_that_its_parser_refuses_is_an_error_and_keeps_the_text(end: bytes) -> None:
    """llama-server sends no `[DONE]` behind it: its output was no valid UTF-8."""
    frame = event({"error": {"code": 500, "message": PEG, "type": "server_error"}})
    result = said(delta(content="caf") + frame + end)
    assert isinstance(result.error, StreamError)
    assert (result.error.words, result.error.code, result.text) == (PEG, 500, "caf")
    assert not result.done


def test_a_context_that_is_full_keeps_its_kind_in_every_shape() -> None:
    words = "the request exceeds the available context size"
    fields = {"message": words, "type": "x", "code": 400}
    for frame in (
        b"error: " + json.dumps(fields).encode() + b"\n\n",
        event({"object": "error", **fields}),
        event({"error": fields}),
    ):
        assert said(frame).error == StreamError(words, "x", 400)


def test_an_error_without_words_says_that_there_are_none() -> None:
    error = said(event({"object": "error"})).error
    assert isinstance(error, StreamError)
    assert error.words == "the server gave no reason"


@pytest.mark.parametrize("data", [b"error: CUDA out of memory", b"<html>502", b"{broken"])
def test_what_cannot_be_read_is_quoted(data: bytes) -> None:
    assert data.decode() in str(said(b"data: " + data + b"\n\n").error)


def test_only_the_beginning_of_what_cannot_be_read_is_quoted() -> None:
    assert len(str(said(b"data: " + b"x" * 5000 + b"\n\n").error)) < 250


@pytest.mark.parametrize(
    ("calls", "names"),
    [
        ([{"index": 0, "function": {"name": "get_weather", "arguments": ""}}], ["get_weather"]),
        ([{"function": {"name": "a"}}, {"function": {"name": "b"}}], ["a", "b"]),
        ([{"index": 0, "function": {"arguments": "{}"}}], []),
        ([{"function": {"name": "\x1b]0;x\x07evil"}}], ["evil"]),
        ([{"function": {"name": 7}}, {"function": "x"}, 3], []),
        ("no list", []),
    ],
)
def test_tools_that_a_model_calls_are_named(calls: object, names: list[str]) -> None:
    assert said(delta(tool_calls=calls) + DONE).tools == names


def test_a_field_of_a_wrong_type_costs_nothing_else() -> None:
    odd = {"id": 7, "choices": [{"delta": {"content": "a"}}], "usage": [], "timings": "x"}
    assert said(event(odd) + DONE).text == "a"


def test_content_in_parts_is_put_together() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, {"type": "image"}]
    assert said(delta(content=parts) + DONE).text == "ab"


def test_half_of_a_surrogate_pair_is_shown_as_a_mark() -> None:
    broken = b'data: {"choices":[{"delta":{"content":"a\\ud83db"}}]}\n\n'
    assert said(broken + DONE).text == "a\N{REPLACEMENT CHARACTER}b"


def test_bytes_that_are_no_utf8_are_shown_as_marks() -> None:
    broken = b'data: {"choices":[{"delta":{"content":"a\xffb"}}]}\n\n'
    assert said(broken + DONE).text == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize("data", [b"hello", b"[1]", b"7", b"{", b"[" * 100_000])
def test_what_is_no_part_of_an_answer_is_told_after_what_came(data: bytes) -> None:
    result = said(delta(content="so far") + b"data: " + data + b"\n\n" + delta(content="more"))
    assert result.text == "so far"
    assert "is not part of a reply" in str(result.error)


def test_a_line_of_megabytes_is_told_after_what_came() -> None:
    stream, result = ChatStreamParser(largest_line=100_000), Said()
    result.add(stream.feed(delta(content="so far") + b"data: " + b"x" * 300_000))
    assert result.text == "so far"
    assert stream.error is not None


def test_an_answer_without_end_is_broken_off() -> None:
    stream, result = ChatStreamParser(longest_answer=1000), Said()
    for _ in range(50):
        result.add(stream.feed(delta(content="x" * 100)))
    assert stream.error is not None
    assert 1000 < len(result.text) < 1200


def test_nothing_after_the_end_counts() -> None:
    assert said(answer("a") + answer("b")).text == "a"


def test_tool_calls_are_left_out() -> None:
    call = delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": "{}"}}])
    result = said(call + delta(content="a") + DONE)
    assert (result.text, result.error) == ("a", None)
