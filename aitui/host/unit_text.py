"""What is wrong with a unit file as it is written. Pure; reads `systemctl cat`'s output.

The faults are those of set-up guides in the field. Format: systemd.syntax(7).
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from aitui.domain.clean import sanitize_line
from aitui.host.unit_facts import server_flags

_CONTINUATION = re.compile(r"\\\n(?:[ \t]*[#;][^\n]*\n)*")
_SECTION = re.compile(r"\[(?P<name>[^\]]+)\]\s*")
_LONGEST_SHOWN_VALUE = 200
_DAEMON_RELOAD = "then systemctl --user daemon-reload"


@dataclass(frozen=True, slots=True)
class UnitFileFault:
    """A fault in a unit file; `fatal` where the unit can't start with it."""

    what: str
    remedy: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class UnitSetting:
    """One `name=value` of a unit file."""

    section: str
    name: str
    value: str


def parse_settings(text: str) -> tuple[UnitSetting, ...]:
    """All settings with a value in the order in which systemd reads them, drop-ins last."""
    return tuple(_iter_settings(text))


def find_faults(text: str) -> tuple[UnitFileFault, ...]:
    """The faults of a unit whose files are these, the fatal ones first."""
    found: list[UnitFileFault] = []
    for setting in parse_settings(text):
        found.extend(_setting_faults(setting))
    return tuple(sorted(dict.fromkeys(found), key=lambda fault: not fault.fatal))


def _iter_settings(text: str) -> Iterator[UnitSetting]:
    section = ""
    for line in _CONTINUATION.sub(" ", text.replace("\r\n", "\n")).split("\n"):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        opened = _SECTION.fullmatch(stripped)
        if opened:
            section = opened["name"]
            continue
        name, equals, value = stripped.partition("=")
        if equals and value.strip():
            yield UnitSetting(section, name.strip(), value.strip())


def _setting_faults(setting: UnitSetting) -> Iterator[UnitFileFault]:
    match setting.section, setting.name:
        case "Service", "User" | "Group" | "SupplementaryGroups":
            yield UnitFileFault(
                f"{setting.name}={_shorten(setting.value)} stands in a user's unit, "
                "and a user's systemd can't change users",
                f"remove that line, {_DAEMON_RELOAD}",
                fatal=True,
            )
        case "Service", "LimitMEMLOCK_BYTES":
            yield UnitFileFault(
                "there is no setting LimitMEMLOCK_BYTES=, systemd passes over it",
                f"write LimitMEMLOCK=infinity instead, {_DAEMON_RELOAD}",
                fatal=False,
            )
        case "Service", "ExecStart":
            yield from _flag_faults(setting.value)
        case "Install", "WantedBy" if "multi-user.target" in setting.value.split():
            yield UnitFileFault(
                "WantedBy=multi-user.target names a target that a user's systemd doesn't have, "
                "so the unit won't come up by itself",
                f"write WantedBy=default.target, {_DAEMON_RELOAD}, and enable it again",
                fatal=False,
            )


def _flag_faults(command: str) -> Iterator[UnitFileFault]:
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    flags = server_flags(words) or {}
    wrong = [f"--{name}" for name in ("host", "port") if name in flags]
    if wrong:
        yield UnitFileFault(
            f"llama-swap doesn't know {' and '.join(wrong)}",
            f"write -listen ADDRESS:PORT in ExecStart, {_DAEMON_RELOAD}",
            fatal=True,
        )


def _shorten(value: str) -> str:
    return sanitize_line(value, _LONGEST_SHOWN_VALUE)
