"""Start-up logs: the recorded ones, those of other versions and devices, and anything else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.demo.fake_flags import FakeFlags
from aitui.demo.log_ring import ServerLog
from aitui.demo.upstream_log import UpstreamLog
from aitui.domain.memory.start_up import StartupLogReader, StartupMemory
from domain.memory.files import RECORDED, RECORDED_10605

MIB = 1 << 20
LOG = (RECORDED / "startup-log.txt").read_text()
STARTS = {
    part.splitlines()[0].strip(): part.splitlines()
    for part in re.split("^#{8,}", LOG, flags=re.MULTILINE)[1:]
}


def told(*lines: str) -> StartupMemory:
    found = StartupLogReader().feed_all(lines).memory
    assert found is not None
    return found


def test_the_weights_cache_and_buffers_are_told_by_device() -> None:
    found = told(*STARTS["big, -lv 4"])
    by_name = {device.name: device for device in found.devices}
    assert by_name["AMX"].weights / MIB == pytest.approx(393.31)
    assert by_name["CPU_Mapped"].weights / MIB == pytest.approx(370.25)
    assert by_name["CPU"].cache == 2048 * MIB
    assert by_name["CPU"].compute / MIB == pytest.approx(56.51 + 0.01)
    assert found.context_size == 32768


def test_pages_of_the_file_are_not_counted() -> None:
    found = told(*STARTS["big, -lv 4"])
    assert found.gpu_bytes == 0
    assert found.host_bytes / MIB == pytest.approx(393.31 + 2048 + 56.52)
    assert found.weights_bytes / MIB == pytest.approx(393.31)
    assert found.cache_bytes == 2048 * MIB


def test_a_larger_context_takes_a_larger_cache() -> None:
    found = told(*STARTS["big, -lv 4, no --ctx-size (default 0 = from model, fitted)"])
    assert found.cache_bytes == 16_384 * MIB
    assert found.context_size == 262_144


@pytest.mark.parametrize(
    "start", ["tiny-a, -lv 4 --log-jsonl", "tiny-a, --no-log-prefix --no-log-timestamps -lv 4"]
)
def test_other_forms_of_the_log_say_the_same(start: str) -> None:
    assert told(*STARTS[start]).devices == told(*STARTS["tiny-a, -lv 4"]).devices


def test_json_lines_tell_the_projection_at_the_usual_verbosity() -> None:
    found = told(*STARTS["tiny-a, --log-jsonl at default verbosity"])
    assert (found.cache_bytes, found.compute_bytes) == (16 * MIB, 33 * MIB)


def test_the_usual_verbosity_says_nothing() -> None:
    lines = STARTS["big, default verbosity (3), cold page cache"]
    assert StartupLogReader().feed_all(lines).memory is None


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("slot         init: id  0 | task -1 | new slot n_ctx_slot = 4096", 4096),
        ("slot operator(): id  3 | task 0 | new prompt, n_ctx_slot = 8192, n_keep = 0", 8192),
        ("load_model: initializing, n_slots = 4, n_ctx_slot = 99999999999999", 0),
        ("llama_context: n_ctx = 4096", 0),
    ],
)
def test_the_size_of_a_slot_stands_in_lines_of_all_builds(line: str, size: int) -> None:
    assert StartupLogReader().feed_all([line]).slot_size == size


def test_the_size_of_a_slot_is_that_of_the_last_start_at_any_verbosity() -> None:
    usual, verbose = STARTS["big, default verbosity (3), cold page cache"], STARTS["tiny-a, -lv 4"]
    newer = (RECORDED_10605 / "four-runs-in-one-log.txt").read_text().splitlines()[:180]
    assert StartupLogReader().feed_all(usual).slot_size == 32768
    assert StartupLogReader().feed_all([*usual, *newer]).slot_size == 4096
    assert StartupLogReader().feed_all([*newer, *verbose]).slot_size == 32768
    assert StartupLogReader().feed_all([*usual, *newer[:3]]).slot_size == 0


def test_only_the_last_start_counts() -> None:
    found = told(*STARTS["big, -lv 4"], *STARTS["tiny-a, -lv 4"])
    assert found.cache_bytes == 16 * MIB


def test_runs_of_build_10605_are_not_added_up() -> None:
    lines = (RECORDED_10605 / "four-runs-in-one-log.txt").read_text().splitlines()
    assert StartupLogReader().feed_all(lines).memory is None
    second = next(n for n, line in enumerate(lines) if "verbosity = 3" in line)
    found = told(*lines[:second])
    assert found.bytes_with_file / MIB == pytest.approx(3.75 + 4.01 + 2 + 10.76 + 0.02)


@pytest.mark.parametrize("first_lines", [True, False])
def test_loads_on_the_stand_in_are_not_added_up(first_lines: bool) -> None:
    ring, flags = ServerLog(), FakeFlags("llama-server", "a")
    log, found = UpstreamLog(ring), []
    for _ in range(3):
        log.restart()
        log.log_start(flags)
        log.log_allocation(flags, {})
        lines = ring.history.splitlines()
        if not first_lines:
            lines = [line for line in lines if "common_params_print_info" not in line]
        found.append(told(*lines))
    assert found[0] == found[1] == found[2]


def test_builds_of_2024_are_understood() -> None:
    # As reported in ggml-org/llama.cpp pull request 6122 (MIT).
    found = told(
        "llm_load_tensors:        CPU buffer size =  1640.62 MiB",
        "llm_load_tensors:      CUDA0 buffer size =  5434.38 MiB",
        "llm_load_tensors:      CUDA1 buffer size = 13989.53 MiB",
        "llama_new_context_with_model: n_ctx      = 4096",
        "llama_kv_cache_init:      CUDA0 KV buffer size =  1536.00 MiB",
        "llama_kv_cache_init:      CUDA1 KV buffer size =  3584.00 MiB",
        "llama_new_context_with_model: KV self size  = 5120.00 MiB, K (f16): 2560.00 MiB",
        "llama_new_context_with_model:  CUDA_Host  output buffer size =     1.95 MiB",
        "llama_new_context_with_model:      CUDA0 compute buffer size =   672.01 MiB",
    )
    assert found.gpu_bytes / MIB == pytest.approx(5434.38 + 13989.53 + 5120 + 672.01)
    assert found.host_bytes / MIB == pytest.approx(1640.62 + 1.95)
    assert found.context_size == 4096


def test_the_states_of_recurrent_layers_count_as_cache() -> None:
    # As reported in ggml-org/llama.cpp pull request 23792 (MIT).
    found = told(
        "[47161] 0.15.050.780 I llama_memory_recurrent:     Meta() RS buffer size =   149.62 MiB"
    )
    assert found.cache_bytes / MIB == pytest.approx(149.62)
    assert found.devices[0].is_gpu


def test_colors_do_not_hide_a_line() -> None:
    line = "\x1b[34m0.00.1\x1b[0m \x1b[32mI \x1b[0mllama_kv_cache:      CUDA0 KV buffer size =   182.75 MiB"
    assert told(line).cache_bytes / MIB == pytest.approx(182.75)


def test_caches_of_one_device_add_up_and_buffers_reserved_again_do_not() -> None:
    found = told(
        "llama_kv_cache:      CUDA0 KV buffer size =   100.00 MiB",
        "llama_kv_cache:      CUDA0 KV buffer size =    20.00 MiB",
        "sched_reserve:      CUDA0 compute buffer size =    50.00 MiB",
        "sched_reserve:      CUDA0 compute buffer size =    70.00 MiB",
    )
    assert found.cache_bytes == 120 * MIB
    assert found.compute_bytes == 70 * MIB


def test_a_breakdown_tells_each_device() -> None:
    # As reported in ollama/ollama pull request 16031 (MIT).
    begin = "common_memory_breakdown_print: | "
    found = told(
        begin
        + "memory breakdown [MiB] | total    free     self   model   context   compute    unaccounted |",
        begin
        + "  - CUDA0 (RTX 5090)   | 32606 = 30991 + ( 4205 =     0 +       0 +    4205) +       -2590 |",
        begin
        + "  - CUDA1 (RTX 3090)   | 24575 = 23332 + (17829 =  1177 +   15360 +    1292) +      -16586 |",
        begin
        + "  - Host               |                  25094 =  1502 +   21504 +    2088                |",
    )
    by_name = {device.name: device for device in found.devices}
    assert by_name["CUDA0"].total == 4205 * MIB
    assert by_name["CUDA1"].cache == 15_360 * MIB
    assert found.gpu_bytes == (4205 + 17_829) * MIB
    assert found.host_bytes == 25_094 * MIB


def test_the_buffers_that_were_made_count_for_more_than_the_projection() -> None:
    assert told(*STARTS["big, -lv 4"]).weights_bytes / MIB == pytest.approx(393.31)


PIECES = st.sampled_from(
    [
        "llama_kv_cache: ",
        "CUDA0 ",
        "KV ",
        "buffer size = ",
        "99999999999999.00 MiB",
        "12.5 MiB",
        "n_ctx = ",
        "4096",
        "| - ",
        "Host |",
        " 1 = 2 + 3 + 4",
        "{",
        '"msg":',
        '"type":"fit_memory_breakdown","data":{"rows":[{"name":3}]}}',
        "llama_server: initializing",
    ]
)


@given(st.lists(st.lists(PIECES | st.text(max_size=12), max_size=8).map("".join), max_size=20))
def test_anything_may_stand_in_a_log(lines: list[str]) -> None:
    found = StartupLogReader().feed_all(lines).memory
    if found is not None:
        assert found.gpu_bytes >= 0
        assert found.host_bytes >= 0


def test_a_log_of_countless_devices_is_bounded() -> None:
    lines = [f"x:  DEV{number} model buffer size = 1.00 MiB" for number in range(5000)]
    assert len(told(*lines).devices) < 100
