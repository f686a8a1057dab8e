"""`aitui gpu`, for people and for scripts."""

import json
import os
from pathlib import Path

import pytest

from aitui.demo.dialect import Dialect
from catalogue import QUICK
from cli.command_line import CommandLine
from other_client import OtherClient
from stand_in import StandIn
from ui.memory.test_feed import NO_MONITOR

GIB = 1 << 30


async def test_it_names_the_card_its_models_and_where_each_figure_is_from(
    aitui: CommandLine, other: OtherClient
) -> None:
    await other.load(QUICK)
    outcome = await aitui.run("gpu")
    assert (outcome.status, outcome.err) == (0, "")
    assert "4.6 of 96.0 GB VRAM in use, measured by the server" in outcome.out
    assert "GPU 0  NVIDIA RTX PRO 6000 Blackwell" in outcome.out
    assert f"4.0 GB  {QUICK}, measured" in outcome.out
    assert "0.6 GB  other processes" in outcome.out
    assert "°C" in outcome.out
    assert " W" in outcome.out
    assert "RAM " in outcome.out


async def test_json_has_the_same_for_scripts(aitui: CommandLine, other: OtherClient) -> None:
    await other.load(QUICK)
    outcome = await aitui.run("gpu", "--json")
    assert (outcome.status, outcome.err) == (0, "")
    said = json.loads(outcome.out)
    assert said["source"] == "the server"
    assert said["total_bytes"] == 96 * GIB
    assert said["free_bytes"] == said["total_bytes"] - said["used_bytes"]
    (card,) = said["gpus"]
    (share,) = card["models"]
    assert (share["model"], share["source"]) == (QUICK, "measured")
    (model,) = said["models"]
    assert model["running"]
    assert (
        model["weights_bytes"] + model["cache_bytes"] + model["compute_bytes"] == model["gpu_bytes"]
    )
    assert said["machine"]["memory_total_bytes"] == 251 * GIB


@pytest.mark.parametrize("stand_in", [Dialect.HEAD], indirect=True)
async def test_what_the_machine_is_stands_below_it(aitui: CommandLine, stand_in: StandIn) -> None:
    outcome = await aitui.run("gpu")
    assert (outcome.status, outcome.err) == (0, "")
    assert "host  Debian 13.1 · Linux 6.12.48+deb13-amd64 · x86_64\n" in outcome.out
    assert "AMD EPYC 9354P · 1 socket · 32 cores · 32 threads · 251 GB RAM" in outcome.out
    assert "NVIDIA driver 580.142, reported by the server" in outcome.out
    outcome = await aitui.run("gpu", "--json")
    host = json.loads(outcome.out)["host"]
    assert host["system"] == "Debian 13.1"
    assert (host["sockets"], host["cores"], host["threads"]) == (1, 32, 32)
    assert host["memory_bytes"] == 251 * GIB
    assert host["environment"] == "native"
    assert host["booted_at"] is None
    assert host["accelerators"] == ["NVIDIA RTX PRO 6000 Blackwell"]
    assert host["origins"]["nvidia_driver"] == "the server"
    assert "booted_at" not in host["origins"]


async def test_where_nobody_tells_what_the_machine_is_nothing_is_made_up(
    aitui: CommandLine, stand_in: StandIn
) -> None:
    outcome = await aitui.run("gpu")
    assert "host" not in outcome.out
    assert "api/hardware" not in outcome.out
    outcome = await aitui.run("gpu", "--json")
    assert json.loads(outcome.out)["host"] is None


async def test_a_server_that_does_not_measure_is_no_failure_and_says_why(tmp_path: Path) -> None:
    async with StandIn(NO_MONITOR) as stand_in:
        alone = CommandLine(tmp_path, {"AI_SERVER_URL": stand_in.url})
        outcome = await alone.run("gpu")
    assert (outcome.status, outcome.err) == (0, "")
    assert "memory usage is not available" in outcome.out
    assert "! its performance monitor is turned off" in outcome.out


async def test_this_machine_is_asked_where_it_is_the_host(tmp_path: Path) -> None:
    async with StandIn(NO_MONITOR) as stand_in:
        alone = CommandLine(
            tmp_path, {"AI_SERVER_URL": stand_in.url, "AI_SERVER_SSH_HOST": "local"}
        )
        outcome = await alone.run("gpu", "--json")
    assert (outcome.status, outcome.err) == (0, "")
    said = json.loads(outcome.out)
    assert said["source"] == "the host"
    assert said["machine"]["memory_total_bytes"] > 0
    assert said["host"]["kernel"].startswith(os.uname().sysname)
    assert said["host"]["booted_at"] < said["at"]
    assert set(said["host"]["origins"].values()) == {"the host"}


async def test_an_unreachable_server_is_told_as_ever(aitui: CommandLine, stand_in: StandIn) -> None:
    await stand_in.stop()
    outcome = await aitui.run("gpu")
    assert outcome.status == 3
    assert outcome.out == ""
