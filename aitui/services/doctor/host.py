"""The machine behind the server: the way there, its config file, and the server's unit."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aitui.domain.checks import (
    CheckResult,
    CheckStatus,
    failing_check,
    inconclusive_check,
    passing_check,
)
from aitui.domain.config.document import ConfigDocument, decode_config
from aitui.domain.config.lint import Diagnostic, find_diagnostics
from aitui.domain.config.yaml_tree import scalar_text
from aitui.domain.models import ListedModel, ModelKind
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import Clock, Server
from aitui.errors import (
    Action,
    AituiError,
    ConfigRefused,
    FilePermissionDenied,
    HostError,
    HostKeyRefused,
    HostLoginRefused,
    HostTimedOut,
    HostUnreachable,
)
from aitui.host.base import Host
from aitui.host.config_file import ConfigFile
from aitui.host.config_types import FileSnapshot
from aitui.host.open import open_host
from aitui.host.service import SystemdService
from aitui.host.ssh.host import SshHost
from aitui.host.ssh.route import SshRoute, fetch_greeting, resolve_addresses, resolve_route
from aitui.host.unit import UnitInfo
from aitui.services.doctor.server import ServerFindings

HOST_RESPONSE_TIMEOUT = 20.0
"""Seconds for each thing that is asked of the machine."""


@dataclass(slots=True)
class HostFindings:
    """`blocked` says why the machine can't be asked anything more, and is empty while it can.

    `reading` is its config file, None while that isn't read. `seconds` is how long each check may
    take.
    """

    host: Host
    seconds: float = HOST_RESPONSE_TIMEOUT
    blocked: str = ""
    reading: FileSnapshot | None = None

    def inconclusive_checks(self, *names: str, why: str = "") -> Iterator[CheckResult]:
        """These checks, left open for `why`, else for the reason that blocks them."""
        for name in names:
            yield inconclusive_check(name, f"not tried: {why or self.blocked}")

    async def run_check(self, name: str, look: Callable[[], Awaitable[CheckResult]]) -> CheckResult:
        """A check that asks the machine something; one that isn't reached is asked nothing more."""
        if self.blocked:
            return next(self.inconclusive_checks(name))
        try:
            async with self.time_limit():
                return await look()
        except HostError as error:
            return self.failing_check(name, error)

    def failing_check(self, name: str, error: AituiError) -> CheckResult:
        """A check that an exception tells of; where it says so, nothing more is asked."""
        if isinstance(error, HostUnreachable):
            self.blocked = error.what
        return failing_check(name, error)

    @asynccontextmanager
    async def time_limit(self) -> AsyncIterator[None]:
        """Raises HostTimedOut where the block takes longer than a check may."""
        try:
            async with asyncio.timeout(self.seconds):
                yield
        except TimeoutError as error:
            raise HostTimedOut(
                f"{self.host.label} does not answer",
                why=f"nothing came within {self.seconds:g} seconds",
                remedy="is it switched on, and is the way there open?",
            ) from error


CONFIG_FILE = "config file"
FOLDER = "config folder writable"
OWNER = "config file's owner"
VALID = "config file valid"
MODELS = "config file's models"

_SHOWN_DIAGNOSTICS = 3
_SHOWN_MODELS = 5
_TRUE = frozenset({"true", "yes", "on", "y"})
_REMEDY = "mend it in $EDITOR"


@dataclass(frozen=True, slots=True)
class ConfigFindings:
    """What the file says; `hidden` are models that the server keeps out of its list."""

    diagnostics: tuple[Diagnostic, ...]
    models: tuple[str, ...] = ()
    aliases: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    parses: bool = False


async def config_checks(
    config: ConfigFile, found: HostFindings, findings: ServerFindings
) -> AsyncIterator[CheckResult]:
    """What is asked of the file; nothing is written, not even to see whether it could be."""
    names = (FOLDER, OWNER, VALID, MODELS)
    if found.blocked:
        for check in found.inconclusive_checks(CONFIG_FILE, *names):
            yield check
        return
    try:
        async with found.time_limit():
            reading = await config.read()
    except AituiError as error:
        yield found.failing_check(CONFIG_FILE, error)
        for check in found.inconclusive_checks(*names, why=error.what):
            yield check
        return
    found.reading = reading
    yield passing_check(CONFIG_FILE, _describe_file(reading))
    yield await found.run_check(FOLDER, lambda: _folder_check(found.host, reading))
    yield await found.run_check(OWNER, lambda: _owner_check(found.host, reading))
    try:
        text = await asyncio.to_thread(decode_config, reading.content)
    except ConfigRefused as error:
        yield failing_check(VALID, error)
        yield next(found.inconclusive_checks(MODELS, why=error.what))
        return
    understood = await asyncio.to_thread(_parse_config, text)
    yield _validity_check(understood)
    yield _models_check(understood, findings.models)


