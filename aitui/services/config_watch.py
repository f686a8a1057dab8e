"""The config file read now and then, for the table and the warnings, and cut-off changes settled."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct, field
from msgspec.structs import replace

from aitui.aio import background_task, sleep_until
from aitui.domain.config.document import ConfigDocument, ModelBlock, decode_config
from aitui.domain.config.lint import Diagnostic, find_diagnostics
from aitui.domain.config.read_rules import read_swap_rules, read_switch
from aitui.domain.config.swap_rules import SwapRules
from aitui.domain.config.yaml_tree import parse_once
from aitui.domain.llama_server import effective_flag_value, find_flag
from aitui.domain.models import ModelKind
from aitui.domain.sanitize import sanitize_line, sanitize_text
from aitui.domain.snapshot import Snapshot
from aitui.domain.units import format_moment
from aitui.errors import (
    AituiError,
    ConfigLocked,
    ConfigRefused,
    HostError,
    HostKeyRefused,
    HostLoginRefused,
)
from aitui.host.config_file import (
    ConfigFile,
    FileSnapshot,
    FileVersion,
    RecoveryResult,
    find_backup,
)
from aitui.host.config_lock import LockOwner
from aitui.host.unit import UnitInfo
from aitui.services.hardware import HardwareMonitor
from aitui.services.host_admin import HostAdmin
from aitui.services.monitor import Monitor
from aitui.store.context_sizes import ContextSizes
from aitui.store.journal import ChangeOutcome, JournalEntry

CHECK_INTERVAL = 60.0
NEEDS_USER = (HostKeyRefused, HostLoginRefused)
"""Not tried again by itself: each attempt may want a touch on a key, or count against a limit there."""
_NO_SNAPSHOT = Snapshot()


class ServerConfig(Struct, frozen=True):
    """The config file. `where` is host and path; `newer` says that the server runs an older one.

    `doubt` says instead that it may run an older one, if nothing shows that it has read this one.
    `in_force` is only set if the server certainly runs what the file says. `models` is empty if the
    file doesn't parse: `diagnostics` say why.
    """

    where: str
    reading: FileSnapshot
    text: str
    models: tuple[ModelBlock, ...]
    diagnostics: tuple[Diagnostic, ...]
    newer: str = ""
    doubt: str = ""
    contexts: Mapping[str, int] = field(default_factory=dict)
    """Context sizes in tokens, of the models that have one in the file."""
    commands: Mapping[str, str] = field(default_factory=dict)
    """The command of each model, macros expanded."""
    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The environment variables that the file sets for each model."""
    listed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The models that a server with this file lists, each with its aliases."""
    peer_urls: Mapping[str, str] = field(default_factory=dict)
    """The address of each peer, as the file has it."""
    in_force: bool = False
    swap_rules: SwapRules | None = None
    """The rules about which models may run together; None if the server would reject the file."""


async def read_server_config(admin: HostAdmin, snapshot: Snapshot = _NO_SNAPSHOT) -> ServerConfig:
    """Read the file; raises HostError, and ConfigRefused if it is no text.

    The models of `snapshot` are evidence of what the server has read.
    """
    # Over SSH each takes three round trips.
    async with background_task(admin.unit_info(), "facts of the unit") as asking:
        reading = await admin.config.read()
        text = await asyncio.to_thread(decode_config, reading.content)
        where = sanitize_line(f"{admin.host.label}:{reading.real_path}", 300)
        found = await asyncio.to_thread(_parse_config, where, reading, text, admin)
        facts = await asking
    found = await _find_out_whether_read(admin, found, facts, snapshot)
    is_read = not (found.newer or found.doubt)
    return replace(found, in_force=is_read and await _is_server_file(admin, reading, facts))


async def _find_out_whether_read(
    admin: HostAdmin, config: ServerConfig, facts: UnitInfo | None, snapshot: Snapshot
) -> ServerConfig:
    """Say that the server runs an older file, or that this isn't known; neither if it has read it.

    llama-swap doesn't report when it read its file: it does so when it starts, at a reload, and
    after each change if it watches the file. What it runs, aitui's own journal and that of the unit
    are evidence.
    """
    if facts is None or facts.watches_config or facts.started_at is None:
        return config
    modified = config.reading.facts.modified
    if modified <= max(facts.started_at, admin.last_reload_at or 0.0) + 1.0:
        return config
    changed = format_moment(modified, admin.clock.wall())
    newer = f"the file was changed at {changed}; the server still runs an older version"
    runs_it = await _runs_this_file(admin, config, snapshot)
    if runs_it is not None:
        return config if runs_it else replace(config, newer=newer)
    try:
        outcome, doubt = await admin.service.reload_since(modified)
    except HostError as error:
        outcome, doubt = None, error.what
    if outcome is not None and outcome.refusal:
        return replace(config, newer=f"{newer}, because it rejected the new one: {outcome.refusal}")
    if doubt:
        doubt = f"the file was changed at {changed}; it is unknown whether the server has read it"
        return replace(config, doubt=doubt)
    return config if outcome is not None else replace(config, newer=newer)


async def _runs_this_file(
    admin: HostAdmin, config: ServerConfig, snapshot: Snapshot
) -> bool | None:
    """Return whether the server's models or aitui's journal show that it runs this file, or not."""
    try:
        changes = await admin.journal.changes_of(admin.server.identity)
    except AituiError:
        changes = ()  # aitui's own way to the host reports it
    here = [
        change
        for change in changes
        if change.path == admin.config.path and change.host == admin.host.label
    ]
    last = next((change for change in reversed(here) if change.read_at), None)
    if last is not None and last.after == config.reading.digest:
        return True
    known = {name for block in config.models for name in (block.id, *block.aliases)}
    own = (model.id for model in snapshot.models if model.kind is ModelKind.MODEL)
    if known and not known.issuperset(own):
        return False
    running = {model.id: model for model in snapshot.models if model.resident}
    for name, size in config.contexts.items():
        model = running.get(name)
        runs_with = None if model is None else model.command_line.context_size
        if runs_with is not None and runs_with != size:
            return False
    last = here[-1] if here else None
    if last is None or last.after != config.reading.digest or not last.new or last.old == last.new:
        return None
    model = running.get(last.model)
    if not last.flag or model is None:
        return None
    found = effective_flag_value(model.command, find_flag(last.flag), model.llama_servers)
    return found == last.new or None


async def _is_server_file(admin: HostAdmin, reading: FileSnapshot, facts: UnitInfo | None) -> bool:
    """Check that the running server is known to read this file, and no other."""
    if facts is None or facts.started_at is None or facts.config_path is None:
        return False
    try:
        return await admin.host.resolve(facts.config_path) == reading.real_path
    except HostError:
        return False


def sanitize_config(config: ServerConfig) -> str:
    """Return the text, safe for a terminal."""
    return sanitize_text(config.text.removeprefix("\ufeff"))


def _parse_config(where: str, reading: FileSnapshot, text: str, admin: HostAdmin) -> ServerConfig:
    try:
        with parse_once():
            found = find_diagnostics(text, admin.release())
            document = ConfigDocument.read(text, admin.server.llama_servers)
        sizes = {block.id: document.context_size(block.id) for block in document.models}
        commands = {block.id: document.command(block.id) for block in document.models}
        environments = {block.id: document.variables(block.id) for block in document.models}
        peer_urls = document.peer_urls
    except ConfigRefused:
        # The diagnostics say why.
        return ServerConfig(where, reading, text, (), found)
    # A server that reads a file with fatal problems keeps the values it had.
    fatal = any(problem.fatal for problem in found)
    return ServerConfig(
        where,
        reading,
        text,
        document.models,
        found,
        contexts={name: size for name, size in sizes.items() if size},
        commands=commands,
        environments=environments,
        listed=_listed_models(document),
        peer_urls=peer_urls,
        swap_rules=None if fatal else read_swap_rules(document),
    )


def _listed_models(document: ConfigDocument) -> dict[str, tuple[str, ...]]:
    """Return the models without `unlisted`, with their aliases, safe to show."""
    listed = {}
    for block in document.models:
        unlisted = document.entries[block.id].keys.get("unlisted")
        with suppress(ConfigRefused):  # the diagnostics have it
            if not read_switch(unlisted, left_out=False):
                listed[sanitize_line(block.id, 200)] = block.aliases
    return listed


MAYBE_RUNNING_SECONDS = 60.0
"""A younger change may still be running in another aitui."""

_OUTCOMES = {
    FileVersion.OLD: ChangeOutcome.FAILED,
    FileVersion.NEW: ChangeOutcome.DONE,
    FileVersion.OTHER: ChangeOutcome.FAILED,
}


async def recover_changes(admin: HostAdmin) -> tuple[str, ...]:
    """Settle interrupted changes, and return a sentence about each.

    Afterwards the journal says DONE or FAILED, and no lock or temporary file is left. Changes that
    are still running and those of another machine are left alone, all of them if the settings allow
    no change. Raises no AituiError: what can't be settled now is reported, and tried again the next
    time.
    """
    if admin.server.read_only:
        return ()
    try:
        changes = await admin.journal.changes_of(admin.server.identity)
    except AituiError as error:
        return (str(error),)
    sentences: list[str] = []
    here = LockOwner.here()
    for change in changes:
        is_open = change.outcome in {ChangeOutcome.OPEN, ChangeOutcome.CUT_OFF}
        is_ours = is_open and change.host == admin.host.label
        # If the aitui that made a change has ended, the change is cut off, however young it is.
        is_over = change.outcome is ChangeOutcome.CUT_OFF or here.has_ended(
            LockOwner(*change.writer)
        )
        is_old = abs(admin.clock.wall() - change.at) >= MAYBE_RUNNING_SECONDS
        if is_ours and (is_over or is_old):
            sentences += await _settle_change(admin, change, changes)
    return tuple(sentences)


async def _settle_change(
    admin: HostAdmin, change: JournalEntry, changes: Sequence[JournalEntry]
) -> tuple[str, ...]:
    what = f"The change of {change.description} at {format_moment(change.at, admin.clock.wall())}"
    file = ConfigFile(admin.host, change.path, clock=admin.clock)
    if change.path == admin.config.path:
        file = admin.config  # it remembers the locks that it could not release
    try:
        found = await file.recover(change.before, change.after)
        later = _state_from_later_change(change, changes)
        whole = later or found.state
        backup = ""
        if whole is FileVersion.NEW:
            # Its path is written to the journal at the end of a change, and undo needs it.
            real_path = await admin.host.resolve(change.path)
            backup = await find_backup(admin.host, real_path, change.before)
        await admin.journal.end(change.id, _OUTCOMES[whole], backup=backup)
    except ConfigLocked:
        return ()
    except AituiError as error:
        return (f"{what} was interrupted, and aitui can't see which file is in place: {error}",)
    return (f"{what} was interrupted: {_describe_state(whole, found, is_past=later is not None)}",)


def _state_from_later_change(
    change: JournalEntry, changes: Sequence[JournalEntry]
) -> FileVersion | None:
    """Return which file a later change found in its place, None if no later change says so."""
    later = changes[changes.index(change) + 1 :]
    for other in later:
        if other.path == change.path and other.outcome in {
            ChangeOutcome.DONE,
            ChangeOutcome.UNDONE,
        }:
            return {change.before: FileVersion.OLD, change.after: FileVersion.NEW}.get(other.before)
    return None


def _describe_state(whole: FileVersion, found: RecoveryResult, *, is_past: bool) -> str:
    words = f"{whole.value} is in place"
    if is_past:
        words = f"{whole.value} was in place, but has changed since"
    if not found.removed:
        return words
    if len(found.removed) == 1:
        return f"{words}; its leftover file was removed"
    return f"{words}; {len(found.removed)} leftover files were removed"


class ConfigWatch:
    """Reads the file, hands it to both monitors, and settles changes that were cut off.

    `on_notice` is called with a sentence about each of these changes. Why the file can't be read is
    not reported: that comes with the first key that needs the host. `context_sizes` keeps what the
    file says for commands that don't wait for the host.
    """

    def __init__(
        self,
        admin: HostAdmin,
        monitor: Monitor,
        hardware: HardwareMonitor,
        on_notice: Callable[[str], None],
        context_sizes: ContextSizes | None = None,
    ) -> None:
        self._admin = admin
        self._context_sizes = context_sizes
        self._monitor = monitor
        self._hardware = hardware
        self._on_notice = on_notice
        self._check_requested = asyncio.Event()
        self._is_readable = False
        self.last_read: ServerConfig | None = None
        """The file as it was read last, None before the first time."""
        self._recovery_lock = asyncio.Lock()
        self._reported: set[str] = set()

    def check_now(self) -> None:
        """Read the file at once."""
        self._check_requested.set()

    async def run(self) -> None:
        """Read the file again and again until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_repeatedly(), name="watch the config file")
            tasks.create_task(self._check_when_rules_are_lost(), name="watch the swap rules")

    async def read(self) -> ServerConfig:
        """Read the file and hand it to both monitors; raises HostError, ConfigRefused."""
        config = await read_server_config(self._admin, self._monitor.snapshot)
        self._is_readable, self.last_read = True, config
        rules = config.swap_rules if config.in_force else None
        blocks = {} if config.in_force else config.listed
        await self._monitor.update_config(
            config.contexts, rules, config.newer, config.doubt, blocks
        )
        self._hardware.update_commands(config.commands, config.environments)
        if self._context_sizes is not None:
            await self._context_sizes.record(self._admin.server.identity, config.contexts)
        return config

    async def recover(self) -> None:
        """Settle changes that were cut off, and report the result of each once."""
        async with self._recovery_lock:
            for sentence in await recover_changes(self._admin):
                if sentence not in self._reported:
                    self._reported.add(sentence)
                    self._on_notice(sentence)

    async def _read_repeatedly(self) -> None:
        while True:
            self._check_requested.clear()
            pause: float | None = CHECK_INTERVAL
            try:
                await self.read()
                await self.recover()
            except AituiError as error:
                self._is_readable = False
                await self._monitor.forget_config()
                if isinstance(error, NEEDS_USER):
                    pause = None
            await sleep_until(self._check_requested, pause)

    async def _check_when_rules_are_lost(self) -> None:
        """Check again when a restarted server may run another file."""
        while True:
            await self._monitor.wait_until(lambda now: now.swap_rules is not None, None)
            await self._monitor.wait_until(lambda now: now.swap_rules is None, None)
            if self._is_readable:
                self.check_now()
