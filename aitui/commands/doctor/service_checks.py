"""The server's unit on its machine: there, up, coming up by itself, and reading the file at hand."""

import re
import time
from collections.abc import AsyncIterator

from aitui.commands.doctor.host_found import HostFindings
from aitui.domain.checks import (
    CheckResult,
    CheckStatus,
    failing_check,
    inconclusive_check,
    passing_check,
)
from aitui.domain.clean import sanitize_line
from aitui.errors import AituiError
from aitui.host.service import SystemdService
from aitui.host.shell import Host
from aitui.host.unit_facts import UnitInfo

UNIT = "unit"
TEXT = "unit as written"
ACTIVE = "unit active"
ENABLED = "unit enabled"
LINGER = "linger"
READS = "unit's config file"
WATCHES = "watches its config file"
CONFIG_IN_EFFECT = "config file in force"

_TOLERANCE = 1.0
"""Seconds: systemd's times and those of files are not the same clock's."""
_LINES = 500
_RELOAD_DONE = re.compile(r"\bconfig\w*\W+reloaded\b", re.IGNORECASE)
_RELOAD_UNCLEAR = re.compile(
    r"\breload\w*\b.*\bconfig|\bconfig\w*\b.*\b(?:reload|chang)", re.IGNORECASE
)


async def service_checks(
    service: SystemdService, found: HostFindings
) -> AsyncIterator[CheckResult]:
    """One check each; after one that failed go on those that still have sense."""
    label = found.host.label
    rest = (TEXT, ACTIVE, ENABLED, LINGER, READS, WATCHES, CONFIG_IN_EFFECT)
    if found.blocked:
        for check in found.inconclusive_checks(UNIT, *rest):
            yield check
        return
    try:
        async with found.time_limit():
            facts = await service.facts()
            missing = None if facts.exists else await service.find_failure(facts)
    except AituiError as error:
        yield found.failing_check(UNIT, error)
        for check in found.inconclusive_checks(*rest, why=error.what):
            yield check
        return
    if missing is not None:
        yield failing_check(UNIT, missing)
        for check in found.inconclusive_checks(TEXT, ACTIVE, ENABLED, why=missing.what):
            yield check
        yield _linger_check(facts, label)
        for check in found.inconclusive_checks(READS, WATCHES, CONFIG_IN_EFFECT, why=missing.what):
            yield check
        return
    yield passing_check(UNIT, f"{facts.unit}, {facts.fragment_path or 'made by systemd'}")
    yield await found.run_check(TEXT, lambda: _unit_file_check(service, facts))
    yield await found.run_check(ACTIVE, lambda: _active_check(service, facts))
    yield _enablement_check(facts, label)
    yield _linger_check(facts, label)
    yield await found.run_check(READS, lambda: _config_path_check(facts, found))
    yield _watch_check(facts)
    yield await found.run_check(CONFIG_IN_EFFECT, lambda: _config_in_effect_check(facts, found))


async def _unit_file_check(service: SystemdService, facts: UnitInfo) -> CheckResult:
    faults = await service.faults()
    if faults:
        seen = "; ".join(fault.what for fault in faults)
        remedy = "; ".join(dict.fromkeys(fault.remedy for fault in faults))
        if any(fault.fatal for fault in faults):
            return CheckResult(TEXT, CheckStatus.FAILED, seen, remedy, 1)
        return inconclusive_check(TEXT, seen, remedy)
    if facts.stale:
        seen = "its file has changed since systemd read it"
        return inconclusive_check(TEXT, seen, "systemctl --user daemon-reload, then R")
    return passing_check(TEXT, "nothing is wrong with it")


async def _active_check(service: SystemdService, facts: UnitInfo) -> CheckResult:
    trouble = await service.find_failure(facts)
    if trouble is not None:
        return failing_check(ACTIVE, trouble)
    if not facts.running:
        return inconclusive_check(ACTIVE, f"it is {facts.active_state} ({facts.sub_state})")
    since = "" if facts.started_at is None else f" since {_format_time(facts.started_at)}"
    return passing_check(ACTIVE, f"process {facts.main_pid}{since}")


def _enablement_check(facts: UnitInfo, label: str) -> CheckResult:
    state = facts.unit_file_state or "in no state that systemd names"
    if facts.enabled:
        return passing_check(ENABLED, f"it comes up by itself ({state})")
    seen = f"it does not come up by itself: it is {state}"
    return CheckResult(
        ENABLED, CheckStatus.FAILED, seen, f"on {label}: systemctl --user enable {facts.unit}", 1
    )


