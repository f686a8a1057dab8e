"""Memory of the clients of the kernel's graphics drivers, from `/proc/PID/fdinfo/N`.

The keys are those of the kernel's Documentation/gpu/drm-usage-stats.rst. amdgpu names its regions
vram and gtt, xe vram0 … and gtt and system, i915 local0 … and system0. What a client holds shows
in every one of its descriptors, and in those of every process that has inherited one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

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
