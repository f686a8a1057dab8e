"""What is wrong with a unit file as it is written. Pure; reads `systemctl cat`'s output.

The faults are those of set-up guides in the field. Format: systemd.syntax(7).
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from aitui.domain.clean import clean_line
from aitui.host.unit_facts import server_flags

_CONTINUED = re.compile(r"\\\n(?:[ \t]*[#;][^\n]*\n)*")
_SECTION = re.compile(r"\[(?P<name>[^\]]+)\]\s*")
_LONGEST_VALUE = 200
_RELOAD = "then systemctl --user daemon-reload"


@dataclass(frozen=True, slots=True)
class UnitFault:
    """A fault in a unit file; `fatal` where the unit can't start with it."""

    what: str
    remedy: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """One `name=value` of a unit file."""

    section: str
    name: str
    value: str


def settings(text: str) -> tuple[Setting, ...]:
    """All settings with a value in the order in which systemd reads them, drop-ins last."""
    return tuple(_settings(text))


def faults(text: str) -> tuple[UnitFault, ...]:
    """The faults of a unit whose files are these, the fatal ones first."""
    found: list[UnitFault] = []
    for setting in settings(text):
        found.extend(_faults_of(setting))
    return tuple(sorted(dict.fromkeys(found), key=lambda fault: not fault.fatal))


def _settings(text: str) -> Iterator[Setting]:
    section = ""
    for line in _CONTINUED.sub(" ", text.replace("\r\n", "\n")).split("\n"):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        opened = _SECTION.fullmatch(stripped)
        if opened:
            section = opened["name"]
            continue
        name, equals, value = stripped.partition("=")
        if equals and value.strip():
            yield Setting(section, name.strip(), value.strip())


def _faults_of(setting: Setting) -> Iterator[UnitFault]:
    match setting.section, setting.name:
        case "Service", "User" | "Group" | "SupplementaryGroups":
            yield UnitFault(
                f"{setting.name}={_shown(setting.value)} stands in a user's unit, "
                "and a user's systemd can't change users",
                f"remove that line, {_RELOAD}",
                fatal=True,
            )
        case "Service", "LimitMEMLOCK_BYTES":
            yield UnitFault(
                "there is no setting LimitMEMLOCK_BYTES=, systemd passes over it",
                f"write LimitMEMLOCK=infinity instead, {_RELOAD}",
                fatal=False,
            )
        case "Service", "ExecStart":
            yield from _wrong_flags(setting.value)
        case "Install", "WantedBy" if "multi-user.target" in setting.value.split():
            yield UnitFault(
                "WantedBy=multi-user.target names a target that a user's systemd doesn't have, "
                "so the unit won't come up by itself",
                f"write WantedBy=default.target, {_RELOAD}, and enable it again",
                fatal=False,
            )


def _wrong_flags(command: str) -> Iterator[UnitFault]:
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    flags = server_flags(words) or {}
    wrong = [f"--{name}" for name in ("host", "port") if name in flags]
    if wrong:
        yield UnitFault(
            f"llama-swap doesn't know {' and '.join(wrong)}",
            f"write -listen ADDRESS:PORT in ExecStart, {_RELOAD}",
            fatal=True,
        )


def _shown(value: str) -> str:
    return clean_line(value, _LONGEST_VALUE)
