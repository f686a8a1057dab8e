"""The text of a systemd unit that runs llama-swap: its faults, their repair, and a new one."""

import re
import shlex
from collections.abc import Iterator

from msgspec import Struct

from aitui.domain.sanitize import sanitize_line
from aitui.domain.server import LISTEN_PORT
from aitui.host.unit import server_flags

_CONTINUATION = re.compile(r"\\\n(?:[ \t]*[#;][^\n]*\n)*")
_SECTION = re.compile(r"\[(?P<name>[^\]]+)\]\s*")
DAEMON_RELOAD = "then systemctl --user daemon-reload"
_IDENTITY = ("User", "Group", "SupplementaryGroups")
_UNLIMITED, _INFINITY = "unlimited", "infinity"
_SYSTEM_TARGET, _USER_TARGET = "multi-user.target", "default.target"
_ADDRESS_FLAG = re.compile(
    r"""(?<![ \t])(?<!\\\n)(?<!\\\r\n)(?P<gap>(?:[ \t]|\\\r?\n)++)--?(?:host|port)"""
    r"""(?:=|(?:[ \t]|\\\r?\n)++)(?:"[^"]*"|'[^']*'|[^\s\\"']+)"""
)
_SERVER = re.compile(r"""llama[-_.]?swap[^\s/"']*(?P<is_folder>/?)""", re.IGNORECASE)


class UnitFileFault(Struct, frozen=True):
    """A fault in a unit file; `fatal` if the unit can't start with it."""

    what: str
    remedy: str
    fatal: bool


class UnitSetting(Struct, frozen=True):
    """One `name=value` of a unit file."""

    section: str
    name: str
    value: str


def find_faults(text: str) -> tuple[UnitFileFault, ...]:
    """Return the faults in a unit's files, the fatal ones first."""
    found = (fault for setting in parse_settings(text) for fault in _setting_faults(setting))
    return tuple(sorted(dict.fromkeys(found), key=lambda fault: not fault.fatal))


def parse_settings(text: str) -> Iterator[UnitSetting]:
    """Yield all settings with a value, in the order in which systemd reads them."""
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
        case "Service", name if name in _IDENTITY:
            yield UnitFileFault(
                f"{setting.name}={sanitize_line(setting.value, 200)} is set in a user unit, "
                "and a user's systemd instance can't switch users",
                f"remove that line, {DAEMON_RELOAD}",
                fatal=True,
            )
        case "Service", "LimitMEMLOCK_BYTES":
            yield UnitFileFault(
                "systemd has no setting LimitMEMLOCK_BYTES= and ignores it",
                f"write LimitMEMLOCK=infinity instead, {DAEMON_RELOAD}",
                fatal=False,
            )
        case "Service", "LimitMEMLOCK" if _UNLIMITED in setting.value:
            yield UnitFileFault(
                "LimitMEMLOCK=unlimited is no limit that systemd knows, so it ignores the line",
                f"write LimitMEMLOCK=infinity instead, {DAEMON_RELOAD}",
                fatal=False,
            )
        case "Service", "ExecStart":
            yield from _flag_faults(setting.value)
        case "Install", "WantedBy" if "multi-user.target" in setting.value.split():
            yield UnitFileFault(
                "WantedBy=multi-user.target names a target that a user's systemd instance doesn't have, "
                "so the unit won't start automatically",
                f"write WantedBy=default.target, {DAEMON_RELOAD}, and enable it again",
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
            f"llama-swap has no option {' and '.join(wrong)}",
            f"write -listen ADDRESS:PORT in ExecStart, {DAEMON_RELOAD}",
            fatal=True,
        )


def repair_unit(text: str) -> str:
    """Return a unit's text with its faulty lines changed, and every other byte unchanged.

    Of ExecStart only the flags that llama-swap doesn't have are replaced: its program stays.
    """
    section, has_limit, kept = "", False, []
    for line in _logical_lines(text):
        stripped = line.strip()
        opened = _SECTION.fullmatch(stripped)
        if opened:
            section = opened["name"]
        name, equals, value = line.partition("=")
        name = name.strip()
        if equals and not stripped.startswith(("#", ";")):
            if section == "Service" and value.strip() and name in _IDENTITY:
                continue
            if section == "Service" and name == "LimitMEMLOCK_BYTES" and has_limit:
                continue
            has_limit = has_limit or name.startswith("LimitMEMLOCK")
            kept.append(_repair_line(section, name, line))
        else:
            kept.append(line)
    return "".join(kept)


def _logical_lines(text: str) -> Iterator[str]:
    """Yield the lines with those that continue them, line ends included."""
    pending = ""
    for line in text.splitlines(keepends=True):
        pending += line
        is_comment = line.lstrip().startswith(("#", ";"))
        continues = line.rstrip("\r\n").endswith("\\") or (is_comment and pending != line)
        if not continues or (is_comment and pending == line):
            yield pending
            pending = ""
    if pending:
        yield pending


def _repair_line(section: str, name: str, line: str) -> str:
    match section, name:
        case "Service", "LimitMEMLOCK_BYTES":
            content = line.rstrip("\r\n")
            return f"LimitMEMLOCK={_INFINITY}{line[len(content) :]}"
        case "Service", "LimitMEMLOCK":
            return line.replace(_UNLIMITED, _INFINITY)
        case "Service", "ExecStart":
            return _repair_flags(line)
        case "Install", "WantedBy":
            return line.replace(_SYSTEM_TARGET, _USER_TARGET)
    return line


def _repair_flags(line: str) -> str:
    command = _CONTINUATION.sub(" ", line.replace("\r\n", "\n")).partition("=")[2]
    try:
        flags = server_flags(shlex.split(command)) or {}
    except ValueError:
        return line
    if not flags.keys() & {"host", "port"}:
        return line
    host = flags.get("host", "0.0.0.0")  # noqa: S104
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    listen = "" if "listen" in flags else f"-listen {host}:{flags.get('port', LISTEN_PORT)}"

    programs = (found.end() for found in _SERVER.finditer(line) if not found["is_folder"])
    begin = next(programs, len(line))

    def replace_flag(found: re.Match[str]) -> str:
        nonlocal listen
        written, listen = (found["gap"] + listen if listen else ""), ""
        return written

    return line[:begin] + _ADDRESS_FLAG.sub(replace_flag, line[begin:])


def new_unit(program: str, listen: str, config: str) -> str:
    """Return a user unit that runs llama-swap; `~/` in a path is the login's home.

    LimitMEMLOCK lets a model be locked into memory (`--mlock`); ExecReload has the config read again.
    """
    return f"""\
[Unit]
Description=llama-swap
After=network.target

[Service]
Type=simple
ExecStart={_unit_word(program)} -listen {listen} -config {_unit_word(config)}
ExecReload=/bin/kill -HUP $MAINPID
LimitNOFILE=65536
LimitMEMLOCK={_INFINITY}
Restart=on-failure
RestartSec=5

[Install]
WantedBy={_USER_TARGET}
"""


def _unit_word(path: str) -> str:
    """Write a path as systemd reads it: `%h` is the home, and `%`, `$`, blanks and quotes are kept."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    if escaped.startswith("~/"):
        escaped = f"%h{escaped[1:]}"
    return f'"{escaped}"' if re.search(r"[\s\"\\;']", escaped) else escaped
