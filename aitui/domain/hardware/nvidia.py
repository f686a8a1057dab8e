"""What `nvidia-smi` prints: cards and the processes on them, as CSV without header and units.

A field it can't tell reads `[N/A]`, `N/A`, `[Not Supported]`, `[Unknown Error]`,
`[Insufficient Permissions]` or `[GPU requires reset]`, by driver version. It prints its troubles
where the rows should be.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from aitui.domain.hardware.sample import (
    Gpu,
    memory_bytes,
    number_in_range,
    parse_number,
    percentage,
)
from aitui.domain.sanitize import sanitize_line

GPU_FIELDS = (
    "index,uuid,pci.bus_id,memory.used,memory.total,utilization.gpu,"
    "temperature.gpu,temperature.memory,power.draw,fan.speed,name"
)
PROCESS_FIELDS = "gpu_uuid,pid,used_memory"

NVIDIA_SMI_UNRESPONSIVE = "nvidia-smi does not answer"

_NO_CARDS = "No devices were found"
_MIB = 1 << 20
_MOST_ROWS = 1024
_BUS = re.compile(r"(?:[0-9A-Fa-f]{4})?([0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])")
_UUID = re.compile(r"(?:GPU|MIG)-[0-9A-Za-z/\-]{1,80}")
# Cards without memory of their own, which nvidia-smi says nothing of.
_UNIFIED = re.compile(
    r"\b(?:GB10|GH200|GB200|GB300|Jetson|Tegra|Orin|Thor|Xavier)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class GpuProcessMemory:
    """Bytes that a process holds on a card, which is told by its uuid or PCI address."""

    gpu: str
    pid: int
    used_bytes: int


def parse_gpus(text: str, at: float) -> tuple[Gpu, ...]:
    """The rows of `--query-gpu` with GPU_FIELDS; lines that are none are passed over."""
    found = (_build_gpu(fields, at) for fields in _split_rows(text, 11))
    return tuple(gpu for gpu in found if gpu is not None)


def parse_uses(text: str) -> tuple[GpuProcessMemory, ...]:
    """The rows of `--query-compute-apps` with PROCESS_FIELDS whose memory is told."""
    found: list[GpuProcessMemory] = []
    for uuid, pid_text, memory in _split_rows(text, 3):
        pid, used = parse_number(pid_text), parse_number(memory)
        size = None if used is None else memory_bytes(used, _MIB)
        if _UUID.fullmatch(uuid) and pid is not None and 0 < pid < 2**32 and size is not None:
            found.append(GpuProcessMemory(uuid, int(pid), size))
    return tuple(found)


def tool_error(text: str, status: int | None) -> str:
    """What nvidia-smi complains of, in its own words; "" where it does its work.

    `status` is its exit status, None where it isn't installed.
    """
    if status is None or _NO_CARDS in text[:4000]:
        return ""
    if status in {124, 137}:
        return NVIDIA_SMI_UNRESPONSIVE
    lines = (sanitize_line(line, 200).strip() for line in text[:4000].splitlines())
    words = next((line for line in lines if line), "")
    if status == 0:
        understood = not words or parse_gpus(text, 0.0)
        return "" if understood else f"nvidia-smi answers what aitui can't read: {words}"
    return f"nvidia-smi: {words}" if words else f"nvidia-smi ends with status {status}"


def _split_rows(text: str, count: int) -> Iterator[list[str]]:
    for line in text.splitlines()[:_MOST_ROWS]:
        fields = [field.strip() for field in line[:1000].split(",", count - 1)]
        if len(fields) == count:
            yield fields


def _build_gpu(fields: list[str], at: float) -> Gpu | None:
    index, uuid, bus, *figures, name = fields
    number = parse_number(index)
    if number is None or not 0 <= number < 1024 or not _UUID.fullmatch(uuid):
        return None
    used, total, use, temperature, hottest, power, fan = map(parse_number, figures)
    place = _BUS.fullmatch(bus)
    total_bytes = memory_bytes(total, _MIB) or None
    return Gpu(
        index=int(number),
        name=sanitize_line(name, 100),
        uuid=uuid,
        used_bytes=None if total_bytes is None else memory_bytes(used, _MIB),
        total_bytes=total_bytes,
        use_percent=percentage(use),
        temperature=number_in_range(temperature, 0, 200),
        memory_temperature=number_in_range(hottest, 0, 200) or None,
        power=number_in_range(power, 0, 100_000),
        fan_percent=percentage(fan),
        sampled_at=at,
        unified=total_bytes is None and _UNIFIED.search(name) is not None,
        bus=place[1].lower() if place else "",
    )
