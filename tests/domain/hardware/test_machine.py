"""The machine's own files, its processes, and a whole sample however broken it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.hardware.host_sample import parse_host_sample
from aitui.domain.hardware.machine import (
    CpuCounters,
    core_usage,
    parse_counters,
    parse_listeners,
    parse_machine,
    parse_port_arguments,
    parse_processes,
    with_descendants,
)
from aitui.domain.hardware.sample import SampleSource
from domain.hardware.recorded_outputs import output

KIB, MIB = 1 << 10, 1 << 20
RECORDED = output("machine.txt")


def test_a_recorded_sample_has_the_machine_s_memory_and_load() -> None:
    found = parse_host_sample(RECORDED.encode(), 100.0)
    assert found.whole
    assert found.errors == ()
    assert found.sample.source is SampleSource.HOST
    assert found.sample.gpus == ()
    there = found.sample.machine
    assert there is not None
    assert there.memory_total == 24_683_656 * KIB
    assert there.memory_used is not None
    assert 0 < there.memory_used < there.memory_total
    assert there.swap_total == 0
    assert there.load is not None
    assert "eth0" in {interface.name for interface in there.network}
    assert len(found.counters.ticks) == 2
    assert len(found.processes) > 5


def test_the_cores_are_told_from_two_samples() -> None:
    first = parse_host_sample(RECORDED.encode(), 100.0)
    assert first.sample.machine is not None
    assert first.sample.machine.cores == ()
    later = RECORDED.replace("cpu0 ", "cpu0 1")
    second = parse_host_sample(later.encode(), 105.0, first.counters)
    assert second.sample.machine is not None
    busy, idle = second.sample.machine.cores
    assert busy == 100
    assert idle == 0


def test_waiting_for_a_disk_is_idle() -> None:
    before = parse_counters(["cpu0 10 0 10 100 0 0 0 0 0 0"], 0.0)
    after = parse_counters(["cpu0 15 0 15 140 50 0 0 0 0 0"], 1.0)
    assert core_usage(before, after) == (10.0,)


def test_a_core_that_was_taken_away_leaves_the_shares_unknown() -> None:
    before = parse_counters(["cpu0 1 1 1 1 1 1 1 1", "cpu1 1 1 1 1 1 1 1 1"], 0.0)
    assert core_usage(before, parse_counters(["cpu0 2 2 2 2 2 2 2 2"], 1.0)) == ()


def test_counters_that_run_backwards_are_bounded() -> None:
    before = parse_counters(["cpu0 900 0 0 900 0 0 0 0"], 0.0)
    assert core_usage(before, parse_counters(["cpu0 100 0 0 2000 0 0 0 0"], 1.0)) == (0.0,)


def test_a_kernel_without_an_available_figure_counts_what_is_free() -> None:
    found = parse_machine(["MemTotal: 1000 kB", "MemFree: 300 kB"], "", [], (), 0.0)
    assert found.memory_used == 700 * KIB
    assert (found.swap_total, found.load, found.use_percent) == (None, None, None)


def test_caches_disks_and_sensors_are_read_where_there_are_any() -> None:
    disks = [
        "   8 0 sda 10 0 2000 5 10 0 48 5 0 10 10",
        "   8 1 sda1 10 0 2000 5 10 0 48 5 0 10 10",
        " 259 0 nvme0n1 10 0 1000 5 10 0 0 5 0 10 10",
        " 253 0 dm-0 10 0 9000 5 10 0 0 5 0 10 10",
        "nonsense",
    ]
    memory = ["MemTotal: 1000 kB", "Buffers: 10 kB", "Cached: 200 kB", "SReclaimable: 30 kB"]
    found = parse_machine(memory, "", [], (), 0.0, disks=disks, sensors=["58125", "0", "x"])
    assert found.file_cache == 240 * KIB
    assert found.disk_bytes == 512 * 3048
    assert found.temperature == 58.125
    bare = parse_machine(["MemTotal: 1000 kB"], "", [], (), 0.0)
    assert (bare.file_cache, bare.disk_bytes, bare.temperature) == (None, None, None)


def test_processes_on_cards_have_their_model_name_and_age() -> None:
    output = (
        "@aitui ticks 100 5000.5 1\n@aitui processes\n1 0 5 100 init\n"
        "41 1 10 426650 llama (deleted) server\n50 1 10 0 Xorg\n"
        "@aitui named\n9001 /proc/41/cmdline\n@aitui nvidia\n@aitui nvidia-status 0\n"
        "@aitui nvidia-processes\nGPU-1, 50, 300\nGPU-1, 41, 900\nGPU-2, 41, 100\n@aitui end\n"
    )
    first, second = parse_host_sample(output.encode(), 0.0).gpu_processes({9001: "a model"})
    assert (first.pid, first.model, first.name) == (41, "a model", "llama (deleted) server")
    assert first.cards == {"GPU-1": 900 * MIB, "GPU-2": 100 * MIB}
    assert first.seconds == 734
    assert (second.pid, second.model, second.name, second.seconds) == (50, "", "Xorg", None)


SS = """\
State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process
LISTEN 0      512        127.0.0.1:9001      0.0.0.0:*    users:(("llama-server",pid=4100,fd=7))
LISTEN 0      512             [::]:9001         [::]:*    users:(("llama-server",pid=4100,fd=8))
LISTEN 0      512                *:9002            *:*    users:(("a",pid=1,fd=3),("b",pid=2,fd=3))
LISTEN 0      128          0.0.0.0:22        0.0.0.0:*
ESTAB  0      0          127.0.0.1:9003     10.0.0.1:55   users:(("x",pid=9,fd=1))
"""


def test_listeners_are_told_by_port() -> None:
    assert parse_listeners(SS.splitlines()) == {9001: {4100}, 9002: {1, 2}}


def test_a_process_is_told_by_the_port_in_its_command() -> None:
    assert parse_port_arguments(
        ["9001 /proc/77/cmdline", "9001 /proc/78/cmdline", "x", "9001 /etc/passwd"]
    ) == {9001: {77, 78}}


def test_children_and_their_children_belong_to_a_process() -> None:
    everyone = parse_processes(["1 0 10", "10 1 5", "11 10 5", "12 11 5", "20 1 5"], 4096)
    assert with_descendants([10], everyone) == {10, 11, 12}


def test_a_circle_of_parents_ends() -> None:
    everyone = parse_processes(["1 2 1", "2 1 1"], 4096)
    assert with_descendants([1], everyone) == {1, 2}


SAMPLE = f"""\
@aitui page 4096
@aitui meminfo
MemTotal: 131072000 kB
MemAvailable: 100000000 kB
@aitui processes
4000 77 100
4100 4000 1000
4101 4100 200
5000 77 50
@aitui listening
{SS}
@aitui named
9004 /proc/5000/cmdline
9001 /proc/1/cmdline
@aitui nvidia
{output("nvidia-610-two.csv")}@aitui nvidia-status 0
@aitui nvidia-processes
GPU-4fb6ac9a-29e1-b611-4af7-b61a99e3b92d, 4100, 20000
GPU-4fb6ac9a-29e1-b611-4af7-b61a99e3b92e, 4101, 10000
GPU-4fb6ac9a-29e1-b611-4af7-b61a99e3b92d, 5000, 300
@aitui end
"""


def test_a_port_leads_to_what_its_processes_hold() -> None:
    held = parse_host_sample(SAMPLE.encode(), 0.0).usage_at_port(9001)
    assert held is not None
    assert held.pids == {4100, 4101}
    assert held.gpu_bytes == 30_000 * MIB
    assert list(held.gpus.values()) == [20_000 * MIB, 10_000 * MIB]
    assert held.resident_bytes == 1200 * 4096


def test_where_nobody_is_seen_listening_the_command_tells() -> None:
    held = parse_host_sample(SAMPLE.encode(), 0.0).usage_at_port(9004)
    assert held is not None
    assert held.gpu_bytes == 300 * MIB


def test_a_process_that_came_after_the_list_was_made_is_nobody() -> None:
    assert parse_host_sample(SAMPLE.encode(), 0.0).usage_at_port(9002) is None


def test_a_port_of_nobody_holds_nothing() -> None:
    assert parse_host_sample(SAMPLE.encode(), 0.0).usage_at_port(9999) is None


def test_a_card_without_memory_of_its_own_is_measured_by_its_processes() -> None:
    text = (
        "@aitui meminfo\nMemTotal: 125000000 kB\nMemAvailable: 90000000 kB\n"
        f"@aitui nvidia\n{output('nvidia-gb10.csv')}@aitui nvidia-status 0\n"
        f"@aitui nvidia-processes\n{output('nvidia-gb10-processes.csv')}@aitui end\n"
    )
    (gpu,) = parse_host_sample(text.encode(), 0.0).sample.gpus
    assert gpu.total_bytes == 125_000_000 * KIB
    assert gpu.used_bytes == 19_135 * MIB


def test_a_tool_that_was_cut_off_does_not_answer() -> None:
    found = parse_host_sample(b"@aitui meminfo\nMemTotal: 1000 kB\n@aitui nvidia\n", 0.0)
    assert found.errors == ("nvidia-smi does not answer",)
    assert not found.whole


def test_cards_of_two_makers_stand_side_by_side() -> None:
    text = SAMPLE.replace(
        "@aitui nvidia\n",
        "@aitui cards\ncard 0\nDRIVER=amdgpu\nPCI_SLOT_NAME=0000:c5:00.0\n"
        "mem_info_vram_total 1000000\nmem_info_vram_used 5000\n@aitui nvidia\n",
    )
    gpus = parse_host_sample(text.encode(), 0.0).sample.gpus
    assert [gpu.index for gpu in gpus] == [0, 1, 2]
    assert gpus[2].bus == "0000:c5:00.0"


@pytest.mark.parametrize(
    "processes", ["[N/A], [N/A], [N/A]\n", "6d1f0c3e-2b44-5a77-8e90-0a1b2c3d4e5f, 812, [N/A]\n"]
)
def test_memory_of_processes_that_is_not_listed_is_unknown_not_none(processes: str) -> None:
    row = f"0, 6d1f0c3e-2b44-5a77-8e90-0a1b2c3d4e5f{', [N/A]' * 8}, Orin (nvgpu)\n"
    text = (
        "@aitui meminfo\nMemTotal: 62000000 kB\nMemAvailable: 50000000 kB\n"
        f"@aitui nvidia\n{row}@aitui nvidia-status 0\n"
        f"@aitui nvidia-processes\n{processes}@aitui end\n"
    )
    found = parse_host_sample(text.encode(), 0.0)
    (gpu,) = found.sample.gpus
    assert (gpu.total_bytes, gpu.used_bytes, found.errors) == (62_000_000 * KIB, None, ())


@pytest.mark.parametrize(
    "tool",
    [
        "@aitui nvidia\nFailed to initialize NVML\n@aitui nvidia-status 9\n",
        "@aitui nvidia\n@aitui nvidia-status 124\n",
        "@aitui nvidia\nInhalt: keiner\n@aitui nvidia-status 0\n",
    ],
)
def test_a_vendors_tool_that_fails_hides_no_card_of_another(tool: str) -> None:
    text = (
        "@aitui cards\ncard 0\nDRIVER=amdgpu\nPCI_SLOT_NAME=0000:c5:00.0\n"
        "mem_info_vram_total 1000000\nmem_info_vram_used 5000\n"
        f"card 1\nDRIVER=i915\nPCI_SLOT_NAME=0000:00:02.0\n{tool}@aitui end\n"
    )
    found = parse_host_sample(text.encode(), 0.0)
    assert [gpu.bus for gpu in found.sample.gpus] == ["0000:c5:00.0", "0000:00:02.0"]
    (error,) = found.errors
    assert error.startswith("nvidia-smi")


@given(st.integers(0, len(SAMPLE)))
def test_a_sample_that_is_cut_off_keeps_what_came(length: int) -> None:
    found = parse_host_sample(SAMPLE[:length].encode(), 0.0)
    assert len(found.sample.gpus) <= 2
    assert found.whole == ("@aitui end" in SAMPLE[:length])


@given(
    st.lists(st.sampled_from(SAMPLE.splitlines()) | st.text(max_size=60)), st.binary(max_size=50)
)
def test_any_output_is_a_sample(lines: list[str], rest: bytes) -> None:
    found = parse_host_sample(
        "\n".join(lines).encode("utf-8", "replace") + rest, 0.0, CpuCounters()
    )
    held = found.usage_at_port(9001)
    assert held is None or (held.gpu_bytes >= 0 and held.resident_bytes >= 0)
    for gpu in found.sample.gpus:
        assert gpu.used_bytes is None or gpu.used_bytes >= 0


@pytest.mark.parametrize("page", ["", "x", "-1", "0", "1e99"])
def test_a_page_size_that_is_none_is_the_usual_one(page: str) -> None:
    found = parse_host_sample(f"@aitui page {page}\n@aitui processes\n7 1 2\n".encode(), 0.0)
    assert found.processes[7].resident_bytes > 0
