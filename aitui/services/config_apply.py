"""A planned change carried out: written as a transaction, applied by a reload, verified by a load."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from aitui.domain.config.locate import ValueSource
from aitui.domain.confirmation import Ask, Confirmation
from aitui.domain.llama_server import effective_flag_value, find_flag
from aitui.domain.progress import ProgressTracker
from aitui.domain.snapshot import Snapshot
from aitui.errors import (
    Action,
    ActionRefused,
    AituiError,
    ConfigNotApplied,
    ConfigWriteUncertain,
    LoadFailed,
)
from aitui.host.config_types import WriteResult, WriteStep, digest_of
from aitui.services.config_plan import (
    CONTEXT_SIZE,
    KEYS,
    ChangePlan,
    consequences,
    require_startable,
)
from aitui.services.config_recover import describe_entry
from aitui.services.host_admin import HostAdmin
from aitui.services.load import load_model
from aitui.services.reload import trigger_reload, watch_reload
from aitui.services.session import Session
from aitui.store.journal import ChangeOutcome
from aitui.store.journal import JournalEntry as Entry


@dataclass(frozen=True, slots=True)
class ExpectedSetting:
    """What a model should run with; `value` is None if the flag should be absent.

    `flag` is empty if the command can't show the change, as for `ttl`. `in_command` is False if the
    value is in the model's environment, None if that isn't known.
    """

    model: str
    flag: str = ""
    value: str | None = None
    in_command: bool | None = True


async def load_and_verify(
    session: Session, expected: ExpectedSetting, progress: ProgressTracker
) -> None:
    """Load the model, and compare the command that runs with what is expected.

    Raises LoadFailed with the log, and ConfigNotApplied if the model runs with another value.
    """
    with progress.step("load") as words:
        if await load_model(session, expected.model, _always_yes) is None:
            raise ConfigNotApplied(
                f"{expected.model} was not loaded",
                why="its loading was aborted",
                remedy="l loads it",
            )
        words.append(f"{expected.model} is ready")
    with progress.step("verify") as words:
        words.append(await _verify(session, expected))


async def _verify(session: Session, expected: ExpectedSetting) -> str:
    snapshot = await session.monitor.poll_now()
    model = snapshot.model(expected.model)
    if model is None or not model.command:
        raise ConfigNotApplied(
            f"{expected.model} isn't in /running any more",
            why="it came up, and somebody unloaded it",
            remedy="l loads it again",
        )
    if not expected.flag:
        return "the model answers"
    flag, value = expected.flag, expected.value
    runs_with = effective_flag_value(model.command, find_flag(flag))
    absent = runs_with is None and value is not None
    if absent and expected.in_command is not True:
        return await _verify_by_properties(session, expected)
    if runs_with != value:
        raise ConfigNotApplied(
            f"{expected.model} runs with {flag} {runs_with or 'unset'}, not {value or 'unset'}",
            why="the server reads another file, or has not read this one",
            remedy="see which file the service reads",
            action=Action.RUN_DOCTOR,
        )
    return f"runs with {flag} {runs_with or 'unset'}, and answers"


async def _verify_by_properties(session: Session, expected: ExpectedSetting) -> str:
    """Ask the model itself, right after it was loaded: llama-swap shows no environment."""
    value = expected.value or ""
    if find_flag(expected.flag) != find_flag(CONTEXT_SIZE) or not value.isdecimal():
        return "the model answers; what is in its environment isn't told"
    sizes = await session.client.context_sizes(expected.model)
    if sizes and int(value) not in sizes:
        raise ConfigNotApplied(
            f"{expected.model} runs with a context of {max(sizes):,} tokens, not {int(value):,}",
            why="its environment was read before the change, or the model has fewer",
            remedy="see which file the service reads",
            action=Action.RUN_DOCTOR,
        )
    return f"runs with a context of {int(value):,} tokens, and answers"


async def _always_yes(build: object) -> bool:
    """Answer yes: the confirmed change includes the load that verifies it."""
    del build
    return True


WRITING = ("read", "edit", "check", "back up", "replace")
TAKING_EFFECT = ("reload", "load", "verify")
CHANGING = (*WRITING, *TAKING_EFFECT)

_NAMES = {
    WriteStep.CHECK: "check",
    WriteStep.LOCK: "back up",
    WriteStep.COMPARE: "back up",
    WriteStep.BACK_UP: "back up",
    WriteStep.WRITE: "replace",
    WriteStep.COMPARE_AGAIN: "replace",
    WriteStep.REPLACE: "replace",
    WriteStep.VERIFY: "replace",
    WriteStep.TIDY: "replace",
}


@dataclass(frozen=True, slots=True)
class WrittenChange:
    """A change that is in the file; `warnings` are sentences about what went wrong beside it."""

    entry: Entry
    warnings: tuple[str, ...] = ()


Write = Callable[[], Awaitable[WrittenChange]]


@dataclass(frozen=True, slots=True)
class ChangeObserver:
    """Where the steps of a change go, how to ask on the way, and what it should lead to."""

    progress: ProgressTracker
    ask: Ask
    expected: ExpectedSetting | None


class ChangeApplyFailed(AituiError):
    """The change is in the file and didn't take effect, because of `cause`.

    `written` is what can be taken back.
    """

    def __init__(self, written: WrittenChange, cause: AituiError) -> None:
        super().__init__(cause.what, why=cause.why, remedy=cause.remedy, action=cause.action)
        self.written = written
        self.cause = cause


async def apply_change(
    admin: HostAdmin,
    session: Session | None,
    plan: ChangePlan,
    progress: ProgressTracker,
    ask: Ask,
) -> WrittenChange:
    """Make a change, from reading to verifying; without a session only the file is changed.

    Raises ChangeApplyFailed if the file was changed and a later step failed; ActionRefused,
    ConfigRefused and its kin, HostError and JournalError if nothing was written, except for
    ConfigWriteUncertain.
    """
    return await write_and_apply(
        admin,
        session,
        lambda: _write_change(admin, plan, progress),
        ChangeObserver(progress, ask, _expected_result(plan)),
    )


async def write_and_apply(
    admin: HostAdmin,
    session: Session | None,
    write: Write,
    observer: ChangeObserver,
) -> WrittenChange:
    """Write, make the server read the file, load the expected model if there is one, and verify."""
    progress, expected = observer.progress, observer.expected
    if session is None:
        written = await write()
        progress.skip(*TAKING_EFFECT, words="the server goes on with what it has")
        return written
    async with watch_reload(admin, session) as watch:
        written = await write()
        try:
            with progress.step("reload") as words:
                words.append(await trigger_reload(admin, session, watch, observer.ask))
            if expected is None:
                progress.skip("load", "verify")
            else:
                await load_and_verify(session, expected, progress)
        except AituiError as error:
            raise ChangeApplyFailed(written, error) from error
    return written


async def write_with_journal(
    admin: HostAdmin,
    entry: Entry,
    progress: ProgressTracker,
    write: Callable[[Callable[[WriteStep], object]], Awaitable[WriteResult]],
) -> WrittenChange:
    """Write with an entry in the journal before and after, and follow the steps."""
    await admin.journal.begin(entry)
    try:
        written = await write(lambda step: _advance_to(progress, _NAMES[step]))
    except ConfigWriteUncertain as error:
        # The next start finds out which file is there, and reports it.
        progress.fail(error.what)
        raise
    except AituiError as error:
        progress.fail(error.what)
        await admin.journal.end(entry.id, ChangeOutcome.FAILED)
        raise
    except BaseException:
        progress.fail("broken off")
        raise
    progress.finish("read back" if written.verified else "not read back")
    await admin.journal.end(entry.id, ChangeOutcome.DONE, backup=written.backup)
    return WrittenChange(replace(entry, backup=written.backup), _write_warnings(written))


async def _write_change(
    admin: HostAdmin, plan: ChangePlan, progress: ProgressTracker
) -> WrittenChange:
    admin.refuse_if_read_only("changing the config file")
    change, reading = plan.change, plan.reading
    with progress.step("read") as words:
        now = await admin.config.read()
        words.append(f"{len(now.content):,} bytes")
    with progress.step("edit") as words:
        content = plan.content
        words.append(f"{change.old or 'unset'} → {change.new}" if change.flag else "")
    with progress.step("check"):
        await asyncio.to_thread(require_startable, reading.content, content)
    entry = Entry(
        id=secrets.token_hex(8),
        at=admin.clock.wall(),
        server=admin.server.identity,
        host=admin.host.label,
        path=admin.config.path,
        before=reading.digest,
        after=digest_of(content),
        model=change.model,
        flag=change.flag,
        old=change.old or "",
        new=change.new or "",
    )
    return await write_with_journal(
        admin,
        entry,
        progress,
        # The text read for the plan: what others wrote since then is noticed, not overwritten.
        lambda on_step: admin.config.write(reading, content, on_step=on_step),
    )


def _advance_to(progress: ProgressTracker, name: str) -> None:
    running = progress.steps.running
    if running is None or running.name != name:
        progress.advance(name)


def _expected_result(plan: ChangePlan) -> ExpectedSetting | None:
    """Return what the changed model should run with; None if the model was removed."""
    change = plan.change
    if not change.model or change.new is None:
        return None
    if change.where is ValueSource.KEY or not change.flag:
        return ExpectedSetting(change.model)
    return ExpectedSetting(
        change.model, change.flag, change.new, change.where is not ValueSource.ENVIRONMENT
    )


def _write_warnings(written: WriteResult) -> tuple[str, ...]:
    if written.changed_after:
        return (
            *written.warnings,
            "Somebody else wrote the file right after it: it holds their text now.",
        )
    return written.warnings


LOG_LINES = 6
UNDOING = ("check", "back up", "replace", "reload", "load", "verify")


async def last_change(admin: HostAdmin) -> Entry:
    """Return the change that `undo` would take back; raises ActionRefused if there is none."""
    entry = await admin.journal.last_undoable(admin.server.identity)
    if entry is None:
        raise ActionRefused(
            "There is nothing to undo",
            why=f"aitui changed nothing at {admin.server.label}, or took it all back",
            remedy="list the changes",
            action=Action.SHOW_JOURNAL,
        )
    return entry


def undo_confirmation(entry: Entry, at: str, snapshot: Snapshot | None) -> Confirmation:
    """Confirm an undo, with what it unloads; `at` is the time of the change, in words."""
    facts = [f"made {at}: {describe_entry(entry)}"]
    if snapshot is not None:
        facts += consequences(snapshot, entry.model)
    return Confirmation("Undo the last change of the config file?", tuple(facts), yes="Undo")


def rollback_confirmation(cause: AituiError) -> Confirmation:
    """Offer the old value if the new one didn't take effect."""
    log = cause.log if isinstance(cause, LoadFailed) else ()
    facts = (cause.what, cause.why, *log[-LOG_LINES:])
    return Confirmation(
        "It did not take effect. Put the old value back?",
        tuple(fact for fact in facts if fact),
        yes="Put it back",
        no="Keep the new one",
        unprompted=True,
    )


async def undo_change(
    admin: HostAdmin, session: Session | None, entry: Entry, progress: ProgressTracker, ask: Ask
) -> WrittenChange:
    """Put back the file from before that change, apply and verify it.

    Raises what `apply_change` raises, and ConfigChangedMeanwhile if the file was changed since.
    """
    admin.refuse_if_read_only("undoing a change")
    backwards = Entry(
        id=secrets.token_hex(8),
        at=admin.clock.wall(),
        server=entry.server,
        host=entry.host,
        path=entry.path,
        before=entry.after,
        after=entry.before,
        model=entry.model,
        flag=entry.flag,
        old=entry.new,
        new=entry.old,
        undoes=entry.id,
    )
    expected = ExpectedSetting(entry.model) if entry.model else None
    if entry.model and entry.flag and entry.flag not in KEYS:
        expected = ExpectedSetting(entry.model, entry.flag, entry.old or None, in_command=None)
    return await write_and_apply(
        admin,
        session,
        lambda: write_with_journal(
            admin,
            backwards,
            progress,
            lambda on_step: admin.config.undo(
                backup=entry.backup, before=entry.before, after=entry.after, on_step=on_step
            ),
        ),
        ChangeObserver(progress, ask, expected),
    )