def _describe_file(reading: FileSnapshot) -> str:
    path, real = sanitize_line(reading.path, 300), sanitize_line(reading.real_path, 300)
    leads = "" if path == real else f" is {real}"
    return f"{path}{leads}, {len(reading.content):,} bytes"


async def _folder_check(host: Host, reading: FileSnapshot) -> CheckResult:
    """Each new file is made in the folder and then takes the old one's place."""
    folder = reading.real_path.rpartition("/")[0] or "/"
    shown = sanitize_line(folder, 300)
    statuses = {(await host.run(("test", right, folder))).status for right in ("-w", "-x")}
    if statuses - {0, 1}:
        return inconclusive_check(FOLDER, f"{shown}; the login can't ask: it has no command `test`")
    if 1 in statuses:
        refusal = FilePermissionDenied(
            f"No file can be made in {shown}",
            why="the login may not write there, or its disk is read-only",
            remedy=f"on {host.label}: ls -ld {shown}, then chown or chmod it",
        )
        return failing_check(FOLDER, refusal)
    if not reading.facts.mode & 0o200:
        seen = f"{shown}; the file itself is read-only, and would be replaced all the same"
        return inconclusive_check(
            FOLDER, seen, f"chmod u+w {sanitize_line(reading.real_path, 300)}"
        )
    return passing_check(FOLDER, shown)


async def _owner_check(host: Host, reading: FileSnapshot) -> CheckResult:
    owner, group = reading.facts.owner, reading.facts.group
    ownership = f"user {owner}, group {group}"
    path = sanitize_line(reading.real_path, 300)
    user, groups = await _login_ids(host, "-u"), await _login_ids(host, "-G")
    if not user:
        return inconclusive_check(OWNER, f"{ownership}; the login doesn't tell its own number")
    if user[0] != 0 and (owner != user[0] or group not in groups):
        refusal = FilePermissionDenied(
            f"{path} belongs to {ownership}",
            why=f"the login is user {user[0]}, so a new file could not belong to them",
            remedy=f"on {host.label}, as root: chown {user[0]}:{groups[0] if groups else ''} {path}",
        )
        return failing_check(OWNER, refusal)
    return passing_check(OWNER, f"{ownership}: a new file can belong to them too")


async def _login_ids(host: Host, option: str) -> tuple[int, ...]:
    done = await host.run(("id", option))
    words = done.stdout.decode("ascii", "replace").split()
    return tuple(int(word) for word in words if word.isascii() and word.isdigit())


def _parse_config(text: str) -> ConfigFindings:
    wrong = find_diagnostics(text)
    try:
        document = ConfigDocument.read(text)
    except ConfigRefused:
        # Why is among the problems.
        return ConfigFindings(wrong)
    return ConfigFindings(
        wrong,
        tuple(block.id for block in document.models),
        frozenset(_other_names(document)),
        frozenset(name for name in document.entries if _is_hidden(document, name)),
        parses=True,
    )


def _other_names(document: ConfigDocument) -> Iterator[str]:
    """Aliases, and the ids by which llama-swap gives a model other parameters."""
    for block in document.models:
        yield from block.aliases
    for entry in document.entries.values():
        filters = entry.keys.get("filters")
        named = document.merged.keys(filters.value).get("setParamsByID") if filters else None
        if named is not None:
            yield from document.merged.keys(named.value)


def _is_hidden(document: ConfigDocument, name: str) -> bool:
    entry = document.entries[name].keys.get("unlisted")
    return entry is not None and (scalar_text(entry.value) or "").lower() in _TRUE


