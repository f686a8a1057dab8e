"""The systemd user unit that runs llama-swap: its state, its reload, its restart, its journal."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from posixpath import basename

from aitui.aio import background_task
from aitui.domain.logs import ReloadOutcome, last_reload
from aitui.domain.sanitize import sanitize_line
from aitui.domain.suggest import nearest
from aitui.errors import Action, HostFileError, HostTimedOut, NoSuchFile, ServiceFailed
from aitui.host.base import CommandResult, Host
from aitui.host.sighup import parse_sighup_result, sighup_command
from aitui.host.unit import (
    PROPERTIES,
    UnitInfo,
    build_unit_facts,
    read_properties,
    server_flags,
)
from aitui.host.unit_file import DAEMON_RELOAD, UnitFileFault, find_faults

RESTART_SECONDS = 130.0
"""A stop may take systemd's 90 seconds: llama-swap lets running chats end."""
HANG_SECONDS = 15.0
"""Seconds without an end after which a restart must at least have begun."""
GRACE_SECONDS = 1.0
"""How much longer a restart may take if its unit is neither stopping nor starting: it may end just then."""

_MOST_LINES = 500
_MOST_UNITS = 300
_LONGEST_LINE = 2000
_LONGEST_LIST = 1 << 18
_UNIT_NAME = re.compile(r"[A-Za-z0-9:_\\@-][A-Za-z0-9:_.\\@-]{0,254}")
_SUFFIXES = (".service", ".socket", ".target", ".timer", ".path", ".scope", ".slice", ".mount")
_NO_BUS = re.compile(r"Failed to connect to (?:user scope )?bus|Failed to get D-Bus connection")
# The language is fixed because messages are matched, the zone because times are parsed.
_ENVIRONMENT = ("LC_ALL=C", "LANGUAGE=", "TZ=UTC", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=")

_PROGRAM_ITSELF = re.compile(r"\.?llama-swap(?:[-_](?!.*\.\w*sh\Z)[A-Za-z0-9._-]+)?")
_INVALID = "config validation failed: "
_VALIDATE_SECONDS = 15.0
# llama-swap puts `${env.…}` in from its own environment. As arguments of `env` the values could be
# read by every user of the machine, so the shell takes them over.
_VALIDATE = r"""
eval "$(sed -z -e '/^[A-Za-z_][A-Za-z0-9_]*=/!d' -e "s/'/'\\\\''/g" \
  -e "s/^\([^=]*\)=\(.*\)$/export \1='\2'/" "/proc/$1/environ" 2>/dev/null | tr '\0' '\n')"
exec "$2" -validate -config "$3"
"""
_LONGEST = 400
_RELOAD_BEGUN = re.compile(
    r"\breload\w*\b.*\bconfig|\bconfig\w*\b.*\b(?:reload|chang)", re.IGNORECASE
)
_UNKNOWN_FLAG = re.compile(r"flag provided but not defined: (?P<flag>\S+)")
_BAD_FLAG = re.compile(
    r"^(?>.*?invalid (?:boolean )?value ).+ for (?:boolean )?flag|flag needs an argument"
)
_PORT_TAKEN = re.compile(r"address already in use")
_BAD_CONFIG = re.compile(
    r"\A(?:(?!Error|failed).)*+(?:Error|failed)(?:(?!load|read|pars).)*+(?:load|read|pars).*config"
    r"|yaml: ",
    re.IGNORECASE,
)
_CORRECT_CONFIG = "fix the config file, or undo the last change with `aitui undo`"
_START = "start it again"
_ACTIONS = {_CORRECT_CONFIG: Action.SHOW_CONFIG, _START: Action.RESTART_SERVICE}
_RESULTS = {
    "exit-code": "it exited with status {status}",
    "signal": "a signal killed it",
    "core-dump": "it crashed",
    "oom-kill": "the system ran out of memory and killed it",
    "timeout": "it took too long to start or stop",
    "resources": "systemd could not provide the resources it needs",
}


class SystemdService:
    """One unit of the login's own systemd.

    Every call raises ServiceFailed with a reason if systemd can't or won't, and HostError if the
    machine isn't reached. A login without a session bus gets its runtime directory set. `unit` is
    the full name; it is checked by the first call.
    """

    def __init__(self, host: Host, unit: str) -> None:
        self._host = host
        self.unit = unit if unit.endswith(_SUFFIXES) else f"{unit}.service"
        self._login: tuple[str, ...] = ()
        self._name_in_journal: str | None = None
        self._uid = ""
        self._user_name = ""

    async def facts(self) -> UnitInfo:
        """Ask systemd about the unit; a unit that doesn't exist has facts as well."""
        done = await self._systemctl("show", f"--property={','.join(PROPERTIES)}")
        if done.status:
            raise self._failure(f"systemd does not report the state of {self.unit}", done)
        properties = read_properties(done.stdout)
        words, linger = await asyncio.gather(
            self._read_process_arguments(build_unit_facts(self.unit, properties).main_pid),
            self._read_linger(),
        )
        facts = build_unit_facts(self.unit, properties, process=words, linger=linger)
        name = basename(facts.program)
        self._name_in_journal = name if server_flags((name,)) is not None else ""
        return facts

    async def reload(self) -> None:
        """Send llama-swap SIGHUP: it reads its config again, unloading all models.

        Behind a launcher (npm's, a shell) the signal goes to its llama-swap. Refuses if there is
        none, or more than one: SIGHUP ends any other program.
        """
        facts = await self.facts()
        if not facts.running:
            raise await self._diagnose(facts, f"{self.unit} can't be reloaded: it isn't running")
        done = await self._run(*sighup_command(facts.main_pid))
        hang_up = parse_sighup_result(done.stdout)
        if hang_up.sent:
            return
        if not hang_up.why_not:
            raise await self._diagnose_refusal(done, "can't be reloaded")
        raise ServiceFailed(
            f"{self.unit} can't be reloaded",
            why=hang_up.why_not,
            remedy="run llama-swap directly in ExecStart, or restart it",
            action=Action.RESTART_SERVICE,
        )

    async def find_config_error(self, facts: UnitInfo, path: str) -> str:
        """Let the unit's own llama-swap check a config file, with the variables of the service.

        Returns what it refuses, "" if that is nothing or if it can't say: `-validate` came with
        v252, and a launcher or container isn't started for it.
        """
        if not _PROGRAM_ITSELF.fullmatch(basename(facts.program)):
            return ""
        script = ("sh", "-c", _VALIDATE, "sh", str(facts.main_pid), facts.program, path)
        done = await self._run(*script, seconds=_VALIDATE_SECONDS, largest=_LONGEST_LIST)
        words = _text(done.stdout).strip()
        if done.status != 1 or not words.startswith(_INVALID):
            return ""
        return sanitize_line(words.removeprefix(_INVALID).replace(path, facts.config_path or path))

    async def restart(self) -> UnitInfo:
        """Stop the unit, start it again, and return its state right after that.

        A start that fails later is reported by `find_failure`.
        """
        async with background_task(
            self._systemctl("restart", seconds=RESTART_SECONDS), "restart the unit"
        ) as restarting:
            while not (await asyncio.wait({restarting}, timeout=HANG_SECONDS))[0]:
                await self._check_progress(restarting)
            done = await restarting
        if done.status:
            raise await self._diagnose_refusal(done, "can't be restarted")
        facts = await self.facts()
        failure = await self.find_failure(facts)
        if failure is not None:
            raise failure
        return facts

    async def _check_progress(self, restarting: "asyncio.Task[CommandResult]") -> None:
        """Raise HostTimedOut if systemd does not answer, or is not at the unit at all."""
        shown = await self._systemctl("show", "--property=ActiveState", seconds=HANG_SECONDS)
        state = read_properties(shown.stdout).get("ActiveState", "")
        is_busy = state in {"deactivating", "activating", "reloading"}
        if not is_busy and not (await asyncio.wait({restarting}, timeout=GRACE_SECONDS))[0]:
            raise HostTimedOut(
                f"systemctl restart does not end on {self._host.label}",
                why=f"{self.unit} is {state or 'in an unknown state'}, neither stopping nor starting",
                remedy=f"on {self._host.label}: systemctl --user list-jobs",
            )

    async def install(self) -> UnitInfo:
        """Have systemd read the unit's file, start it now and at each boot, and return its state."""
        await self._require("daemon-reload", unit=False)
        await self._systemctl("reset-failed")  # it fails for a unit that never ran
        await self._require("enable")
        await self._require("start", seconds=RESTART_SECONDS)
        return await self.facts()

    async def start_transient(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run a command as this unit, which goes on without the connection that started it.

        A run of the same name that failed is forgotten.
        """
        await self._systemctl("reset-failed")
        variables = (f"--setenv={name}={value}" for name, value in environment.items())
        # KeyboardInterrupt lets a Python program remove its temporary files; `$` begins a variable.
        options = (f"--unit={self.unit}", *variables, "--property=KillSignal=SIGINT")
        command = (word.replace("$", "$$") for word in words)
        done = await self._run("systemd-run", "--user", "--quiet", *options, "--", *command)
        if done.status:
            raise self._failure(f"{self.unit} can't be started", done)

    async def _require(self, verb: str, *, unit: bool = True, seconds: float = 30.0) -> None:
        done = await self._systemctl(verb, unit=unit, seconds=seconds)
        if done.status:
            raise self._failure(f"systemctl --user {verb} failed for {self.unit}", done)

    async def enable_linger(self) -> str:
        """Let the login's systemd outlive its sessions; return why not, "" if it does now."""
        # By name: without one logind looks for a session, which an sshd without PAM doesn't make.
        name = await self._login_name()
        done = await self._run("loginctl", "--no-ask-password", "enable-linger", "--", name)
        return "" if not done.status else join_lines(_error_text(done))

    async def find_failure(self, facts: UnitInfo | None = None) -> ServiceFailed | None:
        """Explain why the unit isn't up, with its journal's last lines; None if it is."""
        facts = await self.facts() if facts is None else facts
        waiting = facts.active_state in {"activating", "reloading"}
        if facts.running or (waiting and facts.sub_state != "auto-restart"):
            return None
        return await self._diagnose(facts, "")

    async def faults(self) -> tuple[UnitFileFault, ...]:
        """Return what is wrong with the unit's file, whether it runs or not."""
        done = await self._systemctl("cat")
        return () if done.status else find_faults(_text(done.stdout))

    async def journal(self, lines: int = 20, *, since: float | None = None) -> tuple[str, ...]:
        """Return the unit's last lines, sanitized; none if this login may not read them.

        None is older than `since` (Unix time, in whole seconds).
        """
        wanted = max(1, min(lines, _MOST_LINES))
        if self._name_in_journal is None:
            await self.facts()
        uid = await self._user_id()
        matches = [f"_SYSTEMD_USER_UNIT={self.unit}", f"USER_UNIT={self.unit}"]
        if self._name_in_journal:
            # journald can't name the unit of a process that ended before it looked it up.
            matches.append(f"SYSLOG_IDENTIFIER={self._name_in_journal}")
        either = [word for match in matches for word in ("+", f"_UID={uid}", match)]
        after = () if since is None else (f"--since=@{int(since)}",)
        options = ("--quiet", "--no-pager", "--output=cat", f"--lines={wanted}", *after)
        done = await self._run("journalctl", *options, *either[1:])
        found = _lines(done.stdout)
        if since is None and (done.status or not found):
            done = await self._systemctl("status", f"--lines={wanted}", "--full")
            found = _lines(done.stdout)
        return found[-wanted:]

    async def reload_since(self, since: float) -> tuple[ReloadOutcome | None, str]:
        """Return how the last reload since then (Unix time) ended, None if no end is seen.

        The other is why none may be seen although there was one, empty if there certainly was none.
        """
        lines = await self.journal(_MOST_LINES, since=since)
        outcome = last_reload(lines)
        if outcome is not None:
            return outcome, ""
        if any(_RELOAD_BEGUN.search(line) for line in lines):
            return None, "its journal shows a reload that may have failed"
        if len(lines) >= _MOST_LINES:
            return None, "its journal is too long to look for a reload"
        lines = lines or await self.journal(_MOST_LINES)
        # A reload is reported at INFO: another logLevel or logToStdout keeps it out of the journal.
        if not any("[INFO]" in line for line in lines):
            return None, "llama-swap's log isn't in the journal, or it can't be read"
        return None, ""

    async def _diagnose(self, facts: UnitInfo, what: str) -> ServiceFailed:
        if not facts.exists:
            return await self._missing_unit_error()
        faults = await self.faults()
        return diagnose_unit(facts, await self.journal(), faults, what)

    async def _diagnose_refusal(self, done: CommandResult, refusal: str) -> ServiceFailed:
        facts, what = await self.facts(), f"{self.unit} {refusal}"
        failure = None if facts.running else await self._diagnose(facts, what)
        return failure if failure is not None and failure.why else self._failure(what, done)

    async def _missing_unit_error(self) -> ServiceFailed:
        remedy = (
            "name it with AI_SERVER_SERVICE_UNIT, or service_unit in config.toml; "
            "aitui setup unit --apply writes one"
        )
        shown = ("systemctl", "--no-pager", "show", "-p", "LoadState", "--", self.unit)
        done = await self._run(*shown)
        if not done.status and read_properties(done.stdout).get("LoadState") == "loaded":
            return ServiceFailed(
                f"{self.unit} is not a user unit of this login",
                why="it is a system unit",
                remedy=f"on {self._host.label}: sudo systemctl restart {self.unit}",
            )
        done = await self._systemctl(
            "list-unit-files", "--type=service", "--no-legend", "--plain", unit=False
        )
        known = [line.split()[0] for line in _lines(done.stdout)]
        what = f"There is no unit {self.unit} on {self._host.label}"
        runners = await self._find_runners(known)
        if runners:
            names = ", ".join(runners)
            why = f"{names} {'run' if runners[1:] else 'runs'} llama-swap"
            remedy = (
                f"export AI_SERVER_SERVICE_UNIT={runners[0]}, or set service_unit in config.toml"
            )
            return ServiceFailed(what, why=why, remedy=remedy)
        stems = [name.removesuffix(".service") for name in known]
        likely = [f"{name}.service" for name in nearest(self.unit.rpartition(".")[0], stems)]
        why = f"the nearest {'is' if len(likely) == 1 else 'are'} {', '.join(likely)}"
        return ServiceFailed(what, why=why if likely else "", remedy=remedy)

    async def _find_runners(self, units: Sequence[str]) -> tuple[str, ...]:
        """Return which units run llama-swap by their ExecStart, those that are active first."""
        names = [name for name in units if _UNIT_NAME.fullmatch(name) and "@." not in name]
        if not names:
            return ()
        show = ("show", "--property=Id,ExecStart,ActiveState", "--", *names[:_MOST_UNITS])
        done = await self._systemctl(*show, unit=False)
        found: list[UnitInfo] = []
        for block in done.stdout.split(b"\n\n"):
            properties = read_properties(block)
            info = build_unit_facts(properties.get("Id", ""), properties)
            if info.unit and server_flags(info.exec_start) is not None:
                found.append(info)
        found.sort(key=lambda info: info.active_state != "active")
        return tuple(info.unit for info in found)

    async def _read_process_arguments(self, main_pid: int) -> tuple[str, ...]:
        """Read the main process's arguments: systemd joins them with blanks."""
        if not main_pid:
            return ()
        done = await self._run("cat", f"/proc/{main_pid}/cmdline", largest=1 << 16)
        words = tuple(sanitize_line(word) for word in _text(done.stdout).split("\0")[:-1])
        # Between fork and exec it is still systemd, which calls itself `(name)`.
        return () if not words or words[0].startswith("(") else words

    async def _login_name(self) -> str:
        self._user_name = self._user_name or _text((await self._run("id", "-un")).stdout).strip()
        return self._user_name

    async def _read_linger(self) -> bool | None:
        name = await self._login_name()
        if not name or "/" in name:
            return None
        done = await self._run("loginctl", "show-user", "-p", "Linger", "--", name)
        answer = read_properties(done.stdout).get("Linger", "")
        if not done.status and answer in {"yes", "no"}:
            return answer == "yes"
        try:
            # logind keeps the setting here, also for a login that it has not seen yet.
            await self._host.facts(f"/var/lib/systemd/linger/{name}")
        except NoSuchFile:
            return False
        except HostFileError:
            return None
        return True

    async def _systemctl(
        self, verb: str, *options: str, unit: bool = True, seconds: float = 30.0
    ) -> CommandResult:
        self._check_name()
        named = ("--", self.unit) if unit else ()
        words = ("systemctl", "--user", "--no-pager", verb, *options, *named)
        done = await self._run(*words, seconds=seconds)
        if done.status == 127:
            raise no_systemd_error(self._host.label)
        if done.status and _NO_BUS.search(_error_text(done)):
            if not self._login:
                folder = f"/run/user/{await self._user_id()}"
                bus = f"DBUS_SESSION_BUS_ADDRESS=unix:path={folder}/bus"
                self._login = (f"XDG_RUNTIME_DIR={folder}", bus)
                return await self._systemctl(verb, *options, unit=unit, seconds=seconds)
            raise no_manager_error(self._host.label, await self._read_linger(), _error_text(done))
        return done

    async def _user_id(self) -> str:
        if not self._uid:
            uid = _text((await self._run("id", "-u")).stdout).strip()
            if not (uid.isascii() and uid.isdigit()):
                raise no_manager_error(self._host.label, None, "the login's user ID is unknown")
            self._uid = uid
        return self._uid

    async def _run(
        self, *words: str, seconds: float = 30.0, largest: int = _LONGEST_LIST
    ) -> CommandResult:
        whole = ("env", *_ENVIRONMENT, *self._login, *words)
        try:
            return await self._host.run(whole, seconds=seconds, largest=largest)
        except HostTimedOut as error:
            raise HostTimedOut(
                f"{words[0]} did not end within {seconds:g} seconds on {self._host.label}",
                why=error.why,
                remedy=f"see there whether it hangs: {' '.join(words[:3])}",
            ) from error

    def _check_name(self) -> None:
        """Refuse patterns: `*` would mean every unit there."""
        if not _UNIT_NAME.fullmatch(self.unit):
            shown = sanitize_line(self.unit, 80)
            raise ServiceFailed(
                f"{shown!r} is not a valid unit name",
                why="a name can contain only letters, digits, and : - _ . \\ @",
                remedy="name it with AI_SERVER_SERVICE_UNIT, or service_unit in config.toml",
            )

    def _failure(self, what: str, done: CommandResult) -> ServiceFailed:
        return ServiceFailed(
            what,
            why=join_lines(_error_text(done)) or f"exit status {done.status}",
            remedy=f"on {self._host.label}: systemctl --user status {self.unit}",
        )


def no_systemd_error(label: str) -> ServiceFailed:
    """Return the error for a machine without systemctl."""
    return ServiceFailed(
        f"There is no systemd on {label}",
        why="the command systemctl is missing",
        remedy="restart llama-swap there by hand; the config file can still be changed",
    )


def no_manager_error(label: str, linger: bool | None, words: str) -> ServiceFailed:  # noqa: FBT001
    """Return the error for a login without a running systemd of its own."""
    why, remedy = join_lines(words), f"on {label}: loginctl enable-linger $USER"
    if linger:
        why = "lingering is on, but it isn't running"
        remedy = f"on {label}, as root: systemctl restart user@$(id -u LOGIN).service"
    elif linger is False:
        why = "it runs only while a user is logged in, unless lingering is on"
    what = f"The user's systemd does not respond on {label}"
    return ServiceFailed(what, why=why, remedy=remedy)


def join_lines(words: str) -> str:
    """Return what a command wrote to stderr on one line."""
    lines = [line.strip() for line in words.split("\n") if line.strip()]
    return sanitize_line(" ".join(lines), _LONGEST)


def diagnose_unit(
    facts: UnitInfo, journal: Sequence[str], faults: Sequence[UnitFileFault], what: str = ""
) -> ServiceFailed:
    """Explain why a unit that exists isn't running, by the most specific evidence."""
    what = what or _describe_state(facts)
    by_status = _reason_from_status(facts)
    fatal = [fault for fault in faults if fault.fatal]
    if fatal and (by_status or facts.exit_status):
        why, remedy = fatal[0].what, fatal[0].remedy
    else:
        why, remedy = (
            _reason_from_load_state(facts)
            or by_status
            or _reason_from_journal(journal)
            or _reason_from_restarts(facts)
            or _reason_from_result(facts)
        )
    action = _ACTIONS.get(remedy)
    return ServiceFailed(what, journal=tuple(journal), why=why, remedy=remedy, action=action)


def _reason_from_load_state(facts: UnitInfo) -> tuple[str, str] | None:
    if facts.load_state == "masked":
        return "it is masked, so systemd won't start it", f"systemctl --user unmask {facts.unit}"
    if facts.load_state in {"bad-setting", "error"}:
        why = facts.load_error or "its file has a setting that systemd rejects"
        return why, f"systemd-analyze --user verify {facts.unit} names the line, {DAEMON_RELOAD}"
    return None


def _reason_from_status(facts: UnitInfo) -> tuple[str, str] | None:
    program = facts.exec_start[0] if facts.exec_start else "its program"
    match facts.exit_status:
        case 200:
            why = "its working directory can't be entered"
            return why, f"fix it in the unit, {DAEMON_RELOAD}"
        case 203:
            why = f"{program} can't be run: it is missing, or isn't executable"
            return why, f"fix ExecStart in {facts.fragment_path or 'the unit'}, {DAEMON_RELOAD}"
        case 216 | 217:
            why = "the unit sets another user or group, and a user's systemd instance can't switch to it"
            return why, f"remove User= and Group= from {facts.fragment_path}, {DAEMON_RELOAD}"
    return None


def _reason_from_journal(journal: Sequence[str]) -> tuple[str, str] | None:
    for line in reversed(journal):
        unknown = _UNKNOWN_FLAG.search(line)
        if unknown:
            remedy = f"fix ExecStart in the unit, {DAEMON_RELOAD}"
            return f"its command has a flag that is unknown: {unknown['flag']}", remedy
        if _BAD_FLAG.search(line):
            return sanitize_line(line, _LONGEST), f"fix ExecStart in the unit, {DAEMON_RELOAD}"
        if _PORT_TAKEN.search(line):
            return sanitize_line(line, _LONGEST), "find out who listens there: ss -ltnp"
        if _BAD_CONFIG.search(line):
            why = f"its config file was rejected: {sanitize_line(line, _LONGEST)}"
            return why, _CORRECT_CONFIG
    return None


def _reason_from_restarts(facts: UnitInfo) -> tuple[str, str] | None:
    remedy = f"once the cause is fixed: systemctl --user reset-failed {facts.unit}, and restart it"
    if facts.active_state == "failed" and facts.restarts:
        times = facts.restarts + 1
        return f"it exited {times} times in a row, with exit status {facts.exit_status}", remedy
    if facts.result == "start-limit-hit":
        return "it was started too often within a few seconds", remedy
    return None


def _reason_from_result(facts: UnitInfo) -> tuple[str, str]:
    if facts.active_state == "inactive" and not facts.enabled:
        enable = f"systemctl --user enable --now {facts.unit}"
        if facts.unit_file_state == "static":
            why = "it was stopped, or never started, and can't be enabled"
            return why, f"add [Install] with WantedBy=default.target to it, then {enable}"
        return "it was stopped, or never started, and isn't enabled", enable
    why = _RESULTS.get(facts.result, "").format(status=facts.exit_status)
    return why, _START


def _describe_state(facts: UnitInfo) -> str:
    match facts.active_state, facts.sub_state:
        case "failed", _:
            return f"{facts.unit} did not start"
        case "activating", "auto-restart":
            return f"{facts.unit} exits right after each start, and systemd keeps restarting it"
        case "inactive", _:
            return f"{facts.unit} isn't running"
    return f"{facts.unit} is {facts.active_state or 'in an unknown state'}"


def _text(output: bytes) -> str:
    return output.decode(errors="replace")


def _error_text(done: CommandResult) -> str:
    return _text(done.stderr or done.stdout)


def _lines(output: bytes) -> tuple[str, ...]:
    lines: Sequence[str] = _text(output).split("\n")
    return tuple(sanitize_line(line, _LONGEST_LINE).rstrip() for line in lines if line.strip())
