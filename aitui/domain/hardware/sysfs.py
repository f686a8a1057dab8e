"""Graphics cards as the kernel's drivers tell of them below `/sys/class/drm/cardN/device`.

amdgpu: `mem_info_vram_*` and `mem_info_gtt_*` in bytes, `gpu_busy_percent`, and in `hwmon` the
temperature in thousandths of a degree, the power in millionths of a watt, the fan's `pwm1` of 255.
A card of its own names the maker of its memory and how busy that is; only one in a processor has
the voltage of the northbridge, `in1_input` (kernel, `amdgpu_pm.c` and `amdgpu_vram_mgr.c`).
xe and i915 tell the size of their memory only, and their power where the kernel is new.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from aitui.domain.clean import clean_line
from aitui.domain.hardware import bounds
from aitui.domain.hardware.fdinfo import DrmClient
from aitui.domain.hardware.nvidia import GpuUse
from aitui.domain.hardware.sample import Gpu

_DRIVERS = {"amdgpu": "AMD", "i915": "Intel", "xe": "Intel"}
_MOST_CARDS = 64
_UNIFIED_RATIO = 2


@dataclass(frozen=True, slots=True)
class Card:
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


def cards(lines: Iterable[str]) -> tuple[Card, ...]:
    """Blocks of `card N` and then `name value` or `NAME=value` lines."""
    found: list[tuple[int, dict[str, str]]] = []
    for line in lines:
        name, _, value = clean_line(line, 300).replace("=", " ", 1).strip().partition(" ")
        if name == "card" and value.isascii() and value.isdecimal() and len(value) < 4:
            if len(found) >= _MOST_CARDS:
                break
            found.append((int(value), {}))
        elif found and value and len(found[-1][1]) < 100:
            found[-1][1].setdefault(name, value.strip())
    return tuple(Card(index, values) for index, values in found if values)


def gpu_of(card: Card, clients: Iterable[DrmClient], at: float) -> Gpu | None:
    """A card of a driver that is known here, None for others: they have their own tools.

    Both its own memory and the machine's count for one in a processor, which works in either. The use of an Intel card is what the clients that can be seen hold, no less than that.
    """
    maker = _DRIVERS.get(card.driver)
    if maker is None:
        return None
    own = [client for client in clients if client.bus == card.bus]
    gpu = Gpu(
        index=card.index,
        name=_name(card, maker),
        used_bytes=None,
        use_percent=bounds.percent(_number(card, "gpu_busy_percent")),
        temperature=_scaled(card, "temp1_input", 1000, 200),
        memory_temperature=_scaled(card, "temp3_input", 1000, 200),
        power=_scaled(card, "power1_average", 1_000_000, 100_000)
        or _scaled(card, "power1_input", 1_000_000, 100_000),
        fan_percent=_scaled(card, "pwm1", 2.55, 100),
        sampled_at=at,
        bus=card.bus,
        uuid=card.bus,
    )
    if card.driver == "amdgpu":
        return _amd(gpu, card)
    return _intel(gpu, card, own)


def uses_of(gpu: Gpu, clients: Iterable[DrmClient]) -> tuple[GpuUse, ...]:
    """What each process holds on a card: in its own memory, or wherever it works."""
    sums: dict[int, int] = {}
    for client in clients:
        if client.bus == gpu.bus:
            size = client.own_bytes + (client.shared_bytes if gpu.unified else 0)
            sums[client.pid] = sums.get(client.pid, 0) + size
    return tuple(GpuUse(gpu.key, pid, size) for pid, size in sums.items() if size)


def _amd(gpu: Gpu, card: Card) -> Gpu:
    total, used = _bytes(card, "mem_info_vram_total"), _bytes(card, "mem_info_vram_used")
    window, in_window = _bytes(card, "mem_info_gtt_total"), _bytes(card, "mem_info_gtt_used")
    if window is not None and _in_processor(card, total or 0, window):
        both = None if used is None and in_window is None else (used or 0) + (in_window or 0)
        return replace(gpu, total_bytes=(total or 0) + window, used_bytes=both, unified=True)
    return replace(gpu, total_bytes=total or None, used_bytes=used if total else None)


def _in_processor(card: Card, own: int, window: int) -> bool:
    """By what only one of the two kinds tells; where neither does, as with old kernels, by sizes.

    The window to the machine's memory is half of that or more also for cards of their own.
    """
    maker = card.values.get("mem_info_vram_vendor", "")
    if (maker and maker != "unknown") or "mem_busy_percent" in card.values:
        return False
    return "in1_input" in card.values or window >= own * _UNIFIED_RATIO


def _intel(gpu: Gpu, card: Card, clients: list[DrmClient]) -> Gpu:
    total = _bytes(card, "physical_vram_size_bytes") or _bytes(card, "lmem_total_bytes")
    if not total:
        shared = sum(client.own_bytes + client.shared_bytes for client in clients)
        return replace(gpu, used_bytes=shared or None, unified=True)
    free = _bytes(card, "lmem_avail_bytes")
    seen = sum(client.own_bytes for client in clients)
    used = seen if free is None else max(total - free, 0)
    return replace(gpu, total_bytes=total, used_bytes=min(used, total))


def _name(card: Card, maker: str) -> str:
    name = card.values.get("product_name") or card.values.get("PCI_ID", "")
    return f"{maker} {name}".strip() if maker.lower() not in name.lower() else name


def _number(card: Card, name: str) -> float | None:
    return bounds.written(card.values.get(name, ""))


def _bytes(card: Card, name: str) -> int | None:
    return bounds.memory(_number(card, name))


def _scaled(card: Card, name: str, unit: float, largest: float) -> float | None:
    value = _number(card, name)
    return None if value is None else bounds.number(value / unit, 0, largest)
