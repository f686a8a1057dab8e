"""`/api/performance` as samples: recorded answers, GPUs, nonsense, refusals."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui import errors
from aitui.demo.dialect import Dialect
from aitui.domain.hardware.sample import (
    HardwareSample,
    SampleSource,
    latest_sample,
    sampling_interval,
)
from aitui.domain.snapshot import Server
from aitui.llamaswap.client import LlamaSwapClient
from aitui.llamaswap.hardware import monitor_disabled_error, parse_samples, performance_path
from catalogue import QUICK
from llamaswap.conftest import server_at
from llamaswap.raw_server import RawServer, always, answer
from llamaswap.recorded import DIALECTS, recorded
from stand_in import StandIn

MIB = 1 << 20
GPU = {
    "timestamp": "2026-11-22T10:50:53.5Z",
    "id": 0,
    "name": "NVIDIA GeForce RTX 4090",
    "uuid": "GPU-1",
    "temp_c": 51,
    "vram_temp_c": 0,
    "gpu_util_pct": 97,
    "mem_util_pct": 83.3,
    "mem_used_mb": 20480,
    "mem_total_mb": 24564,
    "fan_speed_pct": 0,
    "power_draw_w": 311.2,
}


def body(gpus: object, machines: object = None) -> bytes:
    return json.dumps({"gpu_stats": gpus, "sys_stats": machines}).encode()


def only(gpu: dict[str, Any]) -> HardwareSample:
    (sample,) = parse_samples(body([gpu]), "GET /api/performance")
    return sample


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_machine_without_gpus_has_its_processors_and_memory(dialect: str) -> None:
    answer = recorded(dialect, "api_performance")
    found = parse_samples(answer.body, answer.endpoint)
    last = found[-1]
    assert len(found) > 5
    assert last.gpus == ()
    assert last.source is SampleSource.SERVER
    assert last.machine is not None
    assert last.machine.memory_total == 24105 * MIB
    assert len(last.machine.cores) == 2
    assert last.machine.load is not None
    assert "eth0" in {interface.name for interface in last.machine.network}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_samples_come_the_oldest_first_and_as_far_apart_as_the_server_takes_them(
    dialect: str,
) -> None:
    answer = recorded(dialect, "api_performance")
    found = parse_samples(answer.body, answer.endpoint)
    moments = [sample.at for sample in found]
    assert moments == sorted(moments)
    assert sampling_interval(found) == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_sample_that_is_known_already_is_left_out(dialect: str) -> None:
    answer = recorded(dialect, "api_performance_after")
    first, *others = parse_samples(answer.body, answer.endpoint)
    assert parse_samples(answer.body, answer.endpoint, first.at) == tuple(others)
    assert parse_samples(answer.body, answer.endpoint, (first, *others)[-1].at) == ()


def test_the_moment_asked_for_is_in_the_form_that_the_server_reads() -> None:
    at = datetime(2026, 11, 22, 10, 50, 53, 312425, UTC).timestamp()
    assert performance_path(at) == "/api/performance?after=2026-11-22T10:50:53.312425Z"
    assert performance_path(None) == "/api/performance"


def test_a_gpu_has_its_memory_in_bytes() -> None:
    (gpu,) = only(GPU).gpus
    assert (gpu.name, gpu.uuid, gpu.index) == ("NVIDIA GeForce RTX 4090", "GPU-1", 0)
    assert (gpu.used_bytes, gpu.total_bytes) == (20480 * MIB, 24564 * MIB)
    assert gpu.free_bytes == 4084 * MIB
    assert (gpu.use_percent, gpu.temperature, gpu.power) == (97, 51, 311.2)


def test_zero_is_what_the_server_writes_for_what_it_does_not_know() -> None:
    (gpu,) = only({**GPU, "mem_total_mb": 0, "mem_used_mb": 0, "power_draw_w": 0}).gpus
    assert gpu.memory_temperature is None
    assert gpu.fan_percent is None
    assert gpu.power is None
    assert (gpu.used_bytes, gpu.total_bytes, gpu.free_bytes) == (None, None, None)


def test_an_idle_gpu_is_in_use_by_zero_percent() -> None:
    (gpu,) = only({**GPU, "gpu_util_pct": 0}).gpus
    assert gpu.use_percent == 0


@pytest.mark.parametrize("nonsense", [-1, 1e300, "12", None, True, [], {}, float(2**70)], ids=repr)
def test_a_figure_that_no_machine_has_is_unknown(nonsense: object) -> None:
    (gpu,) = only({**GPU, "mem_used_mb": nonsense, "temp_c": nonsense}).gpus
    assert gpu.used_bytes is None
    assert gpu.temperature is None
    assert gpu.total_bytes == 24564 * MIB


def test_a_name_cannot_write_to_the_terminal() -> None:
    (gpu,) = only({**GPU, "name": "RTX\x1b]0;owned\x07 \x9b31m" + "x" * 5000}).gpus
    assert "\x1b" not in gpu.name
    assert len(gpu.name) <= 100


def test_rows_that_were_measured_together_are_one_sample() -> None:
    second = {**GPU, "id": 1, "uuid": "GPU-2", "timestamp": "2026-11-22T10:50:53.9Z"}
    later = {**GPU, "timestamp": "2026-11-22T10:50:58.5Z"}
    machine = {"timestamp": "2026-11-22T10:50:53.1Z", "mem_total_mb": 1000, "mem_used_mb": 400}
    first, last = parse_samples(body([GPU, second, later], [machine]), "x")
    assert [gpu.uuid for gpu in first.gpus] == ["GPU-1", "GPU-2"]
    assert first.machine is not None
    assert first.machine.memory_available == 600 * MIB
    assert [gpu.uuid for gpu in last.gpus] == ["GPU-1"]


def at_second(second: int, *uuids: str) -> list[dict[str, Any]]:
    return [
        {**GPU, "id": index, "uuid": uuid, "timestamp": f"2026-11-22T10:50:{second:02}Z"}
        for index, uuid in enumerate(uuids)
    ]


def test_a_gpu_that_misses_one_sample_is_still_there() -> None:
    rows = at_second(10, "A", "B") + at_second(20, "A")
    now = latest_sample(parse_samples(body(rows), "x"))
    assert now is not None
    assert [gpu.uuid for gpu in now.gpus] == ["A", "B"]


def test_a_gpu_that_misses_two_samples_has_gone() -> None:
    rows = at_second(10, "A", "B") + at_second(20, "A") + at_second(30, "A")
    now = latest_sample(parse_samples(body(rows), "x"))
    assert now is not None
    assert [gpu.uuid for gpu in now.gpus] == ["A"]


def test_cards_and_machine_may_be_measured_at_a_rhythm_of_their_own() -> None:
    rows = at_second(10, "A") + at_second(15, "A") + at_second(20, "A")
    machines = [
        {"timestamp": f"2026-11-22T10:50:{second}Z", "mem_total_mb": 100, "mem_used_mb": 40}
        for second in (12.5, 17.5, 22.5)
    ]
    found = parse_samples(body(rows, machines), "x")
    assert len(found) == 6
    assert sampling_interval(found) == 5
    now = latest_sample(found)
    assert now is not None
    assert [gpu.uuid for gpu in now.gpus] == ["A"]
    assert now.machine is not None


def test_without_samples_there_is_no_latest_one() -> None:
    assert latest_sample(()) is None
    assert sampling_interval(()) > 1


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=2)
    ),
    max_leaves=3,
)
ROW = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys((*GPU, "net_io", "cpu_util_per_core", "load_avg_1"), JSON),
)
MOMENT = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat())


@given(st.lists(ROW, max_size=2), st.lists(ROW, max_size=2), MOMENT)
def test_no_row_is_bad_enough_to_fail(
    gpus: list[dict[str, Any]], machines: list[dict[str, Any]], moment: str
) -> None:
    rows = [{**row, "timestamp": row.get("timestamp", moment)} for row in gpus]
    for sample in parse_samples(body(rows, machines), "x"):
        for gpu in sample.gpus:
            assert gpu.used_bytes is None or gpu.used_bytes >= 0
            assert gpu.use_percent is None or 0 <= gpu.use_percent <= 100


@pytest.mark.parametrize("bad", [b"", b"[]", b'{"gpu_stats": 3}', b"<html>", b"[" * 100_000])
def test_something_else_is_a_bad_answer(bad: bytes) -> None:
    with pytest.raises(errors.BadResponse):
        parse_samples(bad, "GET /api/performance")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_monitor_that_is_turned_off_is_named(dialect: str) -> None:
    error = monitor_disabled_error(recorded(dialect, "noperf_api_performance"))
    assert error is not None
    assert "turned off" in error.why
    assert "performance.disabled" in error.remedy


async def test_a_server_without_the_endpoint_does_not_support_it() -> None:
    async with (
        RawServer(always(answer("404 page not found", 404))) as there,
        LlamaSwapClient(server_at(there.url)) as client,
    ):
        with pytest.raises(errors.NotSupported):
            await client.performance()


async def test_a_busy_proxy_is_not_taken_for_a_monitor_that_is_turned_off() -> None:
    async with (
        RawServer(always(answer("{}", 503))) as there,
        LlamaSwapClient(server_at(there.url)) as client,
    ):
        with pytest.raises(errors.AituiError) as refused:
            await client.performance()
    assert not isinstance(refused.value, errors.NotSupported)


@pytest.mark.parametrize("stand_in", list(Dialect), indirect=True)
async def test_a_model_that_is_loaded_fills_the_gpu(stand_in: StandIn, server: Server) -> None:
    async with LlamaSwapClient(server) as client:
        *_, before = await client.performance()
        await client.load(QUICK)
        async with asyncio.timeout(10):
            while used(await client.performance(before.at)) - used((before,)) != 4096 * MIB:
                await asyncio.sleep(0.05)


def used(samples: tuple[HardwareSample, ...]) -> int:
    """Bytes on all cards, as of the last sample."""
    return sum(gpu.used_bytes or 0 for gpu in samples[-1].gpus) if samples else 0
