"""The server's JSON as values: recorded answers, and answers that nobody should send."""

import json

import pytest

from aitui.domain.models import ModelKind, RunState
from aitui.errors import BadResponse
from aitui.llamaswap import schemas as wire
from llamaswap.recorded import DIALECTS, recorded


def listed(*entries: object) -> bytes:
    return json.dumps({"data": entries}).encode()


def running(*entries: object) -> bytes:
    return json.dumps({"running": entries}).encode()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_reads_every_recorded_list_of_models(dialect: str) -> None:
    answer = recorded(dialect, "v1_models")
    models = {model.id: model for model in wire.parse_models(answer.body, answer.endpoint)}
    assert models["qwen3-8b"].name == "Qwen3 8B"
    assert models["qwen3-8b"].description == "A small thinking model"
    assert models["author/gemma-3:27b-q4"].kind is ModelKind.MODEL


def test_reads_kind_aliases_context_and_targets_of_a_new_server() -> None:
    answer = recorded("2026-08-head", "v1_models")
    models = {model.id: model for model in wire.parse_models(answer.body, answer.endpoint)}
    assert models["qwen3-8b"].aliases == ("gpt-4o-mini", "qwen")
    assert models["qwen3-8b"].context_length == 32768
    assert models["peer1/remote-llama"].kind is ModelKind.PEER
    assert models["peer1/remote-llama"].peer == "peer1"
    assert models["warm-any"].kind is ModelKind.SELECTOR
    assert models["warm-any"].targets == ("slow-start", "qwen3-8b")


def test_tells_a_peer_of_an_old_server_by_its_peer_id() -> None:
    answer = recorded("v218", "v1_models")
    models = {model.id: model for model in wire.parse_models(answer.body, answer.endpoint)}
    assert models["remote-llama"].kind is ModelKind.PEER


@pytest.mark.parametrize("dialect", DIALECTS)
def test_reads_every_recorded_list_of_running_models(dialect: str) -> None:
    answer = recorded(dialect, "running_two")
    models = {model.id: model for model in wire.parse_running(answer.body, answer.endpoint)}
    assert models["qwen3-8b"].state is RunState.READY
    assert models["qwen3-8b"].ttl == 600
    assert "--ctx-size 4096" in models["qwen3-8b"].command
    assert "\n" in models["qwen3-8b"].command


@pytest.mark.parametrize("dialect", DIALECTS)
def test_reads_an_empty_list_of_running_models(dialect: str) -> None:
    answer = recorded(dialect, "running_nothing")
    assert wire.parse_running(answer.body, answer.endpoint) == ()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_reads_every_recorded_version(dialect: str) -> None:
    answer = recorded(dialect, "api_version")
    assert wire.parse_version(answer.body, answer.endpoint).commit


def test_takes_the_id_of_a_running_model_from_either_field() -> None:
    found = wire.parse_running(running({"id": "a"}, {"model": "b"}), "GET /running")
    assert [model.id for model in found] == ["a", "b"]


def test_an_unknown_state_is_unknown_and_no_error() -> None:
    (model,) = wire.parse_running(running({"model": "a", "state": "dreaming"}), "GET /running")
    assert model.state is RunState.UNKNOWN


def test_an_unknown_kind_is_a_model() -> None:
    entry = {"id": "a", "status": {}, "meta": {"llamaswap": {"type": "swarm"}}}
    (model,) = wire.parse_models(listed(entry), "GET /v1/models")
    assert model.kind is ModelKind.MODEL


def test_a_users_own_metadata_called_type_is_no_kind() -> None:
    entry = {"id": "a", "meta": {"llamaswap": {"type": "selector", "aliases": ["x"]}}}
    (model,) = wire.parse_models(listed(entry), "GET /v1/models")
    assert (model.kind, model.aliases) == (ModelKind.MODEL, ())


