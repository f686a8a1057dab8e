"""Graphics cards as the kernel's drivers tell of them below `/sys/class/drm/cardN/device`.

amdgpu: `mem_info_vram_*` and `mem_info_gtt_*` in bytes, `gpu_busy_percent`, and in `hwmon` the
temperature in thousandths of a degree, the power in millionths of a watt, the fan's `pwm1` of 255.
A card of its own names the maker of its memory and how busy that is; only one in a processor has
the voltage of the northbridge, `in1_input` (kernel, `amdgpu_pm.c` and `amdgpu_vram_mgr.c`).
xe and i915 tell the size of their memory only, and their power where the kernel is new.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from aitui.domain.hardware import sample as bounds
from aitui.domain.hardware.nvidia import GpuProcessMemory
from aitui.domain.hardware.sample import Gpu
from aitui.domain.sanitize import sanitize_line

_LINE = re.compile(
    r"/proc/(?P<pid>[0-9]{1,10})/fdinfo/(?P<descriptor>[0-9]{1,10}):"
    r"drm-(?P<key>[a-z0-9\-]{1,60}):\s*(?P<value>\S{1,40})(?:\s+(?P<unit>KiB|MiB|GiB|kB))?\s*"
)
_REGION = re.compile(r"(?P<kind>total|resident|memory)-(?P<region>vram|local|gtt|system)[0-9]*")
_UNITS = {None: 1, "kB": 1 << 10, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
# Resident memory is what is really there; old kernels have one figure without saying which.
_KIND_PRIORITY = {"resident": 3, "memory": 2, "total": 1}
_OWN_MEMORY = ("vram", "local")
_MOST_DESCRIPTORS = 20_000
_LARGEST = 1 << 52


@dataclass(frozen=True, slots=True)
class DrmClient:
    """One client: bytes in the card's own memory, and in the machine's that the card works in."""

    pid: int
    bus: str
    client: str
    own_bytes: int
    shared_bytes: int


def parse_clients(lines: Iterable[str]) -> tuple[DrmClient, ...]:
    """Every client once, with the process of the smallest number that has it.

    The lines are those of `grep -H ^drm-` over the files; others are passed over.
    """
    descriptors: dict[tuple[int, int], dict[str, tuple[str, str | None]]] = {}
    for line in lines:
        found = _LINE.fullmatch(line[:300])
        if found is None:
            continue
        key = int(found["pid"]), int(found["descriptor"])
        if key in descriptors or len(descriptors) < _MOST_DESCRIPTORS:
            descriptors.setdefault(key, {})[found["key"]] = found["value"], found["unit"]
    seen: dict[tuple[str, str], DrmClient] = {}
    for (pid, _), values in sorted(descriptors.items()):
        client = _build_client(pid, values)
        before = seen.get((client.bus, client.client))
        # An old kernel names no client: then each process counts once a card.
        if before is None or _size(client) > _size(before):
            seen[client.bus, client.client] = (
                client if before is None else _with_sizes(before, client)
            )
    return tuple(seen.values())


def _build_client(pid: int, values: dict[str, tuple[str, str | None]]) -> DrmClient:
    figures: dict[str, tuple[int, int]] = {}
    for key, (value, unit) in values.items():
        region = _REGION.fullmatch(key)
        if region is None or not (value.isascii() and value.isdecimal()):
            continue
        size = min(int(value) * _UNITS[unit], _LARGEST)
        name, trusted = key.partition("-")[2], _KIND_PRIORITY[region["kind"]]
        if trusted > figures.get(name, (0, 0))[0]:
            figures[name] = trusted, size
    own = sum(size for name, (_, size) in figures.items() if name.startswith(_OWN_MEMORY))
    shared = sum(size for name, (_, size) in figures.items() if not name.startswith(_OWN_MEMORY))
    return DrmClient(
        pid=pid,
        bus=values.get("pdev", ("", None))[0].lower(),
        client=values.get("client-id", (f"of process {pid}", None))[0],
        own_bytes=own,
        shared_bytes=shared,
    )


def _size(client: DrmClient) -> int:
    return client.own_bytes + client.shared_bytes


def _with_sizes(before: DrmClient, now: DrmClient) -> DrmClient:
    return DrmClient(before.pid, before.bus, before.client, now.own_bytes, now.shared_bytes)


_DRIVERS = {"amdgpu": "AMD", "i915": "Intel", "xe": "Intel"}
_MOST_CARDS = 64
_UNIFIED_RATIO = 2


@dataclass(frozen=True, slots=True)
class DrmCard:
    """One card: what its files hold, by their names."""

    index: int
    values: Mapping[str, str]

    @property
    def driver(self) -> str:
        """The kernel's driver, "" where none is bound."""
        return self.values.get("DRIVER", "")

    @property
    def bus(self) -> str:
        """The PCI address."""
        return self.values.get("PCI_SLOT_NAME", "").lower()