def _linger_check(facts: UnitInfo, label: str) -> CheckResult:
    if facts.linger is None:
        return inconclusive_check(LINGER, "not known: logind does not say")
    if facts.linger:
        return passing_check(LINGER, "the login's systemd runs without anybody logged in")
    seen = "the login's systemd, and the server with it, ends with its last session"
    return CheckResult(LINGER, CheckStatus.FAILED, seen, f"on {label}: loginctl enable-linger", 1)


async def _config_path_check(facts: UnitInfo, found: HostFindings) -> CheckResult:
    """Whether the file that aitui changes is the one that the unit names."""
    named = facts.config_path
    if named is None:
        return inconclusive_check(READS, "not known: its command doesn't name llama-swap")
    shown = sanitize_line(named, 300)
    if found.reading is None:
        return inconclusive_check(READS, f"{shown}; the one that aitui would change wasn't read")
    real = await found.host.resolve(named)
    ours = sanitize_line(found.reading.path, 300)
    if real != found.reading.real_path:
        seen = f"it reads {shown}, and aitui would change {ours}"
        remedy = f"set preset_path = '{shown}' in config.toml, or AI_SERVER_PRESET_PATH"
        return CheckResult(READS, CheckStatus.FAILED, seen, remedy, 1)
    return passing_check(READS, f"{shown}, the one that aitui changes")


def _watch_check(facts: UnitInfo) -> CheckResult:
    match facts.watches_config:
        case None:
            return inconclusive_check(WATCHES, "not known: its command doesn't name llama-swap")
        case True:
            return passing_check(WATCHES, "a change takes effect by itself (-watch-config)")
        case False:
            seen = "it doesn't: after each change it has to be told to reload, which aitui does"
            return inconclusive_check(
                WATCHES, seen, "-watch-config in ExecStart, where that is wanted"
            )


async def _config_in_effect_check(facts: UnitInfo, found: HostFindings) -> CheckResult:
    """Whether the server can have read the file as it is now."""
    reading, started = found.reading, facts.started_at
    if reading is None or started is None:
        why = "the file wasn't read" if reading is None else "the unit doesn't run"
        return next(found.inconclusive_checks(CONFIG_IN_EFFECT, why=why))
    changed = reading.facts.modified
    times = f"changed {_format_time(changed)}, the server started {_format_time(started)}"
    if changed <= started + _TOLERANCE:
        return passing_check(CONFIG_IN_EFFECT, times)
    if facts.watches_config:
        return passing_check(CONFIG_IN_EFFECT, f"{times}, and it watches the file")
    lines = await _read_journal(found.host, facts.unit, f"--since=@{int(changed)}")
    readable = lines or await _read_journal(found.host, facts.unit)
    return _reload_check(lines, times, readable=bool(readable))


def _reload_check(lines: tuple[str, ...], times: str, *, readable: bool) -> CheckResult:
    """What the journal since the change says of a reload; nothing else tells of it."""
    if any(_RELOAD_DONE.search(line) for line in lines):
        return passing_check(CONFIG_IN_EFFECT, f"{times}, and it has reloaded since")
    unknown = ""
    if any(_RELOAD_UNCLEAR.search(line) for line in lines):
        unknown = "its journal tells of a reload that may have failed"
    elif len(lines) >= _LINES:
        unknown = "its journal is too long to look for a reload since"
    elif not readable:
        unknown = "whether it reloaded since isn't known: its journal can't be read"
    remedy = "H reloads it (aitui reload)"
    if unknown:
        return inconclusive_check(CONFIG_IN_EFFECT, f"{times}; {unknown}", remedy)
    seen = f"{times}, it doesn't watch the file, and its journal tells of no reload since"
    return CheckResult(CONFIG_IN_EFFECT, CheckStatus.FAILED, seen, remedy, 1)


async def _read_journal(host: Host, unit: str, *options: str) -> tuple[str, ...]:
    """The unit's last lines; none where this login may not read them."""
    done = await host.run(
        (
            *("env", "LC_ALL=C", "SYSTEMD_COLORS=0", "journalctl", "--quiet", "--no-pager"),
            *("--output=cat", f"--lines={_LINES}", *options, f"--user-unit={unit}"),
        )
    )
    return tuple(done.stdout.decode(errors="replace").splitlines())


def _format_time(wall: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall))
