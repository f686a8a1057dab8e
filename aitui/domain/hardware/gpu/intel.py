"""Intel: what the kernel's i915 and xe report.

That is the size of the memory alone, and the power if the kernel is new. What is used is what the
processes that can be seen hold, so it may be less than the truth.
"""

import re
from collections.abc import Iterable

from msgspec.structs import replace

from aitui.domain.hardware.gpu.drm import SENSOR_FILES, DrmCard, DrmClient, build_card, read_bytes
from aitui.domain.hardware.gpu.probe import GpuOutput, GpuReading, GpuVendor, read_kernel_cards
from aitui.domain.hardware.sample import Gpu

VENDOR = GpuVendor("Intel", re.compile(r"intel|\barc\b", re.IGNORECASE), back_ends=("SYCL",))
SCRIPT = ""
DRIVERS: tuple[str, ...] = ("i915", "xe")
FILES: tuple[str, ...] = (
    "device/tile*/physical_vram_size_bytes",
    "lmem_total_bytes",
    "lmem_avail_bytes",
    *SENSOR_FILES,
)


def read(output: GpuOutput) -> GpuReading:
    """Find the cards among those of the kernel's drivers."""
    return read_kernel_cards(output, DRIVERS, build_gpu)


def build_gpu(card: DrmCard, clients: Iterable[DrmClient], at: float) -> Gpu:
    """Read a card; one without memory of its own works in the machine's."""
    gpu = build_card(card, VENDOR.name, at)
    own = [client for client in clients if client.bus == card.bus]
    total = read_bytes(card, "physical_vram_size_bytes") or read_bytes(card, "lmem_total_bytes")
    if not total:
        shared = sum(client.total_bytes for client in own)
        return replace(gpu, used_bytes=shared or None, unified=True)
    free = read_bytes(card, "lmem_avail_bytes")
    used = sum(client.own_bytes for client in own) if free is None else max(total - free, 0)
    return replace(gpu, total_bytes=total, used_bytes=min(used, total))
