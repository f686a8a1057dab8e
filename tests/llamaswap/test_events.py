"""Frames of the event stream as values: recorded streams of each dialect, and broken frames."""

import json
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from aitui.domain.events import (
    ActivityAdded,
    Event,
    ModelStatusChanged,
    OtherEvent,
    RequestEnded,
    RequestsCounted,
    RequestsFinished,
    RequestsListed,
    RequestUpdated,
)
from aitui.domain.models import FinishedRequest, RunState
from aitui.llamaswap.events import parse_event, read_events
from llamaswap.recorded import recorded


def frame(kind: object, data: object) -> bytes:
    return json.dumps({"type": kind, "data": json.dumps(data)}).encode()


def event(kind: object, data: object) -> Event:
    return parse_event(frame(kind, data), lambda: 1000.0)


async def replayed(dialect: str, name: str, size: int = 1000) -> list[Event]:
    async def chunks() -> AsyncIterator[bytes]:
        body = recorded(dialect, name).body
        for start in range(0, len(body), size):
            yield body[start : start + size]

    return [event async for event in read_events(chunks(), lambda: 0.0)]


@pytest.mark.parametrize(
    ("dialect", "name", "kinds"),
    [
        ("v217", "api_events_full", {ModelStatusChanged, RequestsCounted}),
        ("v218", "api_events_idle_initial", {ModelStatusChanged, RequestsCounted}),
        (
            "v218",
            "api_events_full",
            {ModelStatusChanged, RequestsCounted, RequestsFinished},
        ),
        (
            "2026-08-head",
            "api_events_idle_initial",
            {ModelStatusChanged, RequestsListed},
        ),
        (
            "2026-08-head",
            "api_events_full",
            {
                ModelStatusChanged,
                RequestsListed,
                RequestUpdated,
                RequestEnded,
                ActivityAdded,
            },
        ),
    ],
)
async def test_reads_a_recorded_stream(dialect: str, name: str, kinds: set[type]) -> None:
    found = await replayed(dialect, name)
    assert kinds <= {type(event) for event in found}
    others = Counter(event.type for event in found if isinstance(event, OtherEvent))
    assert set(others) <= {"logData", "uiConfig", "profileChanged", "metrics"}


async def test_the_size_of_the_chunks_changes_nothing() -> None:
    assert await replayed("v218", "api_events_full", 1) == await replayed(
        "v218", "api_events_full", 100_000
    )


def test_a_status_holds_state_aliases_peer_and_context() -> None:
    found = event(
        "modelStatus",
        [
            {"id": "a", "state": "starting", "aliases": ["x"], "context_length": 4096},
            {"id": "b", "state": "", "peerID": "peer1", "unlisted": True},
            {"id": "c", "state": "dreaming"},
        ],
    )
    assert isinstance(found, ModelStatusChanged)
    first, second, third = found.models
    assert (first.state, first.aliases, first.context_length) == (RunState.STARTING, ("x",), 4096)
    assert (second.state, second.peer, second.unlisted) == (RunState.STOPPED, "peer1", True)
    assert third.state is RunState.UNKNOWN


STATUS = {"id": "a", "state": "starting"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"loadingProgress": 0.37, "loadingMessage": "shard 4 of 11"},
            (None, 0.37, "shard 4 of 11"),
        ),
        ({"loadingProgress": 0}, (None, 0.0, "")),
        ({"loadingProgress": 1}, (None, 1.0, "")),
        ({"loadingProgress": 7}, (None, 1.0, "")),
        ({"readySince": "2026-10-11T07:42:05Z", "uptimeMs": 93120}, (906.88, None, "")),
        ({"loadingMessage": "\x1b[2J[b]x"}, (None, None, "[b]x")),
        ({"loadingProgress": -1, "uptimeMs": True, "loadingMessage": 5}, (None, None, "")),
        ({"loadingProgress": "0.5", "uptimeMs": None, "loadingMessage": None}, (None, None, "")),
        ({"loadingProgress": [], "uptimeMs": {}, "loadingMessage": ["x"]}, (None, None, "")),
    ],
)
def test_a_status_holds_progress_and_start(
    fields: dict[str, object], expected: tuple[float | None, float | None, str]
) -> None:
    found = event("modelStatus", [STATUS | fields])
    assert isinstance(found, ModelStatusChanged)
    (status,) = found.models
    assert (status.ready_at, status.progress, status.progress_note) == expected


