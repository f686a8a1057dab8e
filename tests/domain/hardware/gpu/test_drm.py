"""Cards and clients of the kernel's drivers: amdgpu, xe, i915."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.hardware.gpu.drm import (
    DrmCard,
    DrmClient,
    card_uses,
    parse_cards,
    parse_clients,
)
from aitui.domain.hardware.gpu.probe import GpuOutput, Sections
from aitui.domain.hardware.gpu.vendors import PROBES
from aitui.domain.hardware.sample import Gpu
from domain.hardware.recorded_outputs import output

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def found(name: str) -> tuple[DrmClient, ...]:
    return parse_clients(output(name).splitlines())


def build_gpu(one: DrmCard, others: tuple[DrmClient, ...], at: float) -> Gpu | None:
    output = GpuOutput(Sections({}), (one,), others, None, at)
    return next((gpu for probe in PROBES for gpu in probe.read(output).gpus), None)


def card(text: str, others: tuple[DrmClient, ...] = ()) -> Gpu | None:
    (one,) = parse_cards(text.splitlines())
    return build_gpu(one, others, 7.0)


def test_an_old_amdgpu_tells_one_figure_a_region() -> None:
    (client,) = found("fdinfo-amdgpu-old.txt")
    assert client == DrmClient(2217, "0000:08:00.0", "217", 2068 * KIB, 8192 * KIB)


def test_resident_memory_counts_for_more_than_what_was_asked_for() -> None:
    own = {client.pid: client.own_bytes for client in found("fdinfo-xe.txt")}
    assert own == {300: 16_000 * MIB, 301: 23_992 * KIB}


def test_two_descriptors_of_one_client_count_once() -> None:
    assert [client.client for client in found("fdinfo-xe.txt")] == ["20", "3"]


def test_a_client_that_two_processes_share_counts_once() -> None:
    text = output("fdinfo-xe.txt")
    inherited = text.replace("/proc/300/", "/proc/9000/")
    assert parse_clients((text + inherited).splitlines()) == found("fdinfo-xe.txt")


def test_clients_of_two_cards_may_have_the_same_number() -> None:
    text = output("fdinfo-xe.txt")
    other = text.replace("0000:03:00.0", "0000:04:00.0").replace("/proc/30", "/proc/31")
    assert len(parse_clients((text + other).splitlines())) == 4


def test_i915_calls_its_own_memory_local_and_leaves_out_what_is_stolen() -> None:
    (client,) = found("fdinfo-i915.txt")
    assert (client.own_bytes, client.shared_bytes) == (2_698_140 * KIB, 520 * KIB)


LINE = st.sampled_from(
    [
        "/proc/1/fdinfo/2:drm-client-id:\t4",
        "/proc/1/fdinfo/2:drm-pdev:\t0000:03:00.0",
        "/proc/1/fdinfo/3:drm-total-vram0:\t99999999999999999999 GiB",
        "/proc/1/fdinfo/3:drm-resident-vram:\t-4 KiB",
        "/proc/1/fdinfo/4:drm-memory-vram:\t12 parsecs",
        "/proc/99999999999/fdinfo/4:drm-memory-vram:\t12 KiB",
        "/proc/1/fdinfo/2:drm-memory-vram: ٣ KiB",
        "grep: /proc/7/fdinfo: Permission denied",
    ]
)


@given(st.lists(LINE | st.text(max_size=40)))
def test_broken_lines_are_never_figures_beyond_belief(lines: list[str]) -> None:
    for client in parse_clients(lines):
        assert 0 <= client.own_bytes <= 1 << 53
        assert 0 <= client.shared_bytes <= 1 << 53


RADEON = """\
card 1
DRIVER=amdgpu
PCI_ID=1002:744C
PCI_SLOT_NAME=0000:08:00.0
mem_info_vram_total 25753026560
mem_info_vram_used 10737418240
mem_info_gtt_total 33570131968
mem_info_gtt_used 16777216
gpu_busy_percent 42
temp1_input 51000
temp3_input 66000
power1_average 133000000
power1_cap 315000000
freq1_input 2371000000
current_link_speed 16.0 GT/s PCIe
current_link_width 16
pwm1 102
"""


def test_a_radeon_has_its_own_memory() -> None:
    gpu = card(RADEON)
    assert gpu is not None
    assert (gpu.total_bytes, gpu.used_bytes) == (25_753_026_560, 10 * GIB)
    assert not gpu.unified
    assert (gpu.use_percent, gpu.temperature, gpu.memory_temperature) == (42, 51, 66)
    assert (gpu.power, gpu.power_limit, gpu.clock, gpu.link) == (133, 315, 2371, "4.0 ×16")
    assert gpu.fan_percent == pytest.approx(40)
    assert (gpu.bus, gpu.sampled_at, gpu.name) == ("0000:08:00.0", 7.0, "AMD 1002:744C")


@pytest.mark.parametrize("sign", ["mem_info_vram_vendor samsung", "mem_busy_percent 3"])
def test_a_radeon_in_a_machine_with_much_memory_is_still_one_of_its_own(sign: str) -> None:
    gpu = card(f"{RADEON.replace('33570131968', '67140263936')}{sign}\n")
    assert gpu is not None
    assert not gpu.unified
    assert gpu.total_bytes == 25_753_026_560


def test_a_processor_with_much_memory_set_apart_is_known_by_its_voltage() -> None:
    large = "mem_info_vram_total 103079215104\nmem_info_gtt_total 16106127360\n"
    head = "card 0\nDRIVER=amdgpu\nPCI_SLOT_NAME=0000:c5:00.0\nmem_info_vram_vendor unknown\n"
    gpu = card(f"{head}{large}in1_input 712\n")
    assert gpu is not None
    assert gpu.unified
    assert gpu.total_bytes == 103_079_215_104 + 16_106_127_360


def test_a_process_holds_what_is_in_the_card_s_own_memory() -> None:
    others = found("fdinfo-amdgpu-old.txt")
    gpu = card(RADEON, others)
    assert gpu is not None
    (use,) = card_uses(gpu, others)
    assert (use.gpu, use.pid, use.used_bytes) == (gpu.key, 2217, 2068 * KIB)


UNIFIED = """\
card 0
DRIVER=amdgpu
PCI_SLOT_NAME=0000:c5:00.0
product_name AMD Radeon 890M
mem_info_vram_total 536870912
mem_info_vram_used 519950336
mem_info_gtt_total 24696061952
mem_info_gtt_used 14810259456
power1_input 21000000
"""


def test_a_card_that_works_in_the_machine_s_memory_counts_both() -> None:
    others = found("fdinfo-amdgpu-unified.txt")
    gpu = card(UNIFIED, others)
    assert gpu is not None
    assert gpu.unified
    assert gpu.total_bytes == 536_870_912 + 24_696_061_952
    assert gpu.used_bytes == 519_950_336 + 14_810_259_456
    assert (gpu.name, gpu.power) == ("AMD Radeon 890M", 21)
    (use,) = card_uses(gpu, others)
    assert use.used_bytes == (25_258_000 + 5348) * KIB


def test_a_battlemage_is_used_by_no_less_than_its_clients() -> None:
    text = "card 0\nDRIVER=xe\nPCI_SLOT_NAME=0000:03:00.0\nphysical_vram_size_bytes 34225520640\n"
    gpu = card(text, found("fdinfo-xe.txt"))
    assert gpu is not None
    assert gpu.total_bytes == 34_225_520_640
    assert gpu.used_bytes == 16_000 * MIB + 23_992 * KIB


def test_an_integrated_card_has_no_size_of_its_own() -> None:
    gpu = card("card 0\nDRIVER=i915\nPCI_SLOT_NAME=0000:00:02.0\n")
    assert gpu is not None
    assert gpu.unified
    assert gpu.total_bytes is None


@pytest.mark.parametrize("driver", ["nvidia", "nouveau", "ast", "virtio-pci", ""])
def test_cards_of_other_drivers_have_their_own_tools_or_none(driver: str) -> None:
    assert card(f"card 0\nDRIVER={driver}\nPCI_SLOT_NAME=0000:01:00.0\n") is None


def test_a_driver_that_tells_nothing_makes_everything_unknown() -> None:
    gpu = card("card 0\nDRIVER=amdgpu\nmem_info_vram_total garbage\ngpu_busy_percent \n")
    assert gpu is not None
    assert (gpu.total_bytes, gpu.used_bytes, gpu.use_percent, gpu.power) == (None,) * 4


@given(st.lists(st.text(max_size=30) | st.sampled_from(RADEON.splitlines())))
def test_broken_files_do_no_harm(lines: list[str]) -> None:
    for one in parse_cards(lines):
        gpu = build_gpu(one, (), 0.0)
        assert gpu is None or gpu.used_bytes is None or gpu.used_bytes >= 0