def parse_cards(lines: Iterable[str]) -> tuple[DrmCard, ...]:
    """Blocks of `card N` and then `name value` or `NAME=value` lines."""
    found: list[tuple[int, dict[str, str]]] = []
    for line in lines:
        name, _, value = sanitize_line(line, 300).replace("=", " ", 1).strip().partition(" ")
        if name == "card" and value.isascii() and value.isdecimal() and len(value) < 4:
            if len(found) >= _MOST_CARDS:
                break
            found.append((int(value), {}))
        elif found and value and len(found[-1][1]) < 100:
            found[-1][1].setdefault(name, value.strip())
    return tuple(DrmCard(index, values) for index, values in found if values)


def build_gpu(card: DrmCard, clients: Iterable[DrmClient], at: float) -> Gpu | None:
    """A card of a driver that is known here, None for others: they have their own tools.

    Both its own memory and the machine's count for one in a processor, which works in either. The use of an Intel card is what the clients that can be seen hold, no less than that.
    """
    maker = _DRIVERS.get(card.driver)
    if maker is None:
        return None
    own = [client for client in clients if client.bus == card.bus]
    gpu = Gpu(
        index=card.index,
        name=_card_name(card, maker),
        used_bytes=None,
        use_percent=bounds.percentage(_read_number(card, "gpu_busy_percent")),
        temperature=_read_scaled(card, "temp1_input", 1000, 200),
        memory_temperature=_read_scaled(card, "temp3_input", 1000, 200),
        power=_read_scaled(card, "power1_average", 1_000_000, 100_000)
        or _read_scaled(card, "power1_input", 1_000_000, 100_000),
        fan_percent=_read_scaled(card, "pwm1", 2.55, 100),
        sampled_at=at,
        bus=card.bus,
        uuid=card.bus,
    )
    if card.driver == "amdgpu":
        return _add_amd_memory(gpu, card)
    return _add_intel_memory(gpu, card, own)


def card_uses(gpu: Gpu, clients: Iterable[DrmClient]) -> tuple[GpuProcessMemory, ...]:
    """What each process holds on a card: in its own memory, or wherever it works."""
    sums: dict[int, int] = {}
    for client in clients:
        if client.bus == gpu.bus:
            size = client.own_bytes + (client.shared_bytes if gpu.unified else 0)
            sums[client.pid] = sums.get(client.pid, 0) + size
    return tuple(GpuProcessMemory(gpu.key, pid, size) for pid, size in sums.items() if size)


def _add_amd_memory(gpu: Gpu, card: DrmCard) -> Gpu:
    total, used = _read_bytes(card, "mem_info_vram_total"), _read_bytes(card, "mem_info_vram_used")
    window, in_window = (
        _read_bytes(card, "mem_info_gtt_total"),
        _read_bytes(card, "mem_info_gtt_used"),
    )
    if window is not None and _is_integrated(card, total or 0, window):
        both = None if used is None and in_window is None else (used or 0) + (in_window or 0)
        return replace(gpu, total_bytes=(total or 0) + window, used_bytes=both, unified=True)
    return replace(gpu, total_bytes=total or None, used_bytes=used if total else None)


def _is_integrated(card: DrmCard, own: int, window: int) -> bool:
    """By what only one of the two kinds tells; where neither does, as with old kernels, by sizes.

    The window to the machine's memory is half of that or more also for cards of their own.
    """
    maker = card.values.get("mem_info_vram_vendor", "")
    if (maker and maker != "unknown") or "mem_busy_percent" in card.values:
        return False
    return "in1_input" in card.values or window >= own * _UNIFIED_RATIO


def _add_intel_memory(gpu: Gpu, card: DrmCard, clients: list[DrmClient]) -> Gpu:
    total = _read_bytes(card, "physical_vram_size_bytes") or _read_bytes(card, "lmem_total_bytes")
    if not total:
        shared = sum(client.own_bytes + client.shared_bytes for client in clients)
        return replace(gpu, used_bytes=shared or None, unified=True)
    free = _read_bytes(card, "lmem_avail_bytes")
    seen = sum(client.own_bytes for client in clients)
    used = seen if free is None else max(total - free, 0)
    return replace(gpu, total_bytes=total, used_bytes=min(used, total))


def _card_name(card: DrmCard, maker: str) -> str:
    name = card.values.get("product_name") or card.values.get("PCI_ID", "")
    return f"{maker} {name}".strip() if maker.lower() not in name.lower() else name


def _read_number(card: DrmCard, name: str) -> float | None:
    return bounds.parse_number(card.values.get(name, ""))


def _read_bytes(card: DrmCard, name: str) -> int | None:
    return bounds.memory_bytes(_read_number(card, name))


def _read_scaled(card: DrmCard, name: str, unit: float, largest: float) -> float | None:
    value = _read_number(card, name)
    return None if value is None else bounds.number_in_range(value / unit, 0, largest)
