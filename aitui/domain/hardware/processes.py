"""The processes of a machine: who listens on a port, and who descends from whom."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_MOST_PROCESSES = 100_000
_LISTENING = re.compile(r"^LISTEN\s+\S+\s+\S+\s+\S*:(?P<port>[0-9]{1,5})\s")
_PID = re.compile(r"\bpid=([0-9]{1,10})\b")
_PORT_ARGUMENT = re.compile(r"(?P<port>[0-9]{1,5}) /proc/(?P<pid>[0-9]{1,10})/cmdline")


@dataclass(frozen=True, slots=True)
class Process:
    """One process: `resident_bytes` are those in memory, shared pages and files included."""

    pid: int
    parent: int
    resident_bytes: int


def parse_processes(lines: Iterable[str], page: int) -> Mapping[int, Process]:
    """Lines of `pid parent pages`; others are passed over."""
    found: dict[int, Process] = {}
    for line in lines:
        fields = line[:100].split()
        if len(fields) != 3 or not all(_is_number(field) for field in fields):
            continue
        if len(found) >= _MOST_PROCESSES:
            break
        pid, parent, pages = map(int, fields)
        found[pid] = Process(pid, parent, pages * page)
    return found


def parse_listeners(lines: Iterable[str]) -> Mapping[int, frozenset[int]]:
    """Which processes listen on which port, as `ss -ltnp` says."""
    found: dict[int, set[int]] = {}
    for line in lines:
        listening = _LISTENING.match(line[:2000])
        if listening is not None:
            pids = map(int, _PID.findall(line[:2000])[:100])
            found.setdefault(int(listening["port"]), set()).update(pids)
    return {port: frozenset(pids) for port, pids in found.items() if pids}


def parse_port_arguments(lines: Iterable[str]) -> Mapping[int, frozenset[int]]:
    """Which processes were started with a port as argument: lines of `port /proc/pid/cmdline`."""
    found: dict[int, set[int]] = {}
    for line in lines:
        match = _PORT_ARGUMENT.fullmatch(line[:100].strip())
        if match is not None:
            found.setdefault(int(match["port"]), set()).add(int(match["pid"]))
    return {port: frozenset(pids) for port, pids in found.items()}


def with_descendants(pids: Iterable[int], everyone: Mapping[int, Process]) -> frozenset[int]:
    """These processes, their children, and theirs."""
    children: dict[int, list[int]] = {}
    for process in everyone.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, ())
    return frozenset(found)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16
