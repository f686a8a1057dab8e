"""Graphics cards as the kernel's drivers describe them, and the processes that work there.

Files of a card are below `/sys/class/drm/cardN`; in its `hwmon` are the temperature in thousandths
of a degree, the power in millionths of a watt, the clock in hertz and the fan's `pwm1` of 255. A
process has what it holds in `/proc/PID/fdinfo` (kernel, `drm-usage-stats.rst`).
"""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from aitui.domain.hardware import sample as bounds
from aitui.domain.hardware.sample import Gpu, GpuProcessMemory
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


class DrmClient(Struct, frozen=True):
    """What a process has open on a card: bytes in the card's memory, and in the machine's."""

    pid: int
    bus: str
    client: str
    own_bytes: int
    shared_bytes: int

    @property
    def total_bytes(self) -> int:
        """Return the bytes of both."""
        return self.own_bytes + self.shared_bytes


def parse_clients(lines: Iterable[str]) -> tuple[DrmClient, ...]:
    """Return every client once, with the lowest process number that has it.

    The lines are those of `grep -H ^drm-` over the files; others are skipped.
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
        if before is None or client.total_bytes > before.total_bytes:
            first = pid if before is None else before.pid
            seen[client.bus, client.client] = replace(client, pid=first)
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


_MOST_CARDS = 64
_SENSORS = (
    *("temp1_input", "temp3_input", "power1_average", "power1_input", "power1_cap", "pwm1"),
    "freq1_input",
)
SENSOR_FILES = (
    *(f"device/hwmon/hwmon*/{name}" for name in _SENSORS),
    "device/current_link_speed",
    "device/current_link_width",
)
_LINK_GENERATIONS = {"2.5": 1, "5.0": 2, "8.0": 3, "16.0": 4, "32.0": 5, "64.0": 6}
"""By the transfers a second, in billions."""


class DrmCard(Struct, frozen=True):
    """A card: what its files hold, by their names."""

    index: int
    values: Mapping[str, str]

    @property
    def driver(self) -> str:
        """Return the kernel's driver, "" if none is bound."""
        return self.values.get("DRIVER", "")

    @property
    def bus(self) -> str:
        """Return the PCI address."""
        return self.values.get("PCI_SLOT_NAME", "").lower()


def parse_cards(lines: Iterable[str]) -> tuple[DrmCard, ...]:
    """Read blocks of `card N` and then `name value` or `NAME=value` lines."""
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


def build_card(card: DrmCard, vendor: str, at: float) -> Gpu:
    """Return a card with everything that is the same for all drivers: all but its memory."""
    name = card.values.get("product_name") or card.values.get("PCI_ID", "")
    return Gpu(
        index=card.index,
        name=name if vendor.lower() in name.lower() else f"{vendor} {name}".strip(),
        used_bytes=None,
        use_percent=bounds.percentage(read_number(card, "gpu_busy_percent")),
        temperature=_read_scaled(card, "temp1_input", 1000, 200),
        memory_temperature=_read_scaled(card, "temp3_input", 1000, 200),
        power=_read_scaled(card, "power1_average", 1_000_000, 100_000)
        or _read_scaled(card, "power1_input", 1_000_000, 100_000),
        fan_percent=_read_scaled(card, "pwm1", 2.55, 100),
        sampled_at=at,
        bus=card.bus,
        uuid=card.bus,
        bus_percent=bounds.percentage(read_number(card, "mem_busy_percent")),
        power_limit=_read_scaled(card, "power1_cap", 1_000_000, 100_000) or None,
        clock=_read_scaled(card, "freq1_input", 1_000_000, 100_000),
        link=_link(card),
    )


def _link(card: DrmCard) -> str:
    speed = card.values.get("current_link_speed", "").partition(" ")[0]
    width = read_number(card, "current_link_width")
    generation = _LINK_GENERATIONS.get(speed)
    return f"{generation}.0 ×{width:.0f}" if generation and width else ""


def card_uses(gpu: Gpu, clients: Iterable[DrmClient]) -> tuple[GpuProcessMemory, ...]:
    """Return what each process holds on a card: in its own memory, or wherever it works."""
    sums: dict[int, int] = {}
    for client in clients:
        if client.bus == gpu.bus:
            size = client.total_bytes if gpu.unified else client.own_bytes
            sums[client.pid] = sums.get(client.pid, 0) + size
    return tuple(GpuProcessMemory(gpu.key, pid, size) for pid, size in sums.items() if size)


def read_number(card: DrmCard, name: str) -> float | None:
    """Return the number in a card's file, None if there is none."""
    return bounds.parse_number(card.values.get(name, ""))


def read_bytes(card: DrmCard, name: str) -> int | None:
    """Return the bytes in a card's file, None if there are none."""
    return bounds.memory_bytes(read_number(card, name))


def _read_scaled(card: DrmCard, name: str, unit: float, largest: float) -> float | None:
    value = read_number(card, name)
    return None if value is None else bounds.number_in_range(value / unit, 0, largest)