def _validity_check(understood: ConfigFindings) -> CheckResult:
    wrong = understood.diagnostics
    if not wrong:
        return passing_check(VALID, _format_count(len(understood.models), "model"))
    first = sorted(wrong, key=lambda problem: not problem.fatal)
    shown = [f"line {problem.line}: {problem.words}" for problem in first[:_SHOWN_DIAGNOSTICS]]
    more = len(wrong) - len(shown)
    seen = "; ".join(shown) + (f"; and {more} more" if more else "")
    if any(problem.fatal for problem in wrong):
        return CheckResult(
            VALID,
            CheckStatus.FAILED,
            f"llama-swap would not start with it: {seen}",
            _REMEDY,
            1,
            Action.EDIT_CONFIG,
        )
    return inconclusive_check(
        VALID, f"llama-swap takes it, and yet: {seen}", _REMEDY, Action.EDIT_CONFIG
    )


def _models_check(
    understood: ConfigFindings, listed: tuple[ListedModel, ...] | None
) -> CheckResult:
    if not understood.parses:
        return inconclusive_check(MODELS, "not tried: the file doesn't parse")
    if listed is None:
        return inconclusive_check(MODELS, "not tried: the server's list isn't known")
    served = {model.id for model in listed}
    others = understood.aliases | set(understood.models)
    # Aliases, peers, selectors and profiles stand in the list, and not under `models`.
    own = [model for model in listed if model.kind is ModelKind.MODEL and not model.peer]
    missing = [name for name in understood.models if name not in served | understood.hidden]
    strange = [model.id for model in own if model.id not in others]
    differences = []
    if missing:
        differences.append(f"not in the server's list: {_format_names(missing)}")
    if strange:
        differences.append(f"not in the file: {_format_names(strange)}")
    if differences:
        remedy = "unless preset_path names another file than its, reload it"
        return CheckResult(
            MODELS, CheckStatus.FAILED, "; ".join(differences), remedy, 1, Action.RELOAD_CONFIG
        )
    return passing_check(
        MODELS, f"{_format_count(len(understood.models), 'model')}, as the server lists them"
    )


def _format_names(names: Iterable[str]) -> str:
    every = [sanitize_line(name, 100) for name in names]
    more = len(every) - _SHOWN_MODELS
    return ", ".join(every[:_SHOWN_MODELS]) + (f" and {more} more" if more > 0 else "")


def _format_count(number: int, word: str) -> str:
    return f"1 {word}" if number == 1 else f"{number:,} {word}s"


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
    remedy, action = "reload it", Action.RELOAD_CONFIG
    if unknown:
        return inconclusive_check(CONFIG_IN_EFFECT, f"{times}; {unknown}", remedy, action)
    seen = f"{times}, it doesn't watch the file, and its journal tells of no reload since"
    return CheckResult(CONFIG_IN_EFFECT, CheckStatus.FAILED, seen, remedy, 1, action)


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


CONFIG = "SSH config"
NAME = "SSH host name"
PORT = "SSH port"
HOST_KEY = "SSH host key"
LOGIN = "SSH login"
FILES = "SFTP"

_GREETING_SECONDS = 10.0


async def ssh_checks(
    address: str, host: SshHost, found: HostFindings
) -> AsyncIterator[CheckResult]:
    """From the SSH config to the first answer about a file; what fails is set in `found`."""
    try:
        async with found.time_limit():
            route = await resolve_route(address, host.ssh_config)
    except AituiError as error:
        found.blocked = error.what
        yield failing_check(CONFIG, error)
        for check in found.inconclusive_checks(NAME, PORT, HOST_KEY, LOGIN, FILES):
            yield check
        return
    yield passing_check(CONFIG, _describe_route(address, route))
    async for check in _network_checks(route, found):
        yield check
    if found.blocked:
        for check in found.inconclusive_checks(HOST_KEY, LOGIN, FILES):
            yield check
        return
    async for check in _login_checks(route, host, found):
        yield check


