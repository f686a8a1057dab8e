"""The server's unit on its machine: there, up, coming up by itself, and reading the file at hand."""

import re
import time
from collections.abc import AsyncIterator

from aitui.commands.doctor.host_found import HostFound
from aitui.domain.checks import Check, Status, failed, left_open, passed
from aitui.domain.clean import clean_line
from aitui.errors import AituiError
from aitui.host.service import Service
from aitui.host.shell import Host
from aitui.host.unit_facts import UnitFacts

UNIT = "unit"
TEXT = "unit as written"
ACTIVE = "unit active"
ENABLED = "unit enabled"
LINGER = "linger"
READS = "unit's config file"
WATCHES = "watches its config file"
IN_FORCE = "config file in force"

_TOLERATED = 1.0
"""Seconds: systemd's times and those of files are not the same clock's."""
_LINES = 500
_RELOADED = re.compile(r"\bconfig\w*\W+reloaded\b", re.IGNORECASE)
_PERHAPS_RELOADED = re.compile(
    r"\breload\w*\b.*\bconfig|\bconfig\w*\b.*\b(?:reload|chang)", re.IGNORECASE
)


async def service_checks(service: Service, found: HostFound) -> AsyncIterator[Check]:
    """One check each; after one that failed go on those that still have sense."""
    label = found.host.label
    rest = (TEXT, ACTIVE, ENABLED, LINGER, READS, WATCHES, IN_FORCE)
    if found.blocked:
        for check in found.not_tried(UNIT, *rest):
            yield check
        return
    try:
        async with found.in_time():
            facts = await service.facts()
            missing = None if facts.found else await service.trouble(facts)
    except AituiError as error:
        yield found.failed(UNIT, error)
        for check in found.not_tried(*rest, why=error.what):
            yield check
        return
    if missing is not None:
        yield failed(UNIT, missing)
        for check in found.not_tried(TEXT, ACTIVE, ENABLED, why=missing.what):
            yield check
        yield _lingers(facts, label)
        for check in found.not_tried(READS, WATCHES, IN_FORCE, why=missing.what):
            yield check
        return
    yield passed(UNIT, f"{facts.unit}, {facts.fragment_path or 'made by systemd'}")
    yield await found.check(TEXT, lambda: _as_written(service, facts))
    yield await found.check(ACTIVE, lambda: _active(service, facts))
    yield _enabled(facts, label)
    yield _lingers(facts, label)
    yield await found.check(READS, lambda: _reads(facts, found))
    yield _watches(facts)
    yield await found.check(IN_FORCE, lambda: _in_force(facts, found))


async def _as_written(service: Service, facts: UnitFacts) -> Check:
    faults = await service.faults()
    if faults:
        seen = "; ".join(fault.what for fault in faults)
        remedy = "; ".join(dict.fromkeys(fault.remedy for fault in faults))
        if any(fault.fatal for fault in faults):
            return Check(TEXT, Status.FAILED, seen, remedy, 1)
        return left_open(TEXT, seen, remedy)
    if facts.stale:
        seen = "its file has changed since systemd read it"
        return left_open(TEXT, seen, "systemctl --user daemon-reload, then R")
    return passed(TEXT, "nothing is wrong with it")


async def _active(service: Service, facts: UnitFacts) -> Check:
    trouble = await service.trouble(facts)
    if trouble is not None:
        return failed(ACTIVE, trouble)
    if not facts.running:
        return left_open(ACTIVE, f"it is {facts.active_state} ({facts.sub_state})")
    since = "" if facts.started_at is None else f" since {_time_words(facts.started_at)}"
    return passed(ACTIVE, f"process {facts.main_pid}{since}")


def _enabled(facts: UnitFacts, label: str) -> Check:
    state = facts.unit_file_state or "in no state that systemd names"
    if facts.enabled:
        return passed(ENABLED, f"it comes up by itself ({state})")
    seen = f"it does not come up by itself: it is {state}"
    return Check(
        ENABLED, Status.FAILED, seen, f"on {label}: systemctl --user enable {facts.unit}", 1
    )


