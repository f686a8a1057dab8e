"""A change of the config file from its question to its result, and its way back.

The file is written as a transaction with an entry in the journal; then the server reads it, and the
model is loaded to see that it runs with the new value. Reloads and restarts are asked about and
followed in the same way.
"""

import asyncio
import posixpath
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext, suppress
from enum import Enum
from functools import partial
from typing import Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from aitui.aio import shield
from aitui.domain.config.locate import ValueSource
from aitui.domain.config.verify import file_diff
from aitui.domain.confirmation import Confirmation
from aitui.domain.llama_server import effective_flag_value, find_flag
from aitui.domain.progress import ProgressTracker, Steps
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import ConnectionPhase, Snapshot
from aitui.domain.unload_costs import describe_free_memory, unload_costs
from aitui.errors import (
    Action,
    ActionRefused,
    AituiError,
    BadResponse,
    ConfigNotApplied,
    ConfigRefused,
    ConfigWriteUncertain,
    ConnectionLost,
    HostTimedOut,
    JournalError,
    LoadFailed,
    ProxyError,
    ServerError,
    TimedOut,
    TooManyRequests,
    Unreachable,
    ValueUnchanged,
)
from aitui.host.base import digest_of
from aitui.host.config_file import OnStep, WriteResult, WriteStep
from aitui.host.config_lock import LockOwner
from aitui.host.unit import UnitInfo
from aitui.services.config_plan import (
    CONTEXT_SIZE,
    KEYS,
    LONGEST_LABEL,
    ChangePlan,
    consequences,
    flag_edit,
    plan_change,
)
from aitui.services.host_admin import HostAdmin
from aitui.services.load import load_model
from aitui.services.reload import (
    RELOADING,
    RESTARTING,
    ReloadWatch,
    confirm_reload,
    confirm_restart,
    reload_server,
    restart_server,
    trigger_reload,
    wait_for_response,
)
from aitui.services.session import Session
from aitui.store.journal import ChangeOutcome, JournalEntry

TAKING_EFFECT = ("reload", "load", "verify")
CHANGING = ("read", "edit", "check", "back up", "replace", *TAKING_EFFECT)
UNDOING = CHANGING[2:]
LOG_LINES = 6
_CONTEXT_PADDING = 256
OUTAGE_SECONDS = 60.0
"""Seconds to wait for an unreachable server before a change counts as not verified."""
RETRY_INTERVAL = 1.0
OUTAGES = (Unreachable, ProxyError, BadResponse, TooManyRequests)
"""Errors that say nothing of a load or of a value."""
_T = TypeVar("_T")

_STEP_NAMES = {
    **dict.fromkeys(WriteStep, "replace"),
    WriteStep.CHECK: "check",
    **dict.fromkeys((WriteStep.LOCK, WriteStep.COMPARE, WriteStep.BACK_UP), "back up"),
}


class PlanAnswer(Enum):
    """The user's answer to a planned change."""

    YES = "yes"
    NO = "no"
    ONLY_THIS_MODEL = "only this model"


class Job(Enum):
    """The jobs of the runner."""

    CHANGE = "change"
    ROLLBACK = "rollback"
    UNDO = "undo"
    DOWNLOAD = "download"
    LOAD = "load"
    RELOAD = "reload"
    RESTART = "restart"


class WrittenChange(Struct, frozen=True):
    """A change that is in the file; `warnings` are sentences about what went wrong beside it."""

    entry: JournalEntry
    warnings: tuple[str, ...] = ()


class ChangeApplyFailed(AituiError):
    """The change is in the file and didn't take effect, because of `cause`.

    `written` is what can be taken back.
    """

    def __init__(self, written: WrittenChange, cause: AituiError) -> None:
        super().__init__(cause.what, why=cause.why, remedy=cause.remedy, action=cause.action)
        self.written = written
        self.cause = cause


class JobResult(Struct, frozen=True):
    """The result of a job; `error` says why it failed.

    `plan` is that of a change, `entry` the change that is taken back, `cause` the reason for a
    rollback, and `written` what the file now holds.
    """

    job: Job
    plan: ChangePlan | None = None
    entry: JournalEntry | None = None
    written: WrittenChange | None = None
    error: AituiError | None = None
    cause: AituiError | None = None


