"""Every recorded stream, cut anywhere, says the same."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aitui.domain.chat.reply import LoadProgress, LoadQueued, StreamError
from services.chat.recorded_streams import body, said, stream_names

NAMES = stream_names()
SERVER = "llama-server"
HEAD, V218, V217 = "llama-swap/2026-08-head", "llama-swap/v218", "llama-swap/v217"


@pytest.mark.parametrize("name", NAMES)
def test_cut_into_single_bytes_it_says_the_same(name: str) -> None:
    data = body(name)
    assert said(data, range(1, len(data))) == said(data)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_cut_anywhere_it_says_the_same(data: st.DataObject) -> None:
    content = body(data.draw(st.sampled_from(NAMES)))
    cuts = data.draw(st.lists(st.integers(0, len(content)), max_size=40))
    assert said(content, cuts) == said(content)


def test_most_of_the_recordings_are_streams() -> None:
    assert len(NAMES) > 50


def test_the_text_is_what_the_deltas_hold() -> None:
    content = body(f"{SERVER}/chat-stream-plain.txt")
    chunks = [json.loads(line[6:]) for line in content.splitlines() if line.startswith(b"data: {")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    result = said(content)
    assert result.text == "".join(delta.get("content") or "" for delta in deltas)
    assert (result.pieces, result.finish, result.done) == (8, "length", True)


def test_timings_usage_and_progress_are_read() -> None:
    result = said(body(f"{SERVER}/chat-stream-progress-timings.txt"))
    assert result.usage is not None
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (42, 3)
    assert result.usage.cached == 41
    assert result.timings is not None
    assert (result.timings.tokens, result.timings.cached) == (3, 41)
    assert result.timings.rate == pytest.approx(9049.77, abs=0.01)
    assert result.progress is not None
    assert (result.progress.total, result.progress.share) == (42, 1.0)


def test_pings_are_no_part_of_the_answer() -> None:
    result = said(body(f"{SERVER}/stream-sse-ping-and-progress.txt"))
    assert result.done
    assert result.error is None
    assert result.text


def test_reasoning_is_told_from_the_answer() -> None:
    result = said(body(f"{SERVER}/chat-stream-reasoning-budget5.txt"))
    assert result.reasoning == " sh. a a"
    assert result.text.startswith(", for gpu mode")


def test_a_think_tag_in_the_text_begins_reasoning() -> None:
    result = said(body(f"{SERVER}/chat-stream-reasoning-format-none.txt"))
    assert result.reasoning == "\n sh. a a gpu."
    assert result.text == ""


def test_of_two_answers_only_the_first_is_taken() -> None:
    result = said(body(f"{SERVER}/chat-stream-n2.txt"))
    assert result.text == " bac spec g"


@pytest.mark.parametrize("build", [HEAD, V218, V217])
def test_loading_lines_are_no_reasoning(build: str) -> None:
    result = said(body(f"{build}/loading_chat_qwen_cold.txt"))
    assert LoadProgress("qwen3-8b") in result.loading
    assert result.reasoning == "think0 think1 think2 think3 "
    assert result.text.startswith("word0 word1")


@pytest.mark.parametrize("build", [HEAD, V218])
def test_the_place_in_the_queue_is_told_once(build: str) -> None:
    result = said(body(f"{build}/loading_queue_position_2.txt"))
    assert [told for told in result.loading if isinstance(told, LoadQueued)] == [LoadQueued(1)]


@pytest.mark.parametrize("build", [HEAD, V218, V217])
def test_a_load_that_fails_inside_the_stream_is_an_error(build: str) -> None:
    result = said(body(f"{build}/loading_chat_broken_stream.txt"))
    assert isinstance(result.error, StreamError)
    assert result.error.loading
    assert "upstream command exited prematurely" in result.error.words
    assert (result.text, result.reasoning) == ("", "")


def test_an_error_glued_to_the_next_event_is_found() -> None:
    result = said(body(f"{V218}/loading_chat_no_binary_stream.txt"))
    assert isinstance(result.error, StreamError)
    assert "no such file or directory" in result.error.words


@pytest.mark.parametrize("build", [HEAD, V218, V217])
def test_a_stream_that_was_unloaded_midway_has_no_end(build: str) -> None:
    result = said(body(f"{build}/chat_stream_unloaded_midway.txt"))
    assert not result.done
    assert result.error is None
    assert result.finish == ""
    assert result.text


@pytest.mark.parametrize("build", [HEAD, V218, V217])
@pytest.mark.parametrize("what", ["reload_sighup_chat_stream", "sigterm_chat_stream"])
def test_what_came_before_a_reload_or_a_restart_is_heard(build: str, what: str) -> None:
    result = said(body(f"{build}/{what}.txt"))
    assert result.error is None
    assert result.text or result.reasoning
    # A restart lets answers finish that run; a reload doesn't.
    assert result.done is (what.startswith("sigterm") and build != V217)
