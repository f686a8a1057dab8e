"""`/api/hardware` as facts: the recorded answer, cards, nonsense, refusals."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui import errors
from aitui.demo.dialect import Dialect
from aitui.demo.machine_facts import host_facts_output
from aitui.domain.hardware.info import NATIVE, HostInfo
from aitui.domain.hardware.info_output import parse_host_info
from aitui.domain.hardware.script import host_info_command
from aitui.domain.snapshot import Server
from aitui.llamaswap.client import LlamaSwapClient
from aitui.llamaswap.hardware import MOST_ACCELERATORS, parse_hardware
from llamaswap.conftest import server_at
from llamaswap.raw_server import RawServer, always, answer
from llamaswap.recorded import recorded
from llamaswap.test_performance import JSON
from stand_in import StandIn

P40 = {
    "index": 0,
    "kind": "gpu",
    "vendor": "NVIDIA",
    "model": "Tesla P40",
    "architecture": "Pascal",
    "memory": {"kind": "dedicated", "capacity_bytes": 24 << 30},
    "driver": {"name": "NVIDIA", "version": "580.173.02"},
    "power_limit_watts": 160,
}
RADEON = {
    **P40,
    "vendor": "AMD",
    "model": None,
    "driver": {"name": "amdgpu", "version": "6.12.12"},
}


def facts(**fields: Any) -> HostInfo:
    return parse_hardware(json.dumps(fields).encode(), "GET /api/hardware")


def test_the_recorded_machine_is_told_whole() -> None:
    said = recorded("2026-08-head", "api_hardware")
    assert parse_hardware(said.body, said.endpoint) == HostInfo(
        system="Debian 12.11",
        kernel="Linux 6.18.44-fc-v595",
        architecture="x86_64",
        environment="Docker container",
        processor="Intel(R) Xeon(R) Processor",
        sockets=1,
        cores=2,
        threads=2,
        memory_bytes=25_769_402_368,
    )


def test_cards_have_their_names_and_the_driver_of_one() -> None:
    found = facts(accelerators=[RADEON, P40, P40])
    assert found.accelerators == ("AMD GPU", "Tesla P40", "Tesla P40")
    assert found.nvidia_driver == "580.173.02"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"family": "linux", "name": "ubuntu", "version": "24.04"}, "Ubuntu 24.04"),
        ({"family": "macos", "name": "darwin", "version": "15.6"}, "macOS 15.6"),
        ({"family": "linux", "name": "nixos", "version": "25.05"}, "NixOS 25.05"),
        ({"family": "linux", "name": None, "version": None}, "Linux"),
        ({"family": "other", "raw_family": "plan9"}, "Plan9"),
        ({"family": "windows", "name": "Microsoft Windows 11 Pro"}, "Microsoft Windows 11 Pro"),
    ],
)
def test_a_system_is_spelled_as_people_do(told: dict[str, object], words: str) -> None:
    assert facts(operating_system=told).system == words


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"kind": "native", "name": None}, NATIVE),
        ({"kind": "unknown", "name": None}, ""),
        ({"kind": "wsl", "name": "WSL"}, "WSL"),
        ({"kind": "virtual_machine", "name": "KVM"}, "KVM virtual machine"),
        ({"kind": "container", "name": None}, "container"),
        ({"kind": "other", "name": None, "raw_kind": "unikernel"}, "unikernel"),
    ],
)
def test_what_it_runs_in_is_told_in_words(told: dict[str, object], words: str) -> None:
    assert facts(environment=told).environment == words


@pytest.mark.parametrize(
    "nonsense", [-1, 0, 1e300, "8", None, True, [], {}, float(2**70)], ids=repr
)
def test_a_number_that_no_machine_has_is_unknown(nonsense: object) -> None:
    found = facts(
        cpu={"model": "EPYC", "socket_count": nonsense, "physical_core_count": 8},
        memory={"capacity_bytes": nonsense},
    )
    assert (found.sockets, found.memory_bytes) == (None, None)
    assert (found.processor, found.cores) == ("EPYC", 8)


@pytest.mark.parametrize("nonsense", [3, "x", None, [], [1], {"name": 5}], ids=repr)
def test_a_part_of_another_type_leaves_the_others_alone(nonsense: object) -> None:
    names = ("architecture", "operating_system", "environment", "memory", "accelerators")
    found = facts(cpu={"model": "EPYC"}, **dict.fromkeys(names, nonsense))
    assert found == HostInfo(processor="EPYC")


def test_a_name_cannot_write_to_the_terminal_and_is_no_book() -> None:
    found = facts(cpu={"model": "EPYC\x1b]0;owned\x07 \x9b31m" + "x" * 5000})
    assert "\x1b" not in found.processor
    assert len(found.processor) <= 100


def test_nobody_has_a_thousand_cards() -> None:
    assert len(facts(accelerators=[P40] * 1000).accelerators) == MOST_ACCELERATORS


@given(st.dictionaries(st.sampled_from(("operating_system", "cpu", "environment")), JSON))
def test_no_answer_is_bad_enough_to_fail(parts: dict[str, Any]) -> None:
    facts(**parts, accelerators=[parts])


@pytest.mark.parametrize("bad", [b"", b"[]", b"<html>", b"[" * 100_000, b"\xff"])
def test_something_else_is_a_bad_answer(bad: bytes) -> None:
    with pytest.raises(errors.BadResponse):
        parse_hardware(bad, "GET /api/hardware")


@pytest.mark.parametrize(
    ("status", "words"), [(404, "404 page not found"), (503, "hardware detection unavailable")]
)
async def test_a_server_that_cannot_tell_does_not_support_it(status: int, words: str) -> None:
    async with (
        RawServer(always(answer(words, status))) as there,
        LlamaSwapClient(server_at(there.url)) as client,
    ):
        with pytest.raises(errors.NotSupported):
            await client.host_info()


async def test_a_busy_proxy_is_not_taken_for_a_server_that_cannot_tell() -> None:
    async with (
        RawServer(always(answer("{}", 503))) as there,
        LlamaSwapClient(server_at(there.url)) as client,
    ):
        with pytest.raises(errors.AituiError) as refused:
            await client.host_info()
    assert not isinstance(refused.value, errors.NotSupported)


@pytest.mark.parametrize("stand_in", [Dialect.HEAD], indirect=True)
async def test_the_stand_in_is_the_same_machine_by_both_ways(
    stand_in: StandIn, server: Server
) -> None:
    async with LlamaSwapClient(server) as client:
        told = await client.host_info()
    own = parse_host_info(
        host_facts_output(host_info_command()[2], stand_in.cards.cards).encode(), 1e9
    )
    for name in ("kernel", "architecture", "processor", "cores", "threads", "memory_bytes"):
        assert getattr(told, name) == getattr(own, name)
    assert told.nvidia_driver == own.nvidia_driver == "580.142"
    assert told.environment == own.environment == NATIVE
    assert own.booted_at is not None
    assert all(name.startswith("NVIDIA") for name in told.accelerators)