class Frontend(Protocol):
    """The interface on which jobs are confirmed and followed: dialogs, or a terminal."""

    async def ask(self, build: Callable[[Snapshot], Confirmation], /) -> bool:
        """Ask for a confirmation, which is rebuilt from each snapshot while it is open."""

    async def confirm_plan(self, plan: ChangePlan, /) -> PlanAnswer:
        """Show what a change would do, and ask."""

    def begin(self, title: str, model: str, /) -> Callable[[Steps], None]:
        """Open the view of a job that loads `model`, if any; the steps go to what is returned."""

    def finish(self, result: JobResult, /) -> None:
        """Show the result of the job that was begun last."""


class ConfigRunner(Struct, frozen=True):
    """Runs jobs at one host in front of one frontend.

    Each method returns None if the answer was no. It raises what keeps the job from beginning;
    what goes wrong later is in the result. Without a session a change is only written.

    What doesn't depend on the answer is done while the question is open: the new text is parsed
    and checked, systemd is asked about the unit, and the stream that ends at a reload is opened.
    """

    admin: HostAdmin
    session: Session | None
    frontend: Frontend

    async def change_flag(
        self, model_id: str, flag: str, value: str, *, only: bool = False
    ) -> JobResult | None:
        """Give a flag of llama-server, or `ttl`, another value.

        If the file has it already, a reload is offered to a model that runs with another one;
        without that ValueUnchanged is raised.
        """
        self.admin.server.refuse_if_read_only("changing the config file")
        async with self.watch_reload() as watch:
            while True:
                edit = flag_edit(model_id, flag, value, only_this_model=only)
                plan = await plan_change(self.admin, edit)
                if plan.change.after == plan.change.before:
                    return await self._keep_value(plan)
                answer = await self.frontend.confirm_plan(plan)
                if answer is not PlanAnswer.ONLY_THIS_MODEL:
                    return await self._change(plan, watch) if answer is PlanAnswer.YES else None
                only = True

    async def _keep_value(self, plan: ChangePlan) -> JobResult | None:
        change, runs_with = plan.change, None
        if self.session is not None and change.flag not in KEYS:
            model = (await self.session.monitor.poll_now()).model(change.model)
            if model is not None and model.resident:
                runs_with = effective_flag_value(
                    model.command, find_flag(change.flag), model.llama_servers
                )
        if runs_with is not None and runs_with != change.new:
            return await self.reload()
        raise ValueUnchanged(
            f"It is {change.new or 'set'} already",
            why=f"{change.flag} of {change.model} already has that value in the config file",
        )

    async def change(self, plan: ChangePlan) -> JobResult | None:
        """Make a change that is planned already."""
        self.admin.server.refuse_if_read_only("changing the config file")
        async with self.watch_reload() as watch:
            answer = await self.frontend.confirm_plan(plan)
            return await self._change(plan, watch) if answer is PlanAnswer.YES else None

    async def undo(self, format_time: Callable[[float], str]) -> JobResult | None:
        """Take back the last change; `format_time` words the Unix time at which it was made.

        Raises ActionRefused if there is none.
        """
        self.admin.server.refuse_if_read_only("undoing a change")
        label = self.admin.server.label
        entry = await self.admin.journal.last_undoable(self.admin.server.identity)
        if entry is None:
            raise ActionRefused(
                "There is nothing to undo",
                why=f"aitui has not changed anything at {label}, or has already undone it",
                remedy="list the changes",
                action=Action.SHOW_JOURNAL,
            )
        at = format_time(entry.at)
        reading, old = await self.admin.config.read_backup(
            backup=entry.backup, before=entry.before, after=entry.after
        )
        diff = await asyncio.to_thread(file_diff, reading.content, old, "", "")
        lines = tuple(diff.splitlines()[2:])
        async with self.watch_reload() as watch:
            if not await self.frontend.ask(lambda now: undo_confirmation(entry, at, now, lines)):
                return None
            return await self._undo(Job.UNDO, "Undoing the last change", entry, watch)

    async def reload(self) -> JobResult | None:
        """Make the server read its config file again."""
        if not await confirm_reload(self.admin, self.frontend.ask):
            return None

        async def work(progress: ProgressTracker) -> None:
            await reload_server(self.admin, self._live_session, progress, self.frontend.ask)

        return await self.run_job(
            JobResult(Job.RELOAD), "Reloading the config file", RELOADING, work
        )

    async def load_added_model(self, model_id: str) -> JobResult | None:
        """Load a model that is in the file, after a reload if the server hasn't read its block."""
        session = self._live_session
        model = (await session.monitor.poll_now()).model(model_id)
        is_read = model is not None and not model.unread
        if is_read:
            if await load_model(session, model_id, self.frontend.ask) is None:
                return None
        elif not await confirm_reload(self.admin, self.frontend.ask):
            return None

        async def work(progress: ProgressTracker) -> None:
            if not is_read:
                await reload_server(self.admin, session, progress, self.frontend.ask)
            await load_and_verify(session, ExpectedSetting(model_id), progress)

        steps = ("load", "verify") if is_read else (*RELOADING, "load", "verify")
        result = JobResult(Job.LOAD)
        return await self.run_job(result, f"Loading {model_id}", steps, work, model=model_id)

    async def restart(self) -> JobResult | None:
        """Restart the service."""
        if not await confirm_restart(self.admin, self.frontend.ask):
            return None

        async def work(progress: ProgressTracker) -> None:
            await restart_server(self.admin, self._live_session, progress)

        title = f"Restarting {self.admin.service.unit}"
        return await self.run_job(JobResult(Job.RESTART), title, RESTARTING, work)

    def watch_reload(self) -> AbstractAsyncContextManager[ReloadWatch | None]:
        """Watch the server while the block runs; None without a session."""
        if self.session is None:
            return nullcontext()
        return aclosing(ReloadWatch(self.admin, self.session))

    async def apply(
        self, plan: ChangePlan, watch: ReloadWatch | None, progress: ProgressTracker
    ) -> WrittenChange:
        """Write a planned change, make the server read it, and verify that it took effect.

        Raises ChangeApplyFailed if the file was changed and a later step failed; ConfigRefused and
        its kin, HostError and JournalError if nothing was written, except for ConfigWriteUncertain.
        """
        admin, change, reading = self.admin, plan.change, plan.reading
        with progress.step("read") as words:
            name = sanitize_line(posixpath.basename(reading.path), LONGEST_LABEL)
            words.append(f"{name}, {len(reading.content.splitlines()):,} lines")
        with progress.step("edit") as words:
            words.append(f"{change.old or 'unset'} → {change.new}" if change.flag else "")
        entry = JournalEntry(
            id=secrets.token_hex(8),
            at=admin.clock.wall(),
            server=admin.server.identity,
            host=admin.host.label,
            path=admin.config.path,
            before=reading.digest,
            after=digest_of(plan.content),
            model=change.model,
            flag=change.flag,
            old=change.old or "",
            new=change.new or "",
        )

        async def write(on_step: OnStep) -> WriteResult:
            # The text read for the plan: what others wrote since is noticed, not overwritten.
            unit = await admin.unit_info() if watch is None else watch.unit
            validate = None if unit is None else partial(_validate_on_host, admin, unit)
            return await admin.config.write(
                reading, plan.content, on_step=on_step, validate=validate
            )

        return await self._write_and_apply(entry, write, _expected_result(plan), watch, progress)

    async def take_back(
        self, entry: JournalEntry, watch: ReloadWatch | None, progress: ProgressTracker
    ) -> WrittenChange:
        """Put back the file from before that change, apply and verify it.

        Raises what `apply` raises, and ConfigChangedMeanwhile if the file was changed since.
        """
        backwards = replace(
            entry,
            id=secrets.token_hex(8),
            at=self.admin.clock.wall(),
            before=entry.after,
            after=entry.before,
            old=entry.new,
            new=entry.old,
            backup="",
            undoes=entry.id,
            outcome=ChangeOutcome.OPEN,
        )
        expected = None if _undo_removes(entry) else ExpectedSetting(entry.model)
        if entry.model and entry.flag and entry.flag not in KEYS:
            expected = ExpectedSetting(entry.model, entry.flag, entry.old or None, in_command=None)

        async def write(on_step: OnStep) -> WriteResult:
            return await self.admin.config.undo(
                backup=entry.backup, before=entry.before, after=entry.after, on_step=on_step
            )

        return await self._write_and_apply(backwards, write, expected, watch, progress)

    async def _change(self, plan: ChangePlan, watch: ReloadWatch | None) -> JobResult:
        """Apply a plan; on a failure offer to put the old value back."""
        change = plan.change
        verb, subject = "Changing", f"{change.flag} of {change.model}"
        if not change.flag:
            subject = change.model or "the config file"
            if change.model:
                verb = "Adding" if change.added else "Removing"
        result = await self.run_job(
            JobResult(Job.CHANGE, plan),
            f"{verb} {subject}",
            CHANGING,
            lambda progress: self.apply(plan, watch, progress),
            model=change.model,
        )
        cause, written = result.error, result.written
        if cause is None or written is None or isinstance(cause, OUTAGES):
            # A server without an answer that can be read says nothing against the new value.
            return result
        if not await self.frontend.ask(lambda _: rollback_confirmation(cause)):
            return result
        title = "Putting the old value back"
        rolled_back = await self._undo(Job.ROLLBACK, title, written.entry, watch, cause)
        return result if rolled_back.error is None else rolled_back

    async def _undo(
        self,
        job: Job,
        title: str,
        entry: JournalEntry,
        watch: ReloadWatch | None,
        cause: AituiError | None = None,
    ) -> JobResult:
        return await self.run_job(
            JobResult(job, entry=entry, cause=cause),
            title,
            UNDOING,
            lambda progress: self.take_back(entry, watch, progress),
            model=entry.model,
        )

    async def run_job(
        self,
        result: JobResult,
        title: str,
        steps: tuple[str, ...],
        work: Callable[[ProgressTracker], Awaitable[WrittenChange | None]],
        *,
        model: str = "",
    ) -> JobResult:
        """Work in front of the user; an AituiError of it is in the result."""
        progress = ProgressTracker(self.admin.clock, self.frontend.begin(title, model), *steps)
        try:
            result = replace(result, written=await work(progress))
        except ChangeApplyFailed as error:
            result = replace(result, written=error.written, error=error.cause)
        except AituiError as error:
            result = replace(result, error=error)
        self.frontend.finish(result)
        return result

    async def _write_and_apply(
        self,
        entry: JournalEntry,
        write: Callable[[OnStep], Awaitable[WriteResult]],
        expected: "ExpectedSetting | None",
        watch: ReloadWatch | None,
        progress: ProgressTracker,
    ) -> WrittenChange:
        if watch is None or self.session is None:
            written = await write_with_journal(self.admin, entry, progress, write)
            progress.skip(*TAKING_EFFECT, words="the server keeps its current config")
            return written
        await watch.arm()
        written = await write_with_journal(self.admin, entry, progress, write)
        try:
            with progress.step("reload") as words:
                words.append(await trigger_reload(watch, self.frontend.ask))
            if expected is None:
                progress.skip("load", "verify")
            else:
                await load_and_verify(self.session, expected, progress)
        except AituiError as error:
            raise ChangeApplyFailed(written, error) from error
        try:
            at = self.admin.clock.wall()
            await self.admin.journal.end(entry.id, ChangeOutcome.DONE, read_at=at)
        except JournalError as error:
            return replace(written, warnings=(*written.warnings, str(error)))
        return written

    @property
    def _live_session(self) -> Session:
        assert self.session is not None, "a reload needs the server"
        return self.session


