"""The machine behind the server: the way there, its config file, and the server's unit."""

import asyncio
import shlex
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from msgspec import Struct
from msgspec.structs import replace

from aitui.domain.checks import (
    CheckResult,
    defect_check,
    failing_check,
    inconclusive_check,
    passing_check,
)
from aitui.domain.config.document import ConfigDocument, decode_config
from aitui.domain.config.flag_edit import change_flag
from aitui.domain.config.lint import Diagnostic, find_diagnostics
from aitui.domain.config.preload import preloaded_models
from aitui.domain.config.yaml_tree import scalar_text
from aitui.domain.launch import NO_NAMES, NamedServers
from aitui.domain.models import ListedModel, ModelKind
from aitui.domain.release import UNKNOWN, ServerRelease
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import Clock, Server
from aitui.domain.units import count_of, join_some
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
from aitui.host.config_file import ConfigFile, FileSnapshot
from aitui.host.open import open_host
from aitui.host.service import SystemdService
from aitui.host.ssh.host import SshHost
from aitui.host.ssh.route import SshRoute, fetch_greeting, resolve_addresses, resolve_route
from aitui.host.unit import UnitInfo
from aitui.services.config_plan import CONTEXT_SIZE
from aitui.services.doctor.checkup import Checkup, Report

HOST_RESPONSE_TIMEOUT = 20.0
"""Seconds for each thing that is asked of the machine."""

ADDRESS = "machine"

CONFIG = "SSH config"
NAME = "SSH host name"
PORT = "SSH port"
HOST_KEY = "SSH host key"
LOGIN = "SSH login"
FILES = "SFTP"

CONFIG_FILE = "config file"
FOLDER = "config folder writable"
OWNER = "config file's owner"
VALID = "config file valid"
MODELS = "config file's models"
PRELOAD = "preload"
CONTEXTS = "context sizes"

UNIT = "unit"
TEXT = "unit as written"
ACTIVE = "unit active"
ENABLED = "unit enabled"
LINGER = "linger"
READS = "unit's config file"
WATCHES = "watches its config file"
CONFIG_IN_EFFECT = "config file in force"

_GREETING_SECONDS = 10.0
_SHOWN_DIAGNOSTICS = 3
_SHOWN_MODELS = 5
_MOST_MODELS_TRIED = 20
"""Each is edited and parsed again: up to 0.1 s."""
_TRIED_SIZE = "12321"
"""Tokens that no model has: what is there already is never replaced."""
_TRUE = frozenset({"true", "yes", "on", "y"})
_REMEDY = "fix it in $EDITOR"
_TOLERANCE = 1.0
"""Seconds: systemd's times and those of files are not the same clock's."""


async def check_host(
    server: Server,
    listed: tuple[ListedModel, ...] | None,
    clock: Clock,
    report: Report,
    *,
    release: ServerRelease = UNKNOWN,
    seconds: float = HOST_RESPONSE_TIMEOUT,
) -> None:
    """Check from the SSH config to the unit, each step within `seconds`, over one connection.

    `listed` is the server's list of models, None if unknown. Nothing is asked of a person and
    nothing changed anywhere: no host key is remembered, no passphrase asked for, no file made.
    """
    try:
        host = open_host(server)
    except HostError as error:
        report(failing_check(ADDRESS, error))
        return
    if host is None:
        return
    async with host:
        checks = HostChecks(host, report, seconds, server.llama_servers)
        if isinstance(host, SshHost):
            await checks.check_ssh(server.ssh_host, host)
        config = ConfigFile(host, server.preset_path, clock=clock)
        await checks.check_config(config, listed, release)
        await checks.check_service(SystemdService(host, server.service_unit))


