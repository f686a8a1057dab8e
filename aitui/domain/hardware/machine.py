"""The machine itself, from `/proc/meminfo`, `/proc/stat`, `/proc/loadavg` and `/proc/net/dev`."""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from aitui.domain.hardware import sample as bounds
from aitui.domain.hardware.sample import Machine, NetworkInterface
from aitui.domain.sanitize import sanitize_line

_MEMORY = re.compile(r"(\w{1,40}):\s*([0-9]{1,15}) kB\s*")
_CORE = re.compile(r"cpu([0-9]{1,4}) ([0-9 ]{1,400})")
_INTERFACE = re.compile(r"\s*([^\s:]{1,40}):\s*([0-9]{1,20})\s+(?:[0-9]+\s+){7}([0-9]{1,20})\s.*")
_MOST_CORES = 1024
_MOST_INTERFACES = 64

Ticks = tuple[tuple[int, int], ...]
"""For each core: ticks at work, and ticks in all, since the machine was started."""


class CpuCounters(Struct, frozen=True):
    """Counters that are read twice to compute the load. `at` is Unix time."""

    at: float = 0.0
    ticks: Ticks = ()


def parse_counters(stat: Iterable[str], at: float) -> CpuCounters:
    """Parse the cores' ticks. Waiting for a disk counts as idle; a guest's time is in its host's."""
    found: list[tuple[int, int]] = []
    for line in stat:
        core = _CORE.fullmatch(line[:500].rstrip())
        if core is not None and len(found) < _MOST_CORES:
            values = [int(value) for value in core[2].split()[:8]]
            found.append((sum(values) - sum(values[3:5]), sum(values)))
    return CpuCounters(at, tuple(found))


def core_usage(before: CpuCounters, after: CpuCounters) -> tuple[float, ...]:
    """Return the percentage of the time between two readings in which each core was busy."""
    if len(before.ticks) != len(after.ticks):
        return ()
    found = []
    for (busy_then, total_then), (busy, total) in zip(before.ticks, after.ticks, strict=True):
        passed = total - total_then
        share = 100 * (busy - busy_then) / passed if passed > 0 else 0.0
        found.append(min(max(share, 0.0), 100.0))
    return tuple(found)


def parse_machine(
    meminfo: Iterable[str],
    loadavg: str,
    interfaces: Iterable[str],
    cores: tuple[float, ...],
    at: float,
    *,
    disks: Iterable[str] = (),
    sensors: Iterable[str] = (),
) -> Machine:
    """Parse the machine's state. Memory that a new process could have doesn't count as used."""
    memory = {
        found[1]: bounds.memory_bytes(int(found[2]), 1024)
        for found in map(_MEMORY.fullmatch, (line[:100] for line in meminfo))
        if found is not None
    }
    total, swap = memory.get("MemTotal"), memory.get("SwapTotal")
    return Machine(
        cores=cores,
        memory_total=total or None,
        memory_used=_used_bytes(total, memory.get("MemAvailable", memory.get("MemFree"))),
        swap_total=swap,
        swap_used=_used_bytes(swap, memory.get("SwapFree")),
        load=_parse_load(loadavg),
        network=_parse_network(interfaces),
        sampled_at=at,
        file_cache=sum(cached) if (cached := _known(memory, _CACHES)) else None,
        disk_bytes=_parse_disks(disks),
        temperature=_parse_temperature(sensors),
    )


_CACHES = ("Buffers", "Cached", "SReclaimable")


def _known(memory: Mapping[str, int | None], names: Iterable[str]) -> list[int]:
    return [size for name in names if (size := memory.get(name)) is not None]


_DISK = re.compile(r"sd[a-z]{1,3}|vd[a-z]{1,3}|xvd[a-z]{1,3}|nvme\d{1,3}n\d{1,3}|mmcblk\d{1,3}")
_SECTOR = 512


def _parse_disks(lines: Iterable[str]) -> int | None:
    """Return the bytes that all disks read and wrote, of lines as in `/proc/diskstats`."""
    found = (line[:300].split() for line in lines)
    sectors = [
        int(fields[5]) + int(fields[9])
        for fields in found
        if len(fields) > 9
        and _DISK.fullmatch(fields[2])
        and all(re.fullmatch("[0-9]{1,18}", fields[at]) for at in (5, 9))
    ]
    return sum(sectors) * _SECTOR if sectors else None


