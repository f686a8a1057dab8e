"""AMD: what the kernel's amdgpu reports.

`mem_info_vram_*` and `mem_info_gtt_*` are bytes of the card's memory and of the window to the
machine's. A discrete card names the vendor of its memory and how busy that is; only one in a
processor has the voltage of the northbridge, `in1_input` (kernel, `amdgpu_pm.c` and
`amdgpu_vram_mgr.c`).
"""

import re
from collections.abc import Iterable

from msgspec.structs import replace

from aitui.domain.hardware.gpu.drm import SENSOR_FILES, DrmCard, DrmClient, build_card, read_bytes
from aitui.domain.hardware.gpu.probe import GpuOutput, GpuReading, GpuVendor, read_kernel_cards
from aitui.domain.hardware.sample import Gpu

VENDOR = GpuVendor(
    "AMD",
    re.compile(r"\bamd\b|radeon|instinct", re.IGNORECASE),
    back_ends=("ROCM", "HIP"),
    variables=("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
)
SCRIPT = ""
DRIVERS: tuple[str, ...] = ("amdgpu",)
FILES: tuple[str, ...] = (
    "device/mem_info_vram_total",
    "device/mem_info_vram_used",
    "device/mem_info_gtt_total",
    "device/mem_info_gtt_used",
    "device/mem_info_vram_vendor",
    "device/mem_busy_percent",
    "device/gpu_busy_percent",
    "device/product_name",
    "device/hwmon/hwmon*/in1_input",
    *SENSOR_FILES,
)

_UNIFIED_RATIO = 2


def read(output: GpuOutput) -> GpuReading:
    """Find the cards among those of the kernel's drivers."""
    return read_kernel_cards(output, DRIVERS, build_gpu)


def build_gpu(card: DrmCard, _clients: Iterable[DrmClient], at: float) -> Gpu:
    """Read a card. One in a processor works in both its own memory and the machine's."""
    gpu = build_card(card, VENDOR.name, at)
    total, used = read_bytes(card, "mem_info_vram_total"), read_bytes(card, "mem_info_vram_used")
    window = read_bytes(card, "mem_info_gtt_total")
    in_window = read_bytes(card, "mem_info_gtt_used")
    if window is not None and _is_integrated(card, total or 0, window):
        both = None if used is None and in_window is None else (used or 0) + (in_window or 0)
        return replace(gpu, total_bytes=(total or 0) + window, used_bytes=both, unified=True)
    return replace(gpu, total_bytes=total or None, used_bytes=used if total else None)


def _is_integrated(card: DrmCard, own: int, window: int) -> bool:
    """Whether it is part of a processor: by files that only one kind has, else by the sizes.

    Old kernels have none of these files, and a discrete card's window may be half of the machine's
    memory.
    """
    memory_vendor = card.values.get("mem_info_vram_vendor", "")
    if (memory_vendor and memory_vendor != "unknown") or "mem_busy_percent" in card.values:
        return False
    return "in1_input" in card.values or window >= own * _UNIFIED_RATIO