class HostChecks:
    """The checks of one machine, a method a stage, in this order; `seconds` limits each check."""

    def __init__(
        self, host: Host, report: Report, seconds: float, named: NamedServers = NO_NAMES
    ) -> None:
        self._host = host
        self._named = named
        self._report = report
        self._seconds = seconds
        self._checkup = Checkup(report)
        self._reading: FileSnapshot | None = None

    async def check_ssh(self, address: str, host: SshHost) -> None:
        """Check from the SSH config to the first response about a file."""
        checkup = self._checkup
        try:
            async with self._time_limit():
                route = await resolve_route(address, host.ssh_config)
        except AituiError as error:
            checkup.block(CONFIG, error, NAME, PORT, HOST_KEY, LOGIN, FILES)
            return
        over = f", via {', '.join(route.jumps)}" if route.jumps else ""
        seen = f"{sanitize_line(address, 100)} is {route.label}{over}"
        self._report(passing_check(CONFIG, seen))
        if route.by_command:
            checkup.skip(NAME, PORT, why="a ProxyCommand in ~/.ssh/config connects")
        else:
            await self._check_network(route)
        if checkup.blocked:
            checkup.skip(HOST_KEY, LOGIN, FILES)
        else:
            await self._check_login(route, host)

    async def _check_network(self, route: SshRoute) -> None:
        try:
            async with self._time_limit():
                addresses = await resolve_addresses(route)
        except AituiError as error:
            self._checkup.block(NAME, error, PORT)
            return
        self._report(passing_check(NAME, f"{route.host} is {', '.join(addresses)}"))
        try:
            hello = await fetch_greeting(route, min(_GREETING_SECONDS, self._seconds))
        except AituiError as error:
            self._checkup.block(PORT, error)
        else:
            self._report(passing_check(PORT, f"{route.host} port {route.port} answers {hello}"))

    async def _check_login(self, route: SshRoute, host: SshHost) -> None:
        checkup, tried = self._checkup, _describe_keys(route)
        try:
            async with self._time_limit():
                key = await host.host_key()
        except HostKeyRefused as error:
            checkup.blocked = error.what
            self._report(replace(failing_check(HOST_KEY, error), action=None))
            checkup.skip(LOGIN, FILES)
            return
        except HostLoginRefused as error:
            checkup.blocked = error.what
            self._report(passing_check(HOST_KEY, "in known_hosts"))
            refused = failing_check(LOGIN, error)
            seen = f"{refused.seen}; {tried}"
            self._report(replace(refused, seen=seen, exit_code=4, action=None))
            checkup.skip(FILES)
            return
        except AituiError as error:
            seen = "not known: the connection ended before the key was sent"
            self._report(inconclusive_check(HOST_KEY, seen))
            checkup.block(LOGIN, error, FILES)
            return
        self._report(passing_check(HOST_KEY, f"known: {key}"))
        locked = shlex.quote(route.locked[0]) if route.locked else ""
        add = f"ssh-add {locked} to use that key" if locked else ""
        self._report(passing_check(LOGIN, f"logged in to {route.label}; {tried}", add))
        try:
            async with self._time_limit():
                home = sanitize_line(await host.resolve("~/"), 300)
        except HostError as error:
            checkup.block(FILES, error)
        else:
            self._report(passing_check(FILES, f"OK; the home folder is {home}"))

    async def check_config(
        self,
        config: ConfigFile,
        listed: tuple[ListedModel, ...] | None,
        release: ServerRelease = UNKNOWN,
    ) -> None:
        """Check the file; nothing is written, not even to see whether it could be."""
        names = (FOLDER, OWNER, VALID, MODELS, PRELOAD, CONTEXTS)
        if self._checkup.blocked:
            self._checkup.skip(CONFIG_FILE, *names)
            return
        try:
            async with self._time_limit():
                reading = self._reading = await config.read()
        except AituiError as error:
            self._report_error(CONFIG_FILE, error)
            self._checkup.skip(*names, why=error.what)
            return
        path, real = sanitize_line(reading.path, 300), sanitize_line(reading.real_path, 300)
        leads = "" if path == real else f" is {real}"
        seen = f"{path}{leads}, {len(reading.content):,} bytes"
        self._report(passing_check(CONFIG_FILE, seen))
        await self._run(FOLDER, lambda: _folder_check(self._host, reading))
        await self._run(OWNER, lambda: _owner_check(self._host, reading))
        try:
            text = await asyncio.to_thread(decode_config, reading.content)
        except ConfigRefused as error:
            self._report(failing_check(VALID, error))
            self._checkup.skip(MODELS, PRELOAD, CONTEXTS, why=error.what)
            return
        understood = await asyncio.to_thread(_parse_config, text, release, self._named)
        self._report(_validity_check(understood))
        self._report(_models_check(understood, listed))
        self._report(_preload_check(understood))
        shown = sanitize_line(reading.path, 300)
        self._report(await asyncio.to_thread(_contexts_check, understood.document, shown))

    async def check_service(self, service: SystemdService) -> None:
        """Check the unit; after a failure those checks go on that still make sense."""
        checkup = self._checkup
        rest = (TEXT, ACTIVE, ENABLED, LINGER, READS, WATCHES, CONFIG_IN_EFFECT)
        if checkup.blocked:
            checkup.skip(UNIT, *rest)
            return
        try:
            async with self._time_limit():
                facts = await service.facts()
                missing = None if facts.exists else await service.find_failure(facts)
        except AituiError as error:
            self._report_error(UNIT, error)
            checkup.skip(*rest, why=error.what)
            return
        if missing is not None:
            self._report(failing_check(UNIT, missing))
            checkup.skip(TEXT, ACTIVE, ENABLED, why=missing.what)
            self._report(_linger_check(facts, self._host.label))
            checkup.skip(READS, WATCHES, CONFIG_IN_EFFECT, why=missing.what)
            return
        self._report(
            passing_check(UNIT, f"{facts.unit}, {facts.fragment_path or 'made by systemd'}")
        )
        await self._run(TEXT, lambda: _unit_file_check(service, facts))
        await self._run(ACTIVE, lambda: _active_check(service, facts))
        self._report(_enablement_check(facts, self._host.label))
        self._report(_linger_check(facts, self._host.label))
        await self._run(READS, lambda: self._config_path_check(facts))
        self._report(_watch_check(facts))
        await self._run(CONFIG_IN_EFFECT, lambda: self._config_in_effect_check(service, facts))

    async def _config_path_check(self, facts: UnitInfo) -> CheckResult:
        named, reading = facts.config_path, self._reading
        if named is None:
            return inconclusive_check(READS, "not known: its command doesn't name llama-swap")
        shown = sanitize_line(named, 300)
        if reading is None:
            seen = f"{shown}; aitui could not read the file it would change"
            return inconclusive_check(READS, seen)
        if await self._host.resolve(named) == reading.real_path:
            return passing_check(READS, f"{shown}, the file that aitui changes")
        seen = f"it reads {shown}, but aitui would change {sanitize_line(reading.path, 300)}"
        remedy = f"set preset_path = '{shown}' in config.toml, or AI_SERVER_PRESET_PATH"
        return defect_check(READS, seen, remedy)

    async def _config_in_effect_check(
        self, service: SystemdService, facts: UnitInfo
    ) -> CheckResult:
        reading, started = self._reading, facts.started_at
        if reading is None or started is None:
            why = "the file wasn't read" if reading is None else "the unit isn't running"
            return inconclusive_check(CONFIG_IN_EFFECT, f"not tried: {why}")
        changed = reading.facts.modified
        times = f"changed {_format_time(changed)}, the server started {_format_time(started)}"
        if changed <= started + _TOLERANCE:
            return passing_check(CONFIG_IN_EFFECT, times)
        if facts.watches_config:
            return passing_check(CONFIG_IN_EFFECT, f"{times}, and it watches the file")
        return await _reload_check(service, changed, times)

    async def _run(self, name: str, look: Callable[[], Awaitable[CheckResult]]) -> None:
        """Run a check on the machine; after a lost connection, skip the rest."""
        if self._checkup.blocked:
            self._checkup.skip(name)
            return
        try:
            async with self._time_limit():
                self._report(await look())
        except HostError as error:
            self._report_error(name, error)

    def _report_error(self, name: str, error: AituiError) -> None:
        if isinstance(error, HostUnreachable):
            self._checkup.block(name, error)
        else:
            self._report(failing_check(name, error))

    @asynccontextmanager
    async def _time_limit(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except TimeoutError as error:
            raise HostTimedOut(
                f"{self._host.label} does not answer",
                why=f"no response within {self._seconds:g} seconds",
                remedy="check that it is on, and that the network lets you reach it",
            ) from error


def _describe_keys(route: SshRoute) -> str:
    words = [f"keys tried: {', '.join(route.keys) or 'no file'}"]
    if route.locked:
        words.append(f"not tried because they need a passphrase: {', '.join(route.locked)}")
    if route.hardware:
        words.append(f"on a security key, so only through ssh-agent: {', '.join(route.hardware)}")
    if not route.agent:
        words.append("no agent")
    elif route.agent_keys is None:
        words.append(f"the agent {route.agent} does not answer")
    else:
        words.append(f"an agent with {count_of(route.agent_keys, 'key')}")
    return "; ".join(words)


async def _folder_check(host: Host, reading: FileSnapshot) -> CheckResult:
    """Each new file is made in the folder and then takes the old one's place."""
    folder = reading.real_path.rpartition("/")[0] or "/"
    shown = sanitize_line(folder, 300)
    statuses = {(await host.run(("test", right, folder))).status for right in ("-w", "-x")}
    if statuses - {0, 1}:
        return inconclusive_check(
            FOLDER, f"{shown}; not checked: that machine has no `test` command"
        )
    if 1 in statuses:
        refusal = FilePermissionDenied(
            f"No file can be created in {shown}",
            why="the login may not write there, or its disk is read-only",
            remedy=f"on {host.label}: ls -ld {shown}, then chown or chmod it",
        )
        return failing_check(FOLDER, refusal)
    if not reading.facts.mode & 0o200:
        seen = f"{shown}; the file itself is read-only, and would still be replaced"
        remedy = f"chmod u+w {sanitize_line(reading.real_path, 300)}"
        return inconclusive_check(FOLDER, seen, remedy)
    return passing_check(FOLDER, shown)


async def _owner_check(host: Host, reading: FileSnapshot) -> CheckResult:
    owner, group = reading.facts.owner, reading.facts.group
    ownership = f"user {owner}, group {group}"
    path = sanitize_line(reading.real_path, 300)
    user, groups = await _login_ids(host, "-u"), await _login_ids(host, "-G")
    if not user:
        return inconclusive_check(OWNER, f"{ownership}; the login does not report its user ID")
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


class ConfigFindings(Struct, frozen=True):
    """What the file says; `hidden` are models that the server keeps out of its list.

    `document` is None if it doesn't parse.
    """

    diagnostics: tuple[Diagnostic, ...]
    models: tuple[str, ...] = ()
    aliases: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    preload: tuple[str, ...] = ()
    document: ConfigDocument | None = None


def _parse_config(text: str, release: ServerRelease, named: NamedServers) -> ConfigFindings:
    wrong = find_diagnostics(text, release)
    try:
        document = ConfigDocument.read(text, named)
    except ConfigRefused:
        # Why is among the problems.
        return ConfigFindings(wrong)
    return ConfigFindings(
        wrong,
        tuple(block.id for block in document.models),
        frozenset(name for block in document.models for name in block.aliases),
        frozenset(name for name in document.entries if _is_hidden(document, name)),
        preloaded_models(document),
        document,
    )


def _is_hidden(document: ConfigDocument, name: str) -> bool:
    entry = document.entries[name].keys.get("unlisted")
    return entry is not None and (scalar_text(entry.value) or "").lower() in _TRUE


def _validity_check(understood: ConfigFindings) -> CheckResult:
    wrong = understood.diagnostics
    if not wrong:
        return passing_check(VALID, count_of(len(understood.models), "model"))
    first = sorted(wrong, key=lambda problem: not problem.fatal)
    found = [f"line {problem.line}: {problem.words}" for problem in first]
    seen = join_some(found, _SHOWN_DIAGNOSTICS, "; ")
    if first[0].fatal:
        seen = f"llama-swap would not start with this file: {seen}"
        return defect_check(VALID, seen, _REMEDY, Action.EDIT_CONFIG)
    seen = f"llama-swap accepts it, but: {seen}"
    return inconclusive_check(VALID, seen, _REMEDY, Action.EDIT_CONFIG)


def _models_check(
    understood: ConfigFindings, listed: tuple[ListedModel, ...] | None
) -> CheckResult:
    if understood.document is None:
        return inconclusive_check(MODELS, "not tried: the file doesn't parse")
    if listed is None:
        return inconclusive_check(MODELS, "not tried: the server's list is unknown")
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
        remedy = "reload it, unless preset_path names a different file"
        return defect_check(MODELS, "; ".join(differences), remedy, Action.RELOAD_CONFIG)
    count = count_of(len(understood.models), "model")
    return passing_check(MODELS, f"{count}, as the server lists them")


def _preload_check(understood: ConfigFindings) -> CheckResult:
    if not understood.models:
        return inconclusive_check(PRELOAD, "not tried: the file has no models")
    if understood.preload:
        return passing_check(PRELOAD, f"at its start it loads {_format_names(understood.preload)}")
    seen = "none: after a start, the first request waits until its model is loaded"
    return inconclusive_check(PRELOAD, seen, f"aitui preload {shlex.quote(understood.models[0])}")


def _contexts_check(document: ConfigDocument | None, path: str) -> CheckResult:
    """Check whether the context size of each model can be changed; blocks."""
    if document is None:
        return inconclusive_check(CONTEXTS, "not tried: the file doesn't parse")
    refusals, remedies = [], []
    models = document.models[:_MOST_MODELS_TRIED]
    for block in models:
        try:
            change_flag(document, block.id, CONTEXT_SIZE, _TRIED_SIZE)
        except ConfigRefused as error:
            why = " ".join(filter(None, (error.what, error.why)))
            name = sanitize_line(block.id, 100)
            remedies.append(error.remedy)
            refusals.append(f"{path}, line {error.line or block.first_line}: {name}: {why}")
    if not refusals:
        return passing_check(
            CONTEXTS, f"aitui can change those of {count_of(len(models), 'model')}"
        )
    seen = join_some(refusals, _SHOWN_DIAGNOSTICS, " ")
    return inconclusive_check(CONTEXTS, seen, remedies[0], Action.EDIT_CONFIG)


def _format_names(names: Iterable[str]) -> str:
    return join_some([sanitize_line(name, 100) for name in names], _SHOWN_MODELS)


async def _unit_file_check(service: SystemdService, facts: UnitInfo) -> CheckResult:
    faults = await service.faults()
    if faults:
        seen = "; ".join(fault.what for fault in faults)
        by_hand = "; ".join(dict.fromkeys(fault.remedy for fault in faults))
        remedy = f"aitui setup unit --apply repairs it; by hand: {by_hand}"
        check = defect_check if any(fault.fatal for fault in faults) else inconclusive_check
        return check(TEXT, seen, remedy)
    if facts.stale:
        seen = "its file has changed since systemd read it"
        remedy = "systemctl --user daemon-reload, then restart it"
        return inconclusive_check(TEXT, seen, remedy, Action.RESTART_SERVICE)
    return passing_check(TEXT, "no problems found")


async def _active_check(service: SystemdService, facts: UnitInfo) -> CheckResult:
    trouble = await service.find_failure(facts)
    if trouble is not None:
        return failing_check(ACTIVE, trouble)
    if not facts.running:
        return inconclusive_check(ACTIVE, f"it is {facts.active_state} ({facts.sub_state})")
    since = "" if facts.started_at is None else f" since {_format_time(facts.started_at)}"
    return passing_check(ACTIVE, f"process {facts.main_pid}{since}")


def _enablement_check(facts: UnitInfo, label: str) -> CheckResult:
    state = facts.unit_file_state or "in an unknown state"
    if facts.enabled:
        return passing_check(ENABLED, f"it starts automatically ({state})")
    seen = f"it does not start automatically: it is {state}"
    return defect_check(ENABLED, seen, f"on {label}: systemctl --user enable {facts.unit}")


def _linger_check(facts: UnitInfo, label: str) -> CheckResult:
    if facts.linger is None:
        return inconclusive_check(LINGER, "unknown: logind does not report it")
    if facts.linger:
        return passing_check(LINGER, "the user's systemd instance keeps running after logout")
    seen = "the user's systemd instance stops at logout, and the server with it"
    return defect_check(LINGER, seen, f"on {label}: loginctl enable-linger $USER")


def _watch_check(facts: UnitInfo) -> CheckResult:
    watches = facts.watches_config
    if watches is None:
        return inconclusive_check(WATCHES, "not known: its command doesn't name llama-swap")
    if watches:
        return passing_check(WATCHES, "changes take effect automatically (-watch-config)")
    seen = "no: each change needs a reload, which aitui does"
    return inconclusive_check(WATCHES, seen, "add -watch-config to ExecStart if you want that")


async def _reload_check(service: SystemdService, changed: float, times: str) -> CheckResult:
    outcome, doubt = await service.reload_since(changed)
    if outcome is not None and not outcome.refusal:
        return passing_check(CONFIG_IN_EFFECT, f"{times}, and it has reloaded since")
    remedy, action = "reload it", Action.RELOAD_CONFIG
    if doubt:
        seen = f"{times}; whether it has reloaded since is unknown: {doubt}"
        return inconclusive_check(CONFIG_IN_EFFECT, seen, remedy, action)
    if outcome is not None:
        seen = f"{times}, but it rejected the file on reload: {outcome.refusal}"
        return defect_check(CONFIG_IN_EFFECT, seen, _REMEDY, Action.EDIT_CONFIG)
    seen = f"{times}, it doesn't watch the file, and its journal shows no reload since"
    return defect_check(CONFIG_IN_EFFECT, seen, remedy, action)


def _format_time(wall: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall))