def test_a_piece_of_a_log_is_another_event() -> None:
    assert event("logData", {"source": "proxy", "data": "a\x1b[31m\nb"}) == OtherEvent("logData")


def test_an_old_server_counts_requests() -> None:
    assert event("inflight", {"total": 2}) == RequestsCounted(2)


def test_an_empty_snapshot_has_no_requests() -> None:
    assert event("inflight", {"operation": "snapshot"}) == RequestsListed(())


def test_a_request_began_its_age_before_now() -> None:
    request = {
        "id": 7,
        "model": "a",
        "req_path": "/v1/chat/completions",
        "remote_ip": "192.168.2.9",
        "req_headers": {"User-Agent": "curl"},
        "resp_headers": {"Server": "llama.cpp", "X": 5},
        "resp_bytes": 10,
        "elapsed_ms": 2500,
    }
    found = event("inflight", {"operation": "upsert", "request": request})
    assert isinstance(found, RequestUpdated)
    assert (found.request.id, found.request.started) == ("7", 997.5)
    assert (found.request.client, found.request.user_agent) == ("192.168.2.9", "curl")
    assert found.request.response_headers == {"server": "llama.cpp"}


def test_a_request_that_ended_is_named_by_its_id() -> None:
    assert event("inflight", {"operation": "remove", "id": "7"}) == RequestEnded("7")


@pytest.mark.parametrize("odd", ["{}", "5", '{"id":7}', '{"id":"b\\ud800","name":1}'])
def test_an_odd_status_hides_no_other_model(odd: str) -> None:
    data = f'[{{"id":"a","state":"ready"}},{odd}]'
    found = parse_event(json.dumps({"type": "modelStatus", "data": data}).encode(), lambda: 0.0)
    assert isinstance(found, ModelStatusChanged)
    assert (found.models[0].id, found.models[0].state) == ("a", RunState.READY)


def test_rows_of_an_old_server_tell_which_model_was_used_and_when() -> None:
    rows = [
        {"model": "a", "timestamp": "1970-01-01T00:01:00.500000000Z"},
        {"model": "b", "timestamp": "0001-01-01T00:00:00Z"},
        {"model": "c", "timestamp": 5},
        {"model": ""},
    ]
    assert event("metrics", rows) == RequestsFinished(
        (FinishedRequest("a", 60.5), FinishedRequest("b"), FinishedRequest("c"))
    )


def test_a_row_of_a_new_server_is_named_by_its_id() -> None:
    assert event("activity", {"id": 4}) == ActivityAdded(4)


def test_an_unknown_type_is_another_event() -> None:
    assert event("uiConfig\x1b[31m", {"a": 1}) == OtherEvent("uiConfig")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"5",
        b'{"type":5}',
        b'{"type":"logData"}',
        b'{"type":"logData","data":5}',
        b'{"type":"logData","data":"{"}',
        b'{"type":"modelStatus","data":"[{}]"}',
        b'{"type":"inflight","data":"{}"}',
        b'{"type":"inflight","data":"{\\"operation\\":\\"upsert\\"}"}',
        b'{"type":"activity","data":"{\\"id\\":\\"x\\"}"}',
        b'{"type":"logData","data":' + b"[" * 100_000,
        b'{"type":"\xff"}',
    ],
)
def test_a_frame_that_cannot_be_read_is_another_event(data: bytes) -> None:
    assert isinstance(parse_event(data, lambda: 0.0), OtherEvent)