async def _validate_on_host(admin: HostAdmin, unit: UnitInfo, path: str) -> None:
    """Raise ConfigRefused if the llama-swap of the host refuses the config file at a path.

    What can't be asked there doesn't stop a change: the file has passed our own check.
    """
    with suppress(HostTimedOut):
        if refusal := await admin.service.find_config_error(unit, path):
            raise ConfigRefused(
                "llama-swap itself rejects the new config file",
                why=refusal,
                remedy="nothing was changed; fix that first",
            )


async def write_with_journal(
    admin: HostAdmin,
    entry: JournalEntry,
    progress: ProgressTracker,
    write: Callable[[OnStep], Awaitable[WriteResult]],
) -> WrittenChange:
    """Write with an entry in the journal before and after, and follow the steps."""
    writer = LockOwner.here()
    entry = replace(entry, writer=(writer.user, writer.machine, writer.process))
    await admin.journal.begin(entry)

    def follow(step: WriteStep) -> None:
        running = progress.steps.running
        if running is None or running.name != _STEP_NAMES[step]:
            progress.advance(_STEP_NAMES[step])

    try:
        written = await write(follow)
    except ConfigWriteUncertain as error:
        # The next start finds out which file is there, and reports it.
        progress.fail(error.what)
        raise
    except AituiError as error:
        progress.fail(error.what)
        # Only what was cut off is settled, and what it left removed, once the host is there again.
        is_cut_off = admin.config.has_leftovers
        outcome = ChangeOutcome.CUT_OFF if is_cut_off else ChangeOutcome.FAILED
        await admin.journal.end(entry.id, outcome)
        raise
    except BaseException:
        progress.fail("interrupted")
        with suppress(JournalError):  # it is settled a minute later then
            await shield(admin.journal.end(entry.id, ChangeOutcome.CUT_OFF))
        raise
    progress.finish("read back" if written.verified else "not read back")
    await admin.journal.end(entry.id, ChangeOutcome.DONE, backup=written.backup)
    warnings = written.warnings
    if written.changed_after:
        words = "Another program overwrote the file right after that; the file now holds that text."
        warnings = (*warnings, words)
    return WrittenChange(replace(entry, backup=written.backup), warnings)


