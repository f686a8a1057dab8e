"""The words of a filter, what a capture says, and what requests did while models came and went."""

import json

import pytest

from aitui.domain.activity import ActivityFilter, ActivityKind, ActivityRow
from aitui.domain.activity_filter import describe_time, matches_active, midnight, parse_filter
from aitui.domain.capture import Capture, captured_chat, pretty_body
from aitui.domain.residency import (
    RequestSpan,
    TimeRange,
    WatchedTime,
    residency_timeline,
    view_residency,
)

NOW = 1_788_000_000.0


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("", ActivityFilter("home", since=midnight(NOW))),
        ("2h", ActivityFilter("home", since=NOW - 7200)),
        ("7d failed", ActivityFilter("home", since=NOW - 7 * 86400, status="failed")),
        ("all disconnected", ActivityFilter("home", status="499")),
        ("all 503", ActivityFilter("home", status="503")),
        ("all crashed qwen coder", ActivityFilter("home", status="502", text="qwen coder")),
        ("all model:Qwen client:phone", ActivityFilter("home", model="Qwen", client="phone")),
        ("all llama3:8b", ActivityFilter("home", text="llama3:8b")),
    ],
)
def test_words_become_a_filter(words: str, wanted: ActivityFilter) -> None:
    assert parse_filter(words, "home", NOW) == wanted


def test_the_time_of_a_filter_has_words() -> None:
    assert [describe_time(words) for words in ("", "2h x", "all")] == [
        "today",
        "last 2h",
        "all time",
    ]


def test_a_stream_is_put_together_with_reasoning_and_tool_calls_apart() -> None:
    deltas = [
        {"role": "assistant", "content": None},
        {"reasoning_content": "hm"},
        {"content": "a"},
        {"content": "b"},
        {"tool_calls": [{"index": 0, "function": {"name": "look", "arguments": '{"a"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]},
    ]
    events = [f"data: {json.dumps({'choices': [{'delta': delta}]})}" for delta in deltas]
    asked = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url"}]}
        ]
    }
    kept = Capture(1, request_body=json.dumps(asked), response_body="\n\n".join(events))
    user, reply = captured_chat(kept)
    assert user.text == "hi\n[image_url]"
    assert (reply.reasoning, reply.text, reply.calls) == ("hm", "ab", ('look({"a": 1})',))


@pytest.mark.parametrize("body", ["", "{", "[1]", '"x"', "data: {\n", '{"choices": 7}', "\x00"])
def test_a_body_of_any_kind_breaks_nothing(body: str) -> None:
    captured_chat(Capture(1, request_body=body, response_body=body))
    asked = json.dumps({"messages": [{"role": 7, "content": {"a": 1}}, None]})
    assert len(captured_chat(Capture(1, request_body=asked, response_body=body))) == 1
    assert isinstance(pretty_body(body), str)


def test_busy_cells_and_waits_follow_from_requests_and_loads() -> None:
    rows = [
        ActivityRow("home", at, "qwen", kind, seconds=seconds)
        for at, kind, seconds in (
            (100.0, ActivityKind.START, None),
            (130.0, ActivityKind.READY, 30.0),
        )
    ]
    timeline = residency_timeline(rows, [WatchedTime(0.0, 200.0)], 200.0)
    spans = [RequestSpan("qwen", "phone", 110.0, 150.0), RequestSpan("qwen", "desk", 160.0, 165.0)]
    view = view_residency(timeline, spans, TimeRange(0.0, 200.0, 20))
    assert view.busy["qwen"][11:17] == [1.0, 1.0, 1.0, 1.0, 0.0, 0.5]
    assert view.waits == {"phone": 20.0}
    assert (view.loads, view.loading_seconds) == (1, 30.0)


def test_requests_under_way_pass_by_name_and_never_by_status() -> None:
    row = ActivityRow("home", NOW, "Qwen3", ActivityKind.RUNNING, who="laptop · pi", path="/v1/x")
    passes = {
        words: matches_active(parse_filter(words, "home", NOW), row)
        for words in ("", "5m", "qwen", "client:LAPTOP", "/v1", "phone", "failed", "model:gpt")
    }
    assert [words for words, found in passes.items() if not found] == [
        "phone",
        "failed",
        "model:gpt",
    ]