def _lingers(facts: UnitFacts, label: str) -> Check:
    if facts.linger is None:
        return left_open(LINGER, "not known: logind does not say")
    if facts.linger:
        return passed(LINGER, "the login's systemd runs without anybody logged in")
    seen = "the login's systemd, and the server with it, ends with its last session"
    return Check(LINGER, Status.FAILED, seen, f"on {label}: loginctl enable-linger", 1)


async def _reads(facts: UnitFacts, found: HostFound) -> Check:
    """Whether the file that aitui changes is the one that the unit names."""
    named = facts.config_path
    if named is None:
        return left_open(READS, "not known: its command doesn't name llama-swap")
    shown = clean_line(named, 300)
    if found.reading is None:
        return left_open(READS, f"{shown}; the one that aitui would change wasn't read")
    real = await found.host.resolve(named)
    ours = clean_line(found.reading.path, 300)
    if real != found.reading.real_path:
        seen = f"it reads {shown}, and aitui would change {ours}"
        remedy = f"set preset_path = '{shown}' in config.toml, or AI_SERVER_PRESET_PATH"
        return Check(READS, Status.FAILED, seen, remedy, 1)
    return passed(READS, f"{shown}, the one that aitui changes")


def _watches(facts: UnitFacts) -> Check:
    match facts.watches_config:
        case None:
            return left_open(WATCHES, "not known: its command doesn't name llama-swap")
        case True:
            return passed(WATCHES, "a change takes effect by itself (-watch-config)")
        case False:
            seen = "it doesn't: after each change it has to be told to reload, which aitui does"
            return left_open(WATCHES, seen, "-watch-config in ExecStart, where that is wanted")


async def _in_force(facts: UnitFacts, found: HostFound) -> Check:
    """Whether the server can have read the file as it is now."""
    reading, started = found.reading, facts.started_at
    if reading is None or started is None:
        why = "the file wasn't read" if reading is None else "the unit doesn't run"
        return next(found.not_tried(IN_FORCE, why=why))
    changed = reading.facts.modified
    times = f"changed {_time_words(changed)}, the server started {_time_words(started)}"
    if changed <= started + _TOLERATED:
        return passed(IN_FORCE, times)
    if facts.watches_config:
        return passed(IN_FORCE, f"{times}, and it watches the file")
    lines = await _journal(found.host, facts.unit, f"--since=@{int(changed)}")
    readable = lines or await _journal(found.host, facts.unit)
    return _told_by(lines, times, readable=bool(readable))


def _told_by(lines: tuple[str, ...], times: str, *, readable: bool) -> Check:
    """What the journal since the change says of a reload; nothing else tells of it."""
    if any(_RELOADED.search(line) for line in lines):
        return passed(IN_FORCE, f"{times}, and it has reloaded since")
    unknown = ""
    if any(_PERHAPS_RELOADED.search(line) for line in lines):
        unknown = "its journal tells of a reload that may have failed"
    elif len(lines) >= _LINES:
        unknown = "its journal is too long to look for a reload since"
    elif not readable:
        unknown = "whether it reloaded since isn't known: its journal can't be read"
    remedy = "H reloads it (aitui reload)"
    if unknown:
        return left_open(IN_FORCE, f"{times}; {unknown}", remedy)
    seen = f"{times}, it doesn't watch the file, and its journal tells of no reload since"
    return Check(IN_FORCE, Status.FAILED, seen, remedy, 1)


async def _journal(host: Host, unit: str, *options: str) -> tuple[str, ...]:
    """The unit's last lines; none where this login may not read them."""
    done = await host.run(
        (
            *("env", "LC_ALL=C", "SYSTEMD_COLORS=0", "journalctl", "--quiet", "--no-pager"),
            *("--output=cat", f"--lines={_LINES}", *options, f"--user-unit={unit}"),
        )
    )
    return tuple(done.output.decode(errors="replace").splitlines())


def _time_words(wall: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall))
