"""Why a unit didn't come up, in words. Pure.

Exit statuses from 200 on are systemd's own: systemd.exec(5), "process exit codes".
"""

import re
from collections.abc import Sequence

from aitui.domain.clean import clean_line
from aitui.errors import ServiceFailed
from aitui.host.unit_facts import UnitFacts
from aitui.host.unit_text import UnitFault

_LONGEST = 400
_DEFINED = re.compile(r"flag provided but not defined: (?P<flag>\S+)")
_BAD_FLAG = re.compile(
    r"invalid (?:boolean )?value .+ for (?:boolean )?flag|flag needs an argument"
)
_PORT_TAKEN = re.compile(r"address already in use")
_BAD_CONFIG = re.compile(r"(?:Error|failed).*(?:load|read|pars).*config|yaml: ", re.IGNORECASE)
_RELOADED = "then systemctl --user daemon-reload"
_RESULTS = {
    "exit-code": "it ended with exit status {status}",
    "signal": "a signal ended it",
    "core-dump": "it crashed",
    "oom-kill": "the system ran out of memory and ended it",
    "timeout": "it took longer to start or to stop than it may",
    "resources": "systemd could not give it what it asks for",
}


def no_systemd(label: str) -> ServiceFailed:
    """The machine has no systemctl."""
    return ServiceFailed(
        f"There is no systemd on {label}",
        why="the command systemctl is missing",
        remedy="restart llama-swap there by hand; the config file can be changed all the same",
    )


def no_manager(label: str, linger: bool | None, words: str) -> ServiceFailed:  # noqa: FBT001
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
        else complaint_of(words),
        remedy=remedy,
    )


def complaint_of(words: str) -> str:
    """What a command complained of, on one line."""
    lines = [line.strip() for line in words.split("\n") if line.strip()]
    return clean_line(" ".join(lines), _LONGEST)


def explain(
    facts: UnitFacts, journal: Sequence[str], faults: Sequence[UnitFault], what: str = ""
) -> ServiceFailed:
    """Why a unit that exists isn't running, by the most telling of what is known."""
    what = what or _state(facts)
    why, remedy = _reason(facts, journal, [fault for fault in faults if fault.fatal])
    return ServiceFailed(what, journal=tuple(journal), why=why, remedy=remedy)


def _reason(
    facts: UnitFacts, journal: Sequence[str], fatal: Sequence[UnitFault]
) -> tuple[str, str]:
    by_status = _by_status(facts)
    if fatal and (by_status or facts.exit_status):
        return fatal[0].what, fatal[0].remedy
    return (
        _by_load_state(facts)
        or by_status
        or _by_journal(journal)
        or _by_restarts(facts)
        or _by_result(facts)
    )


def _by_load_state(facts: UnitFacts) -> tuple[str, str] | None:
    if facts.load_state == "masked":
        return "it is masked: systemd may not start it", f"systemctl --user unmask {facts.unit}"
    if facts.load_state in {"bad-setting", "error"}:
        why = facts.load_error or "its file holds a setting that systemd refuses"
        return why, f"systemd-analyze --user verify {facts.unit} names the line, {_RELOADED}"
    return None


def _by_status(facts: UnitFacts) -> tuple[str, str] | None:
    program = facts.exec_start[0] if facts.exec_start else "its program"
    match facts.exit_status:
        case 200:
            return "its working directory can't be entered", f"mend it in the unit, {_RELOADED}"
        case 203:
            why = f"{program} can't be run: it is missing, or isn't executable"
            return why, f"mend ExecStart in {facts.fragment_path or 'the unit'}, {_RELOADED}"
        case 216 | 217:
            why = "the unit wants another user or group, and a user's systemd can't change those"
            return why, f"remove User= and Group= from {facts.fragment_path}, {_RELOADED}"
    return None


def _by_journal(journal: Sequence[str]) -> tuple[str, str] | None:
    for line in reversed(journal):
        unknown = _DEFINED.search(line)
        if unknown:
            remedy = f"mend ExecStart in the unit, {_RELOADED}"
            return f"its command has a flag that is unknown: {unknown['flag']}", remedy
        if _BAD_FLAG.search(line):
            return clean_line(line, _LONGEST), f"mend ExecStart in the unit, {_RELOADED}"
        if _PORT_TAKEN.search(line):
            return clean_line(line, _LONGEST), "find out who listens there: ss -ltnp"
        if _BAD_CONFIG.search(line):
            why = f"its config file isn't accepted: {clean_line(line, _LONGEST)}"
            return why, "mend the config file; undo puts back what was there before"
    return None


def _by_restarts(facts: UnitFacts) -> tuple[str, str] | None:
    remedy = f"when its cause is mended: systemctl --user reset-failed {facts.unit}, and R"
    if facts.active_state == "failed" and facts.restarts:
        times = facts.restarts + 1
        return f"it ended {times} times in a row, with exit status {facts.exit_status}", remedy
    if facts.result == "start-limit-hit":
        return "it was started too often within a few seconds", remedy
    return None


def _by_result(facts: UnitFacts) -> tuple[str, str]:
    if facts.active_state == "inactive" and not facts.enabled:
        enable = f"systemctl --user enable --now {facts.unit}"
        if facts.unit_file_state == "static":
            why = "it was stopped, or never started, and can't be enabled"
            return why, f"give it [Install] with WantedBy=default.target, then {enable}"
        return "it was stopped, or never started, and isn't enabled", enable
    why = _RESULTS.get(facts.result, "").format(status=facts.exit_status)
    return why, f"R starts it; systemctl --user status {facts.unit} says more"


def _state(facts: UnitFacts) -> str:
    match facts.active_state, facts.sub_state:
        case "failed", _:
            return f"{facts.unit} did not come up"
        case "activating", "auto-restart":
            return f"{facts.unit} ends as soon as it is started, and systemd tries again"
        case "inactive", _:
            return f"{facts.unit} isn't running"
    return f"{facts.unit} is {facts.active_state or 'in no known state'}"
