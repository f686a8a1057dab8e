"""What systemd says about a unit, read from the lines of `systemctl show`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from posixpath import basename

from aitui.domain.clean import sanitize_line

PROPERTIES = (
    "Id",
    "LoadState",
    "LoadError",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "MainPID",
    "ExecStart",
    "ExecMainStartTimestamp",
    "ExecMainStatus",
    "Result",
    "NRestarts",
    "FragmentPath",
    "WorkingDirectory",
    "NeedDaemonReload",
)
"""What is asked for; older managers leave out what they don't know."""

_LONGEST_VALUE = 8192
_PROGRAM = re.compile(r"\{ path=(?P<path>.*?) ; argv")
_ARGUMENTS = re.compile(r"argv\[\]=(?P<words>.*?) ; (?:ignore_errors|flags)=")
_TIMESTAMP = re.compile(r"(?:\w+ )?(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d+)? (?:UTC|GMT)")
_SERVER = re.compile(r"llama[-_.]?swap", re.IGNORECASE)
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})


@dataclass(frozen=True, slots=True)
class UnitInfo:
    """One unit of the login's own manager, in systemd's words; what is unknown is "" or None.

    `exec_start` is how the running process was started, else how the unit would start it.
    `started_at` is Unix time in seconds, None where nothing runs. `exit_status` is that of the
    last process which ended, from 200 on systemd's own (systemd.exec(5), "process exit codes").
    `watches_config` and `config_path` are from llama-swap's flags, None where something else is
    started that may start llama-swap. `linger` is whether the login's manager outlives its
    sessions. `program` is the path of ExecStart. `stale` is set where the unit's file has changed since systemd read it.
    """

    unit: str
    load_state: str = ""
    load_error: str = ""
    active_state: str = ""
    sub_state: str = ""
    unit_file_state: str = ""
    main_pid: int = 0
    exec_start: tuple[str, ...] = ()
    started_at: float | None = None
    result: str = ""
    exit_status: int = 0
    restarts: int = 0
    fragment_path: str = ""
    working_directory: str = ""
    program: str = ""
    linger: bool | None = None
    stale: bool = False

    @property
    def exists(self) -> bool:
        """Whether there is such a unit."""
        return self.load_state not in {"", "not-found"}

    @property
    def running(self) -> bool:
        """Whether its main process runs and systemd is content with it."""
        return self.active_state in {"active", "reloading"} and self.main_pid > 0

    @property
    def enabled(self) -> bool:
        """Whether it comes up by itself."""
        return self.unit_file_state in {"enabled", "enabled-runtime", "generated"}

    @property
    def watches_config(self) -> bool | None:
        """Whether llama-swap reads its config file again by itself when that changes."""
        flags = server_flags(self.exec_start)
        return None if flags is None else flags.get("watch-config", "false") in _TRUE

    @property
    def names_config(self) -> bool:
        """Whether llama-swap itself is started, no launcher or container, with a file that is named."""
        itself = bool(self.exec_start) and _SERVER.search(basename(self.exec_start[0])) is not None
        return itself and "config" in (server_flags(self.exec_start) or {})

    @property
    def config_path(self) -> str | None:
        """The config file, absolute or below `~/`; llama-swap's default is `config.yaml`."""
        flags = server_flags(self.exec_start)
        if flags is None:
            return None
        path = flags.get("config", "config.yaml")
        if path.startswith("/"):
            return path
        folder = self.working_directory or "~"
        return f"{folder.rstrip('/')}/{path.removeprefix('./')}"


def server_flags(words: Sequence[str]) -> dict[str, str] | None:
    """The flags behind the word that names llama-swap, as Go's `flag` package reads them.

    None where no word does. Names are without dashes; a flag without a value is `true`.
    """
    place = next((at for at, word in enumerate(words) if _SERVER.search(basename(word))), None)
    if place is None:
        return None
    found: dict[str, str] = {}
    rest = list(words[place + 1 :])
    while rest and rest[0].startswith("-") and rest[0] not in {"-", "--"}:
        name, equals, value = rest.pop(0).removeprefix("-").removeprefix("-").partition("=")
        if equals:
            found[name] = value
        elif name in {"watch-config", "version"} or not rest:
            found[name] = "true"
        else:
            found[name] = rest.pop(0)
    return found


def read_properties(output: bytes) -> dict[str, str]:
    """The lines `Name=value` of `systemctl show`, harmless, each name once."""
    found: dict[str, str] = {}
    for line in output.decode(errors="replace").split("\n"):
        name, equals, value = line.partition("=")
        if equals and name.isalnum():
            found.setdefault(name, sanitize_line(value, _LONGEST_VALUE))
    return found


def build_unit_facts(
    unit: str,
    properties: Mapping[str, str],
    *,
    process: tuple[str, ...] = (),
    linger: bool | None = None,
) -> UnitInfo:
    """Put facts together; `process` are the words of the main process, where they are known.

    systemd joins the words of ExecStart with blanks, so there they can't be told apart for sure.
    """
    main_pid = _parse_number(properties.get("MainPID", ""))
    program = _PROGRAM.match(properties.get("ExecStart", ""))
    return UnitInfo(
        unit=unit,
        load_state=properties.get("LoadState", ""),
        load_error=_strip_error_name(properties.get("LoadError", "")),
        active_state=properties.get("ActiveState", ""),
        sub_state=properties.get("SubState", ""),
        unit_file_state=properties.get("UnitFileState", ""),
        main_pid=main_pid,
        exec_start=process or _parse_arguments(properties.get("ExecStart", "")),
        started_at=_unix_time(properties.get("ExecMainStartTimestamp", "")) if main_pid else None,
        result=properties.get("Result", ""),
        exit_status=_parse_number(properties.get("ExecMainStatus", "")),
        restarts=_parse_number(properties.get("NRestarts", "")),
        fragment_path=properties.get("FragmentPath", ""),
        working_directory=properties.get("WorkingDirectory", "").lstrip("!"),
        program=program["path"] if program else "",
        linger=linger,
        stale=properties.get("NeedDaemonReload") == "yes",
    )


def _parse_arguments(text: str) -> tuple[str, ...]:
    match = _ARGUMENTS.search(text)
    return tuple(match["words"].split()) if match else ()


def _unix_time(text: str) -> float | None:
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    moment = datetime.fromisoformat(f"{match[1]}T{match[2]}")
    return moment.replace(tzinfo=UTC).timestamp()


def _parse_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0


def _strip_error_name(text: str) -> str:
    """`org.freedesktop.systemd1.NoSuchUnit "Unit x not found."` without its D-Bus name."""
    return text.partition(" ")[2].strip('"') if text.startswith("org.") else text
