"""The merge fed with what three builds of llama-swap answered."""

import json
from pathlib import Path
from typing import Any

import pytest

from aitui.domain.merge import ModelFacts, merge_models
from aitui.domain.models import (
    ContextSize,
    ContextSource,
    ListedModel,
    Model,
    ModelKind,
    ModelStatus,
    RunningModel,
    RunState,
)

RECORDINGS = Path(__file__).parents[1] / "recordings" / "llama-swap"
BUILDS = ("v217", "v218", "2026-08-head")


def answer(build: str, name: str) -> Any:
    lines = (RECORDINGS / build / f"{name}.txt").read_text().splitlines()
    return json.loads(next(line for line in lines if line.startswith("{")))


def listed(build: str, name: str = "v1_models") -> tuple[ListedModel, ...]:
    entries = []
    for raw in answer(build, name)["data"]:
        ours = raw.get("meta", {}).get("llamaswap", {})
        kind = ModelKind(ours.get("type", "peer" if "peerID" in ours else "model"))
        entries.append(
            ListedModel(
                raw["id"],
                raw.get("name", ""),
                kind=kind,
                aliases=tuple(ours.get("aliases", ())),
                peer=ours.get("peerID", ""),
                targets=tuple(ours.get("targets", ())),
                context_length=raw.get("context_length"),
            )
        )
    return tuple(entries)


def running(build: str, name: str) -> tuple[RunningModel, ...]:
    return tuple(
        RunningModel(raw["model"], RunState(raw["state"]), raw["cmd"], raw["proxy"], raw["ttl"])
        for raw in answer(build, name)["running"]
    )


def statuses(build: str) -> tuple[ModelStatus, ...]:
    text = (RECORDINGS / build / "api_events_idle_initial.txt").read_text()
    frame = next(
        line for line in text.splitlines() if line.startswith('data:{"type":"modelStatus"')
    )
    return tuple(
        ModelStatus(
            raw["id"],
            RunState(raw["state"] or "unknown"),
            aliases=tuple(raw.get("aliases", ())),
            unlisted=raw["unlisted"],
            peer=raw["peerID"],
            context_length=raw.get("context_length"),
        )
        for raw in json.loads(json.loads(frame.removeprefix("data:"))["data"])
    )


def by_id(facts: ModelFacts) -> dict[str, Model]:
    return {model.id: model for model in merge_models(facts, (), 1.0)}


@pytest.mark.parametrize("build", BUILDS)
def test_the_list_is_complete_and_in_the_servers_order(build: str) -> None:
    entries = listed(build)
    models = merge_models(ModelFacts(entries, (), statuses(build)), (), 1.0)
    assert [model.id for model in models] == [*(entry.id for entry in entries), "hidden-embed"]


@pytest.mark.parametrize("build", BUILDS)
def test_aliases_in_the_list_are_folded(build: str) -> None:
    entries = listed(build, "noperf_v1_models_aliases_in_list")
    models = by_id(ModelFacts(entries, (), statuses(build)))
    assert not {"gpt-4o-mini", "qwen"} & set(models)
    assert set(models["qwen3-8b"].aliases) == {"gpt-4o-mini", "qwen"}


@pytest.mark.parametrize("build", BUILDS)
def test_two_running_models_are_ready_with_the_context_of_their_commands(build: str) -> None:
    models = by_id(ModelFacts(listed(build), running(build, "running_two"), statuses(build)))
    assert models["qwen3-8b"].context == ContextSize(4096, ContextSource.RUNNING_COMMAND)
    assert models["hidden-embed"].context == ContextSize(512, ContextSource.RUNNING_COMMAND)
    assert (models["qwen3-8b"].ttl, models["hidden-embed"].unlisted) == (600, True)


@pytest.mark.parametrize("build", BUILDS)
def test_peers_are_told_apart(build: str) -> None:
    models = merge_models(ModelFacts(listed(build), (), statuses(build)), (), 1.0)
    assert {model.peer for model in models if model.kind is ModelKind.PEER} == {"peer1", "deadpeer"}


@pytest.mark.parametrize("build", ["v218", "2026-08-head"])
def test_a_model_that_starts_is_starting(build: str) -> None:
    models = by_id(ModelFacts(listed(build), running(build, "running_one_starting")))
    assert [model.id for model in models.values() if model.state is RunState.STARTING] != []


def test_a_stopped_model_has_the_context_of_the_servers_metadata() -> None:
    model = by_id(ModelFacts(listed("2026-08-head")))["qwen3-8b"]
    assert model.context == ContextSize(32768, ContextSource.SERVER_METADATA)


def test_a_selector_is_told_apart() -> None:
    model = by_id(ModelFacts(listed("2026-08-head")))["warm-any"]
    assert (model.kind, model.targets) == (ModelKind.SELECTOR, ("slow-start", "qwen3-8b"))
