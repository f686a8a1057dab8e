"""Slash commands as they are typed, and what completes them."""

import pytest

from aitui.domain.hardware.sample import Gpu, HardwareSample, SampleSource
from aitui.domain.memory.forecast import ModelMemory
from aitui.domain.memory.hardware_state import HardwareState
from aitui.domain.memory.measurement import Measurement, MemoryRecords
from aitui.domain.memory.usage import memory_usage
from aitui.domain.models import ContextSize, ContextSource, Model, RunState
from aitui.domain.slash import (
    SLASH_COMMANDS,
    context_sizes,
    larger_context,
    read_slash_command,
    suggest,
)
from aitui.domain.snapshot import Snapshot
from domain.memory.files import BIG, read
from domain.memory.test_forecast import SETUP

IDS = ("fast-7b", "other-3b")


@pytest.mark.parametrize(
    ("line", "name", "words"),
    [
        ("/ai-server-status", "status", []),
        ("/ai-server-refresh", "refresh", []),
        ("/ai-server-load fast-7b", "load", ["fast-7b"]),
        ("/ai-server-unload fast-7b", "unload", ["fast-7b"]),
        ("/ai-server-ctx fast-7b 65536", "ctx", ["fast-7b", "65536"]),
        ("/ai-server-preset", "preset", []),
        ("/ai-server-restart", "restart", []),
    ],
)
def test_the_seven_long_forms_are_the_short_ones(line: str, name: str, words: list[str]) -> None:
    command = read_slash_command(line)
    assert (command.name, command.words) == (name, words)


def test_ai_lists_the_seven_long_forms() -> None:
    words = ("status", "refresh", "load", "unload", "ctx", "preset", "restart")
    labels = [one.label for one in suggest("/ai", IDS)]
    assert labels[:7] == [f"/ai-server-{word}" for word in words]
    assert labels[7:] == []


def test_a_slash_lists_every_command_with_what_it_does() -> None:
    listed = suggest("/", IDS)
    assert [one.label for one in listed] == [f"/{spec.name}" for spec in SLASH_COMMANDS]
    assert all(one.help for one in listed)


def test_a_name_comes_before_words_of_what_a_command_does() -> None:
    found = suggest("/con", IDS)
    assert [one.label for one in found[:2]] == ["/continue", "/clear"]
    assert found[0].matched == (1, 2, 3)
    assert "/ctx" in [one.label for one in found[2:]]


def test_ctx_completes_ids_then_sizes() -> None:
    def sizes(model_id: str) -> tuple[tuple[str, str], ...]:
        return (("64k", ""), ("97k", f"the largest that fits {model_id}"))

    assert [one.text for one in suggest("/ctx fa", IDS, (), sizes)] == ["/ctx fast-7b "]
    assert [one.text for one in suggest("/ai-server-ctx fast-7b ", IDS, (), sizes)] == [
        "/ai-server-ctx fast-7b 64k",
        "/ai-server-ctx fast-7b 97k",
    ]
    assert [one.text for one in suggest("/ctx 9", IDS, (), sizes)] == ["/ctx 97k"]


def of_eight_gib(context_size: int) -> Snapshot:
    """A model of 5 GiB at 32k and 7 GiB at 64k on a card of 8 GiB, which another one fills."""
    other, model = (
        Model("other-3b", state=RunState.READY),
        Model("fast-7b", context=ContextSize(context_size, ContextSource.RUNNING_COMMAND)),
    )
    memory = ModelMemory(
        SETUP,
        MemoryRecords((Measurement(32_768, 5 << 30, setup=SETUP.fingerprint),)),
        read(BIG),
    )
    card = Gpu(0, "RTX", "GPU-1", 8 << 30, 8 << 30)
    usage = memory_usage(
        HardwareSample(1.0, SampleSource.SERVER, (card,)),
        [other],
        expected={other.id: Measurement(4096, 8 << 30).footprint},
    )
    return Snapshot(models=(model, other), hardware=HardwareState(usage, models={model.id: memory}))


def test_ctx_offers_sizes_with_whether_they_fit_once_the_others_are_unloaded() -> None:
    offered = dict(context_sizes(of_eight_gib(65_536), "fast-7b"))
    assert (offered["64k"], offered["128k"]) == ("now", "does not fit")
    assert list(offered.values()).count("the largest that fits") == 1
    assert context_sizes(of_eight_gib(65_536), "unknown") == ()


@pytest.mark.parametrize(("now", "offered"), [(32_768, 65_536), (65_536, 0)])
def test_twice_the_context_is_offered_if_it_fits(now: int, offered: int) -> None:
    snapshot = of_eight_gib(now)
    assert larger_context(snapshot, snapshot.models[0]) == offered
