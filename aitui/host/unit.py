"""A systemd unit: its state from `systemctl show`."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from posixpath import basename

from msgspec import Struct

from aitui.domain.sanitize import sanitize_line

PROPERTIES = (
    *("Id", "LoadState", "LoadError", "ActiveState", "SubState", "UnitFileState", "MainPID"),
    *("ExecStart", "ExecMainStartTimestamp", "ExecMainStatus", "Result", "NRestarts"),
    *("FragmentPath", "WorkingDirectory", "NeedDaemonReload"),
)
"""The properties to ask for; older managers leave out those that they don't know."""

_LONGEST_VALUE = 8192
_PROGRAM = re.compile(r"\{ path=(?P<path>.*?) ; argv")
_ARGUMENTS = re.compile(r"^(?>.*?argv\[\]=)(?P<words>.*?) ; (?:ignore_errors|flags)=")
_TIMESTAMP = re.compile(r"(?:\w+ )?(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d+)? (?:UTC|GMT)")
_SERVER = re.compile(r"llama[-_.]?swap", re.IGNORECASE)
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})


class UnitInfo(Struct, frozen=True):
    """One unit of the login's own manager, in systemd's words; what is unknown is "" or None.

    `exec_start` is how the running process was started, else how the unit would start it.
    `started_at` is Unix time, None if nothing runs. `exit_status` is that of the last process that
    ended, from 200 on systemd's own (systemd.exec(5), "process exit codes"). `linger` is whether
    the login's manager outlives its sessions. `program` is the path of ExecStart. `stale` is set
    if the unit's file has changed since systemd read it.
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
        """Whether its main process runs, and systemd calls the unit active."""
        return self.active_state in {"active", "reloading"} and self.main_pid > 0

    @property
    def enabled(self) -> bool:
        """Whether it starts on its own."""
        return self.unit_file_state in {"enabled", "enabled-runtime", "generated"}

    @property
    def watches_config(self) -> bool | None:
        """Whether llama-swap watches its config file; None if a launcher starts it."""
        flags = server_flags(self.exec_start)
        return None if flags is None else flags.get("watch-config", "false") in _TRUE

    @property
    def names_config(self) -> bool:
        """Whether llama-swap is started directly, without a launcher or container, with -config."""
        itself = bool(self.exec_start) and _SERVER.search(basename(self.exec_start[0])) is not None
        return itself and "config" in (server_flags(self.exec_start) or {})

    @property
    def config_path(self) -> str | None:
        """The config file, absolute or below `~/`; None if a launcher starts llama-swap."""
        flags = server_flags(self.exec_start)
        if flags is None:
            return None
        path = flags.get("config", "config.yaml")
        if path.startswith("/"):
            return path
        folder = self.working_directory or "~"
        return f"{folder.rstrip('/')}/{path.removeprefix('./')}"


def server_flags(words: Sequence[str]) -> dict[str, str] | None:
    """Return the flags after the word that names llama-swap, as Go's `flag` package reads them.

    None if no word does. Names are without dashes; a flag without a value is `true`.
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
    """Return the lines `Name=value` of `systemctl show`, sanitized, each name once."""
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
    """Build a UnitInfo; `process` are the arguments of the main process, if they are known.

    systemd joins the words of ExecStart with blanks, so they can't be split reliably.
    """
    main_pid = _parse_number(properties.get("MainPID", ""))
    program = _PROGRAM.match(properties.get("ExecStart", ""))
    # Behind a D-Bus name: `org.freedesktop.systemd1.NoSuchUnit "Unit x not found."`.
    error = properties.get("LoadError", "")
    return UnitInfo(
        unit=unit,
        load_state=properties.get("LoadState", ""),
        load_error=error.partition(" ")[2].strip('"') if error.startswith("org.") else error,
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