class ExpectedSetting(Struct, frozen=True):
    """What a model should run with; `value` is None if the flag should be absent.

    `flag` is empty if the command can't show the change, as for `ttl`. `in_command` is False if the
    value is in the model's environment, None if that isn't known.
    """

    model: str
    flag: str = ""
    value: str | None = None
    in_command: bool | None = True


def _expected_result(plan: ChangePlan) -> ExpectedSetting | None:
    """Return what the changed model should run with; None if the model was removed."""
    change = plan.change
    if not change.model or change.new is None:
        return None
    if change.where is ValueSource.KEY or not change.flag:
        return ExpectedSetting(change.model)
    in_command = change.where is not ValueSource.ENVIRONMENT
    return ExpectedSetting(change.model, change.flag, change.new, in_command)


def _undo_removes(entry: JournalEntry) -> bool:
    """Whether the change added a model, or isn't one of a single model: its undo loads none."""
    return not entry.model or not (entry.flag or entry.old)


async def load_and_verify(
    session: Session, expected: ExpectedSetting, progress: ProgressTracker
) -> None:
    """Load the model, and compare the command that runs with what is expected.

    Raises LoadFailed with the log, and ConfigNotApplied if the model runs with another value.
    """
    give_up_at = session.clock.monotonic() + OUTAGE_SECONDS
    with progress.step("load") as words:
        load = partial(load_model, session, expected.model, _always_yes)
        if await _retry_during_outage(session, load, give_up_at) is None:
            raise ConfigNotApplied(
                f"{expected.model} was not loaded",
                why="the load was aborted",
                remedy=f"load it: aitui load {expected.model}",
            )
        words.append(f"{expected.model} is ready")
    with progress.step("verify") as words:
        verify = partial(_verify, session, expected)
        words.append(await _retry_during_outage(session, verify, give_up_at))