@pytest.mark.parametrize("metadata", [None, 5, "x", [], {"type": []}, {"peerID": 5}, {"type": {}}])
def test_metadata_of_any_shape_is_no_error(metadata: object) -> None:
    entry = {"id": "a", "status": {}, "meta": {"llamaswap": metadata, "n_ctx": "many"}}
    (model,) = wire.parse_models(listed(entry), "GET /v1/models")
    assert model.id == "a"


@pytest.mark.parametrize("count", [-1, 0, True, "many", None, [], 1e300])
def test_a_context_length_that_is_none_is_left_out(count: object) -> None:
    entry = {"id": "a", "meta": {"n_ctx": count}}
    (model,) = wire.parse_models(listed(entry), "GET /v1/models")
    assert model.context_length is None


def test_each_id_comes_once_and_an_empty_one_not_at_all() -> None:
    found = wire.parse_models(listed({"id": "a"}, {"id": ""}, {"id": "a"}), "GET /v1/models")
    assert [model.id for model in found] == ["a"]


def test_null_for_an_empty_list_is_an_empty_list() -> None:
    assert wire.parse_running(b'{"running":null}', "GET /running") == ()


def test_hostile_text_is_cleaned() -> None:
    entry = {"model": "a", "name": "\x1b]0;evil\x07x", "cmd": "a\x1b[31m\nb"}
    (model,) = wire.parse_running(running(entry), "GET /running")
    assert (model.name, model.command) == ("x", "a\nb")


def test_a_hundred_thousand_models_are_read() -> None:
    body = listed(*({"id": f"model-{number}"} for number in range(100_000)))
    assert len(wire.parse_models(body, "GET /v1/models")) == 100_000


def test_more_models_than_can_be_are_refused() -> None:
    body = b'{"data":[' + b'{"id":"a"},' * wire.MOST_MODELS + b'{"id":"a"}]}'
    with pytest.raises(BadResponse, match="lists"):
        wire.parse_models(body, "GET /v1/models")


def test_a_field_of_the_wrong_type_is_named_with_endpoint_and_path() -> None:
    with pytest.raises(BadResponse) as caught:
        wire.parse_running(running({"model": 5}), "GET /running")
    assert "GET /running" in caught.value.what
    assert "$.running[0].model" in caught.value.why


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"7",
        b'{"running":{}}',
        b'{"running":[5]}',
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"running":' + b'[{"x":' * 100_000,
    ],
)
def test_json_that_is_none_or_something_else_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(BadResponse) as caught:
        wire.parse_running(body, "GET /running")
    assert caught.value.why


def test_html_is_said_to_be_html_with_its_title() -> None:
    page = b"<!doctype html><html><title>Router\x1b[31m login</title></html>"
    with pytest.raises(BadResponse, match="HTML, not JSON") as caught:
        wire.parse_models(page, "GET /v1/models")
    assert "Router login" in caught.value.why


ODD_ENTRIES = [
    (b'{"id":"odd","name":"\\ud83d"}', ["odd"]),
    (b'{"id":"odd","description":"\xff"}', ["odd"]),
    (b'{"id":"odd","name":7,"context_length":"many"}', ["odd"]),
    (b'{"id":"odd\\ud800"}', ["odd\N{REPLACEMENT CHARACTER}"]),
    (b'{"id":7}', []),
    (b'{"name":"no id"}', []),
    (b"[5]", []),
    (b"null", []),
]
"""An entry of a list as JSON, and the ids that are shown of it."""


@pytest.mark.parametrize(("entry", "ids"), ODD_ENTRIES)
def test_an_odd_entry_hides_no_other_model(entry: bytes, ids: list[str]) -> None:
    good = b'{"id":"good","name":"Good","context_length":4096}'
    one, *others = wire.parse_models(b'{"data":[%s,%s]}' % (good, entry), "GET /v1/models")
    assert (one.name, one.context_length, [model.id for model in others]) == ("Good", 4096, ids)
    of_running = b'{"running":[%s,%s]}' % (entry, good)
    assert [one.id for one in wire.parse_running(of_running, "GET /running")] == [*ids, "good"]