def _parse_temperature(lines: Iterable[str]) -> float | None:
    """Return the highest of the processor's sensors, each in thousandths of a degree."""
    values = (bounds.parse_number(line[:40]) for line in lines)
    known = (bounds.number_in_range(value, 1000, 150_000) for value in values)
    return max((value / 1000 for value in known if value is not None), default=None)


def _used_bytes(total: int | None, free: int | None) -> int | None:
    return None if total is None or free is None else max(0, total - free)


def _parse_load(text: str) -> tuple[float, float, float] | None:
    words = text[:100].split()[:3]
    values = [bounds.number_in_range(bounds.parse_number(word), 0, 1e6) for word in words]
    match values:
        case [float(one), float(five), float(fifteen)]:
            return one, five, fifteen
    return None


def _parse_network(lines: Iterable[str]) -> tuple[NetworkInterface, ...]:
    found = (_INTERFACE.fullmatch(line[:400]) for line in lines)
    return tuple(
        NetworkInterface(sanitize_line(match[1]), int(match[2]), int(match[3]))
        for match in found
        if match is not None and match[1] != "lo"
    )[:_MOST_INTERFACES]


_MOST_PROCESSES = 100_000
_LISTENING = re.compile(r"^LISTEN\s+\S+\s+\S+\s+\S*:(?P<port>[0-9]{1,5})\s")
_PID = re.compile(r"\bpid=([0-9]{1,10})\b")
_PORT_ARGUMENT = re.compile(r"(?P<port>[0-9]{1,5}) /proc/(?P<pid>[0-9]{1,10})/cmdline")


class Process(Struct, frozen=True):
    """A process: `resident_bytes` are those in memory, shared pages and files included.

    `started` counts clock ticks since the machine was started.
    """

    pid: int
    parent: int
    resident_bytes: int
    started: int = 0
    name: str = ""


def parse_processes(lines: Iterable[str], page: int) -> Mapping[int, Process]:
    """Parse lines of `pid parent pages ticks name`; others are skipped."""
    found: dict[int, Process] = {}
    for line in lines:
        words = line[:100].split(None, 4)
        fields, name = (*words, "0")[:4], "".join(words[4:])
        if len(words) < 3 or not all(re.fullmatch("[0-9]{1,15}", field) for field in fields):
            continue
        if len(found) >= _MOST_PROCESSES:
            break
        pid, parent, pages, started = map(int, fields)
        found[pid] = Process(pid, parent, pages * page, started, sanitize_line(name, 40))
    return found


def parse_listeners(lines: Iterable[str]) -> Mapping[int, frozenset[int]]:
    """Return which processes listen on which port, by `ss -ltnp`."""
    return _by_port(
        (int(listening["port"]), int(pid))
        for line in lines
        if (listening := _LISTENING.match(line[:2000])) is not None
        for pid in _PID.findall(line[:2000])[:100]
    )


def parse_port_arguments(lines: Iterable[str]) -> Mapping[int, frozenset[int]]:
    """Return which processes have a port as argument: lines of `port /proc/pid/cmdline`."""
    found = (_PORT_ARGUMENT.fullmatch(line[:100].strip()) for line in lines)
    return _by_port((int(match["port"]), int(match["pid"])) for match in found if match is not None)


def _by_port(pairs: Iterable[tuple[int, int]]) -> Mapping[int, frozenset[int]]:
    found: dict[int, frozenset[int]] = {}
    for port, pid in pairs:
        found[port] = found.get(port, frozenset()) | {pid}
    return found


def with_descendants(pids: Iterable[int], everyone: Mapping[int, Process]) -> frozenset[int]:
    """Return these processes, their children, and theirs."""
    children: dict[int, list[int]] = {}
    for process in everyone.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    pending = list(pids)
    while pending:
        pid = pending.pop()
        if pid not in found:
            found.add(pid)
            pending += children.get(pid, ())
    return frozenset(found)