async def _network_checks(route: SshRoute, found: HostFindings) -> AsyncIterator[CheckResult]:
    if route.by_command:
        for check in found.inconclusive_checks(
            NAME, PORT, why="a ProxyCommand of ~/.ssh/config connects"
        ):
            yield check
        return
    try:
        async with found.time_limit():
            addresses = await resolve_addresses(route)
    except AituiError as error:
        found.blocked = error.what
        yield failing_check(NAME, error)
        yield next(found.inconclusive_checks(PORT))
        return
    yield passing_check(NAME, f"{route.host} is {', '.join(addresses)}")
    try:
        hello = await fetch_greeting(route, min(_GREETING_SECONDS, found.seconds))
    except AituiError as error:
        found.blocked = error.what
        yield failing_check(PORT, error)
    else:
        yield passing_check(PORT, f"{route.host} port {route.port} answers {hello}")


async def _login_checks(
    route: SshRoute, host: SshHost, found: HostFindings
) -> AsyncIterator[CheckResult]:
    tried = _describe_keys(route)
    try:
        async with found.time_limit():
            key = await host.host_key()
    except HostKeyRefused as error:
        found.blocked = error.what
        yield _host_key_failure(error, host.label)
        for check in found.inconclusive_checks(LOGIN, FILES):
            yield check
        return
    except HostLoginRefused as error:
        found.blocked = error.what
        yield passing_check(HOST_KEY, "it is known")
        refused = failing_check(LOGIN, error)
        yield CheckResult(LOGIN, refused.status, f"{refused.seen}; {tried}", refused.remedy, 4)
    except AituiError as error:
        found.blocked = error.what
        yield inconclusive_check(HOST_KEY, "not known: the connection did not get that far")
        yield failing_check(LOGIN, error)
    else:
        yield passing_check(HOST_KEY, f"known: {key}")
        yield passing_check(
            LOGIN, f"logged in to {route.label}; {tried}", _passphrase_remedy(route)
        )
        yield await _sftp_check(host, found)
        return
    yield next(found.inconclusive_checks(FILES))


async def _sftp_check(host: SshHost, found: HostFindings) -> CheckResult:
    try:
        async with found.time_limit():
            home = await host.resolve("~/")
    except HostError as error:
        found.blocked = error.what
        return failing_check(FILES, error)
    return passing_check(FILES, f"it works; the login's folder is {sanitize_line(home, 300)}")


def _host_key_failure(error: HostKeyRefused, label: str) -> CheckResult:
    check = failing_check(HOST_KEY, error)
    if not error.line:
        return check
    # The dashboard asks; a check-up remembers nothing.
    own = "ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub"
    remedy = f"compare it with what {own} says there; then ssh {label} remembers it"
    return CheckResult(HOST_KEY, check.status, check.seen, remedy, check.exit_code)


def _describe_route(address: str, route: SshRoute) -> str:
    over = f", over {', '.join(route.jumps)}" if route.jumps else ""
    return f"{sanitize_line(address, 100)} is {route.label}{over}"


def _describe_keys(route: SshRoute) -> str:
    words = [f"keys tried: {', '.join(route.keys) or 'no file'}"]
    if route.locked:
        words.append(f"not tried, since they want a passphrase: {', '.join(route.locked)}")
    if not route.agent:
        words.append("no agent")
    elif route.agent_keys is None:
        words.append(f"the agent {route.agent} does not answer")
    else:
        words.append(
            f"an agent with {route.agent_keys} {'key' if route.agent_keys == 1 else 'keys'}"
        )
    return "; ".join(words)


def _passphrase_remedy(route: SshRoute) -> str:
    return f"ssh-add {route.locked[0]}, if that one is to be used" if route.locked else ""


ADDRESS = "machine"


async def host_checks(
    server: Server,
    findings: ServerFindings,
    clock: Clock,
    *,
    seconds: float = HOST_RESPONSE_TIMEOUT,
) -> AsyncGenerator[CheckResult, None]:
    """From the SSH config to the unit, each check within `seconds`, over one connection.

    Nothing is asked of a person and nothing changed anywhere: no host key is remembered, no
    passphrase asked for, no file made.
    """
    try:
        host = open_host(server)
    except HostError as error:
        yield failing_check(ADDRESS, error)
        return
    if host is None:
        return
    async with host:
        found = HostFindings(host, seconds)
        if isinstance(host, SshHost):
            async for check in ssh_checks(server.ssh_host, host, found):
                yield check
        config = ConfigFile(host, server.preset_path, clock=clock)
        async for check in config_checks(config, found, findings):
            yield check
        async for check in service_checks(SystemdService(host, server.service_unit), found):
            yield check
