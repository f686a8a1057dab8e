"""nvidia-smi of several driver versions, its troubles, and garbage."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aitui.domain.hardware.gpu.nvidia import SCRIPT, parse_gpus, parse_uses, tool_error
from aitui.domain.hardware.sample import GpuProcessMemory
from domain.hardware.recorded_outputs import output

MIB = 1 << 20


def test_a_card_with_everything() -> None:
    (gpu,) = parse_gpus(output("nvidia-580.csv"), 5.0)
    assert gpu.name == "NVIDIA GeForce RTX 3090"
    assert (gpu.used_bytes, gpu.total_bytes) == (15005 * MIB, 24576 * MIB)
    assert (gpu.use_percent, gpu.temperature, gpu.power, gpu.fan_percent) == (0, 66, 144.11, 79)
    assert gpu.memory_temperature is None
    assert gpu.bus == "0000:07:00.0"
    assert gpu.sampled_at == 5.0
    assert not gpu.unified


MORE = (
    "0, GPU-5f0c2a9e-0000-4000-8000-000000000001, 00000000:01:00.0, 33100, 49140, 97, 71, N/A, "
    "262.1, 54, 61, 300.00, 2505, 3105, 10001, 4, 16, Enabled, 0x0000000000000044, 0, "
    "NVIDIA RTX 6000 Ada Generation"
)


def test_limits_and_health_are_read_of_drivers_that_know_them() -> None:
    (gpu,) = parse_gpus(MORE, 0.0)
    assert gpu.name == "NVIDIA RTX 6000 Ada Generation"
    assert (gpu.power, gpu.power_limit, gpu.fan_percent, gpu.bus_percent) == (262.1, 300, 54, 61)
    assert (gpu.clock, gpu.clock_limit, gpu.memory_clock) == (2505, 3105, 10001)
    assert (gpu.link, gpu.persistent, gpu.memory_errors) == ("4.0 ×16", True, 0)
    assert gpu.throttled_by == ("power", "temperature")


def test_what_a_card_without_limits_says_of_them_is_unknown() -> None:
    row = MORE.replace(
        "61, 300.00, 2505, 3105, 10001, 4, 16, Enabled, 0x0000000000000044, 0",
        ", ".join(["[N/A]"] * 10),
    )
    (gpu,) = parse_gpus(row, 0.0)
    assert (gpu.power_limit, gpu.clock, gpu.link, gpu.persistent) == (None, None, "", None)
    assert (gpu.throttled_by, gpu.memory_errors) == (None, None)


@pytest.mark.parametrize(("status", "rows"), [(0, "all"), (2, "base")])
def test_a_driver_that_does_not_know_a_field_is_asked_for_fewer(
    tmp_path: Path, status: int, rows: str
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        f"*power.limit*) echo all; exit {status} ;;\n"
        "--query-gpu=*) echo base ;;\n"
        "*) echo used ;;\n"
        "esac\n"
    )
    tool.chmod(0o755)
    head = 'section() { echo "@ $*"; }\nlimit=\n'
    done = subprocess.run(
        ["/bin/sh", "-c", head + SCRIPT],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:3] == ["@ nvidia", rows, "@ nvidia-status 0"]


def test_two_cards_are_told_apart() -> None:
    first, second = parse_gpus(output("nvidia-610-two.csv"), 0.0)
    assert (first.index, second.index) == (0, 1)
    assert first.key != second.key


@pytest.mark.parametrize("name", ["nvidia-430-not-supported.csv", "nvidia-440-not-available.csv"])
def test_what_an_old_card_cannot_tell_is_unknown(name: str) -> None:
    (gpu,) = parse_gpus(output(name), 0.0)
    assert (gpu.power, gpu.fan_percent, gpu.memory_temperature) == (None, None, None)
    assert (gpu.used_bytes, gpu.temperature, gpu.use_percent) == (0, 44, 0)


def test_a_driver_of_2020_is_understood() -> None:
    (gpu,) = parse_gpus(output("nvidia-440.csv"), 0.0)
    assert (gpu.name, gpu.power, gpu.used_bytes) == ("GeForce RTX 2080", 176.98, 812 * MIB)


def test_memory_that_a_container_may_not_see_is_unknown() -> None:
    (gpu,) = parse_gpus(output("nvidia-535-mig-container.csv"), 0.0)
    assert (gpu.used_bytes, gpu.total_bytes, gpu.use_percent) == (None, None, None)
    assert gpu.temperature == 47
    assert not gpu.unified


def test_a_card_without_memory_of_its_own_works_in_the_machine_s() -> None:
    (gpu,) = parse_gpus(output("nvidia-gb10.csv"), 0.0)
    assert gpu.unified
    assert gpu.total_bytes is None


def test_processes_hold_their_bytes() -> None:
    (use,) = parse_uses(output("nvidia-gb10-processes.csv"))
    assert use == GpuProcessMemory("GPU-14ff63f7-3db2-f0c8-0386-ee74c3102582", 114687, 19135 * MIB)


BARE = "1ec8b0f2-77aa-5d31-9c04-d20a5e6f7a10"
UNKNOWN = ", ".join(["[N/A]"] * 8)


@pytest.mark.parametrize(
    ("name", "uuid"),
    [("Orin (nvgpu)", BARE), ("NVIDIA Thor", BARE.upper()), ("Xavier (nvgpu)", f"GPU-{BARE}")],
)
def test_a_card_of_jetson_needs_no_prefix(name: str, uuid: str) -> None:
    (gpu,) = parse_gpus(f"0, {uuid}, {UNKNOWN}, {name}\n", 0.0)
    assert (gpu.name, gpu.uuid, gpu.unified) == (name, uuid, True)
    assert (gpu.used_bytes, gpu.total_bytes, gpu.bus) == (None, None, "")
    assert parse_uses(f"{uuid}, 4242, 9011\n") == (GpuProcessMemory(uuid, 4242, 9011 * MIB),)
    assert tool_error(f"0, {uuid}, {UNKNOWN}, {name}\n", 0) == ""


@pytest.mark.parametrize("uuid", ["[N/A]", "0000:01:00.0", BARE[:-1], f"{BARE}0", "GPU-"])
def test_what_is_no_uuid_is_no_card(uuid: str) -> None:
    assert parse_gpus(f"0, {uuid}, {UNKNOWN}, NVIDIA Thor\n", 0.0) == ()


def test_a_process_whose_memory_is_not_told_is_passed_over() -> None:
    assert parse_uses("GPU-1, 4711, [N/A]\nGPU-1, 4712, 100\n") == (
        GpuProcessMemory("GPU-1", 4712, 100 * MIB),
    )


def test_a_partition_is_a_card_of_its_own() -> None:
    (use,) = parse_uses("MIG-GPU-5b1c2d3e-0000-4000-8000-00000000a100/3/0, 99, 14366\n")
    assert use.gpu.startswith("MIG-")


def test_a_comma_in_a_name_does_no_harm() -> None:
    (gpu,) = parse_gpus(output("nvidia-580.csv").replace("RTX 3090", "RTX 3090, rev. 2"), 0.0)
    assert gpu.name == "NVIDIA GeForce RTX 3090, rev. 2"
    assert gpu.fan_percent == 79


@pytest.mark.parametrize("cut", range(0, 120, 7))
def test_a_line_that_is_cut_off_is_no_card_or_one_of_a_shorter_name(cut: int) -> None:
    for gpu in parse_gpus(output("nvidia-580.csv")[:cut], 0.0):
        assert gpu.fan_percent == 79


FAILED = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that "
    "the latest NVIDIA driver is installed and running.\n"
)
MISMATCH = (
    "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 535.161\n"
)
CORRUPTED = "WARNING: infoROM is corrupted at gpu 0000:07:00.0\n"


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (FAILED, 9, "couldn't communicate with the NVIDIA driver"),
        (MISMATCH, 18, "Driver/library version mismatch"),
        (
            "Unable to determine the device handle for GPU 0000:01:00.0: Unknown Error\n",
            255,
            "Unable",
        ),
        ("", 1, "status 1"),
        ("", 124, "does not answer"),
        ("", 137, "does not answer"),
        ("Feld „gpu.foo“ ist ungültig\n", 2, "ungültig"),
        ("Leistung: 12 Watt\n", 0, "can't read"),
        ("\x1b]0;owned\x07boom\n", 3, "boom"),
        (output("nvidia-580.csv") + CORRUPTED, 14, "infoROM is corrupted at gpu 0000:07:00.0"),
        (CORRUPTED + output("nvidia-580.csv"), 14, "infoROM is corrupted at gpu 0000:07:00.0"),
        (output("nvidia-580.csv"), 14, "status 14"),
        (output("nvidia-580.csv") + CORRUPTED, 0, "infoROM is corrupted"),
        (
            "Unable to determine the device handle for GPU1: 0000:0A:00.0: GPU is lost.\n"
            + output("nvidia-580.csv"),
            15,
            "GPU is lost",
        ),
    ],
)
def test_a_trouble_is_told_in_its_own_words(text: str, status: int, words: str) -> None:
    said = tool_error(text, status)
    assert words in said
    assert said.startswith("nvidia-smi")
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("text", "status"),
    [("", None), ("", 0), (output("nvidia-580.csv"), 0), ("No devices were found\n", 6)],
)
def test_no_card_and_no_tool_are_no_trouble(text: str, status: int | None) -> None:
    assert tool_error(text, status) == ""


@pytest.mark.parametrize("text", [FAILED, MISMATCH])
def test_a_trouble_is_no_card(text: str) -> None:
    assert parse_gpus(text, 0.0) == ()
    assert parse_uses(text) == ()


FIELD = st.sampled_from(
    ["0", "7", "-1", "[N/A]", "1e999", "nan", "GPU-1", "", "12,5", "99999999999"]
)


@given(st.lists(st.lists(FIELD | st.text(max_size=6), max_size=12).map(", ".join)).map("\n".join))
@example("0, GPU-1, x, 1e308, 1e308, 1e9, -300, inf, nan, 1_0, y")
def test_garbage_is_never_a_figure_beyond_belief(text: str) -> None:
    for gpu in parse_gpus(text, 0.0):
        assert gpu.used_bytes is None or 0 <= gpu.used_bytes <= 1 << 52
        assert gpu.use_percent is None or 0 <= gpu.use_percent <= 100
        assert gpu.temperature is None or 0 <= gpu.temperature <= 200
    for use in parse_uses(text):
        assert use.used_bytes >= 0