async def _retry_during_outage(
    session: Session, work: Callable[[], Awaitable[_T]], give_up_at: float
) -> _T:
    """Work again until that monotonic time if the server, or a proxy, gives no answer that counts."""
    while True:
        try:
            return await work()
        except AituiError as error:
            left = give_up_at - session.clock.monotonic()
            # Whatever status a poll is answered with: no load and no value is meant.
            is_outage = _is_outage(error) or error is session.snapshot.connection.error
            if not is_outage or left <= 0:
                raise
            await asyncio.sleep(RETRY_INTERVAL)
            with suppress(TimedOut):
                await wait_for_response(session, left)


def _is_outage(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is one of `OUTAGES`: nothing failed."""
    while error is not None and not isinstance(error, OUTAGES):
        error = error.__cause__
    return error is not None


def _is_live(snapshot: Snapshot) -> bool:
    return snapshot.connection.phase is ConnectionPhase.LIVE


async def _always_yes(build: object) -> bool:
    """Answer yes: the confirmed change includes the load that verifies it."""
    del build
    return True


async def _verify(session: Session, expected: ExpectedSetting) -> str:
    snapshot = await session.monitor.poll_now()
    if not _is_live(snapshot):
        lost = ConnectionLost("The connection broke before the new value was verified")
        raise snapshot.connection.error or lost
    model = snapshot.model(expected.model)
    if model is None or not model.command:
        raise ConfigNotApplied(
            f"{expected.model} is no longer in /running",
            why="it became ready, and another client unloaded it",
            remedy=f"load it again: aitui load {expected.model}",
        )
    if not expected.flag:
        return "the model answers"
    flag, value = expected.flag, expected.value
    runs_with = effective_flag_value(model.command, find_flag(flag), model.llama_servers)
    is_in_environment = runs_with is None and value is not None and expected.in_command is not True
    if runs_with != value and not is_in_environment:
        raise ConfigNotApplied(
            f"{expected.model} runs with {flag} {runs_with or 'unset'}, not {value or 'unset'}",
            why="the server uses another file, or has not read this one",
            remedy="see which file the service reads",
            action=Action.RUN_DOCTOR,
        )
    if find_flag(flag) == find_flag(CONTEXT_SIZE) and (value or "").isdecimal() and int(value or 0):
        return await _verify_by_program(session, expected.model, int(value or 0))
    if is_in_environment:
        return "not verified: the server doesn't report the model's environment"
    return f"runs with {flag} {runs_with or 'unset'}"


async def _verify_by_program(session: Session, model: str, tokens: int) -> str:
    """Ask the model's program itself, right after it was loaded: a wrapper may ignore the flag."""
    try:
        sizes = await session.client.context_sizes(model)
    except ProxyError:
        raise
    except (ServerError, BadResponse):
        sizes = frozenset()
    if not sizes:
        return "not verified: the program doesn't report its context"
    # llama-server rounds the context of each slot up to a multiple of 256.
    padding = _CONTEXT_PADDING * (max(sizes) // min(sizes))
    if not any(0 <= size - tokens < padding for size in sizes):
        raise ConfigNotApplied(
            f"{model} runs with a context of {max(sizes):,} tokens, not {tokens:,}",
            why="its program or start script ignores the value, or the model supports fewer tokens",
            remedy="check its command in the config file, and the model's log",
            action=Action.SHOW_CONFIG,
        )
    return f"runs with a context of {tokens:,} tokens"


def undo_confirmation(
    entry: JournalEntry, at: str, snapshot: Snapshot | None, diff: tuple[str, ...] = ()
) -> Confirmation:
    """Confirm an undo, with its diff and what it unloads; `at` is the time of the change, in words."""
    facts = [f"made {at}: {entry.description}"]
    costs = () if snapshot is None else unload_costs(snapshot)
    if snapshot is not None:
        facts += consequences(snapshot, "" if _undo_removes(entry) else entry.model, entry.flag)
        facts += describe_free_memory(snapshot)
    title = "Undo the last change to the config file?"
    return Confirmation(title, tuple(facts), yes="Undo", costs=costs, diff=diff)


def rollback_confirmation(cause: AituiError) -> Confirmation:
    """Offer the old value if the new one didn't take effect."""
    log = cause.log if isinstance(cause, LoadFailed) else ()
    facts = (cause.what, cause.why, *log[-LOG_LINES:])
    return Confirmation(
        "It did not take effect. Put the old value back?",
        tuple(fact for fact in facts if fact),
        yes="Put it back",
        no="Keep the new value",
        unprompted=True,
    )
