"""Why a unit didn't come up, in words. Pure.

Exit statuses from 200 on are systemd's own: systemd.exec(5), "process exit codes".
"""

import re
from collections.abc import Sequence

from aitui.domain.clean import sanitize_line
from aitui.errors import ServiceFailed
from aitui.host.unit_facts import UnitInfo
from aitui.host.unit_text import UnitFileFault

_LONGEST = 400
_UNKNOWN_FLAG = re.compile(r"flag provided but not defined: (?P<flag>\S+)")
_BAD_FLAG = re.compile(
    r"invalid (?:boolean )?value .+ for (?:boolean )?flag|flag needs an argument"
)
_PORT_TAKEN = re.compile(r"address already in use")
_BAD_CONFIG = re.compile(r"(?:Error|failed).*(?:load|read|pars).*config|yaml: ", re.IGNORECASE)
_DAEMON_RELOAD = "then systemctl --user daemon-reload"
_RESULTS = {
    "exit-code": "it ended with exit status {status}",
    "signal": "a signal ended it",
    "core-dump": "it crashed",
    "oom-kill": "the system ran out of memory and ended it",
    "timeout": "it took longer to start or to stop than it may",
    "resources": "systemd could not give it what it asks for",
}


def no_systemd_error(label: str) -> ServiceFailed:
    """The machine has no systemctl."""
    return ServiceFailed(
        f"There is no systemd on {label}",
        why="the command systemctl is missing",
        remedy="restart llama-swap there by hand; the config file can be changed all the same",
    )


def no_manager_error(label: str, linger: bool | None, words: str) -> ServiceFailed:  # noqa: FBT001
    """The login has no systemd of its own running."""
    remedy = f"on {label}: loginctl enable-linger"
    if linger:
        remedy = f"on {label}, as root: systemctl restart user@$(id -u LOGIN).service"
    return ServiceFailed(
        f"The login's own systemd doesn't answer on {label}",
        why="lingering is on, yet it isn't running"
        if linger
        else "it runs only while somebody is logged in, unless lingering is on"
        if linger is False
        else join_lines(words),
        remedy=remedy,
    )


def join_lines(words: str) -> str:
    """What a command complained of, on one line."""
    lines = [line.strip() for line in words.split("\n") if line.strip()]
    return sanitize_line(" ".join(lines), _LONGEST)


def diagnose_unit(
    facts: UnitInfo, journal: Sequence[str], faults: Sequence[UnitFileFault], what: str = ""
) -> ServiceFailed:
    """Why a unit that exists isn't running, by the most telling of what is known."""
    what = what or _describe_state(facts)
    why, remedy = _find_reason(facts, journal, [fault for fault in faults if fault.fatal])
    return ServiceFailed(what, journal=tuple(journal), why=why, remedy=remedy)


def _find_reason(
    facts: UnitInfo, journal: Sequence[str], fatal: Sequence[UnitFileFault]
) -> tuple[str, str]:
    by_status = _reason_from_status(facts)
    if fatal and (by_status or facts.exit_status):
        return fatal[0].what, fatal[0].remedy
    return (
        _reason_from_load_state(facts)
        or by_status
        or _reason_from_journal(journal)
        or _reason_from_restarts(facts)
        or _reason_from_result(facts)
    )


def _reason_from_load_state(facts: UnitInfo) -> tuple[str, str] | None:
    if facts.load_state == "masked":
        return "it is masked: systemd may not start it", f"systemctl --user unmask {facts.unit}"
    if facts.load_state in {"bad-setting", "error"}:
        why = facts.load_error or "its file holds a setting that systemd refuses"
        return why, f"systemd-analyze --user verify {facts.unit} names the line, {_DAEMON_RELOAD}"
    return None


def _reason_from_status(facts: UnitInfo) -> tuple[str, str] | None:
    program = facts.exec_start[0] if facts.exec_start else "its program"
    match facts.exit_status:
        case 200:
            return (
                "its working directory can't be entered",
                f"mend it in the unit, {_DAEMON_RELOAD}",
            )
        case 203:
            why = f"{program} can't be run: it is missing, or isn't executable"
            return why, f"mend ExecStart in {facts.fragment_path or 'the unit'}, {_DAEMON_RELOAD}"
        case 216 | 217:
            why = "the unit wants another user or group, and a user's systemd can't change those"
            return why, f"remove User= and Group= from {facts.fragment_path}, {_DAEMON_RELOAD}"
    return None


def _reason_from_journal(journal: Sequence[str]) -> tuple[str, str] | None:
    for line in reversed(journal):
        unknown = _UNKNOWN_FLAG.search(line)
        if unknown:
            remedy = f"mend ExecStart in the unit, {_DAEMON_RELOAD}"
            return f"its command has a flag that is unknown: {unknown['flag']}", remedy
        if _BAD_FLAG.search(line):
            return sanitize_line(line, _LONGEST), f"mend ExecStart in the unit, {_DAEMON_RELOAD}"
        if _PORT_TAKEN.search(line):
            return sanitize_line(line, _LONGEST), "find out who listens there: ss -ltnp"
        if _BAD_CONFIG.search(line):
            why = f"its config file isn't accepted: {sanitize_line(line, _LONGEST)}"
            return why, "mend the config file; undo puts back what was there before"
    return None


def _reason_from_restarts(facts: UnitInfo) -> tuple[str, str] | None:
    remedy = f"when its cause is mended: systemctl --user reset-failed {facts.unit}, and R"
    if facts.active_state == "failed" and facts.restarts:
        times = facts.restarts + 1
        return f"it ended {times} times in a row, with exit status {facts.exit_status}", remedy
    if facts.result == "start-limit-hit":
        return "it was started too often within a few seconds", remedy
    return None


def _reason_from_result(facts: UnitInfo) -> tuple[str, str]:
    if facts.active_state == "inactive" and not facts.enabled:
        enable = f"systemctl --user enable --now {facts.unit}"
        if facts.unit_file_state == "static":
            why = "it was stopped, or never started, and can't be enabled"
            return why, f"give it [Install] with WantedBy=default.target, then {enable}"
        return "it was stopped, or never started, and isn't enabled", enable
    why = _RESULTS.get(facts.result, "").format(status=facts.exit_status)
    return why, f"R starts it; systemctl --user status {facts.unit} says more"


def _describe_state(facts: UnitInfo) -> str:
    match facts.active_state, facts.sub_state:
        case "failed", _:
            return f"{facts.unit} did not come up"
        case "activating", "auto-restart":
            return f"{facts.unit} ends as soon as it is started, and systemd tries again"
        case "inactive", _:
            return f"{facts.unit} isn't running"
    return f"{facts.unit} is {facts.active_state or 'in no known state'}"
