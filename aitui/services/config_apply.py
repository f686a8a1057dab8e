"""A proposed change carried out: written as a transaction, taken up by the server, and proven."""

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
    """What a model is to run with; `value` is None where the flag is to be absent.

    `flag` is empty where nothing can be expected of the command, as for `ttl`. `in_command` is
    False where the value stands in the model's environment, None where that isn't known.
    """

    model: str
    flag: str = ""
    value: str | None = None
    in_command: bool | None = True


async def load_and_verify(
    session: Session, expected: ExpectedSetting, progress: ProgressTracker
) -> None:
    """Load the model, and see the value in the command that runs.

    Raises LoadFailed with the log, and NotTakenEffect where the model runs with something else.
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
    """llama-swap shows no environment: the model itself is asked, right after it was loaded."""
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
    """Who said yes to the change said yes to the load that proves it."""
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
    """A change that stands in the file; `warnings` are sentences about what isn't quite right."""

    entry: Entry
    warnings: tuple[str, ...] = ()


Write = Callable[[], Awaitable[WrittenChange]]


@dataclass(frozen=True, slots=True)
class ChangeObserver:
    """Who watches a change: is told its steps, is asked where it has two ways, and expects this."""

    progress: ProgressTracker
    ask: Ask
    expected: ExpectedSetting | None


class ChangeApplyFailed(AituiError):
    """The change stands in the file, and it didn't take effect; `cause` is why.

    `made` is what can be taken back.
    """

    def __init__(self, made: WrittenChange, cause: AituiError) -> None:
        super().__init__(cause.what, why=cause.why, remedy=cause.remedy, action=cause.action)
        self.made = made
        self.cause = cause


async def apply_change(
    admin: HostAdmin,
    session: Session | None,
    proposal: ChangePlan,
    progress: ProgressTracker,
    ask: Ask,
) -> WrittenChange:
    """The whole road, from reading to the proof; without a session the file alone is changed.

    Raises NotEffective where the file was changed and something behind that failed; Refused,
    ConfigRefused and its kin, HostError, JournalError where nothing was written, but for
    ConfigWriteUncertain.
    """
    return await write_and_apply(
        admin,
        session,
        lambda: _write_change(admin, proposal, progress),
        ChangeObserver(progress, ask, _expected_result(proposal)),
    )


async def write_and_apply(
    admin: HostAdmin,
    session: Session | None,
    write: Write,
    watched: "ChangeObserver",
) -> WrittenChange:
    """Write, have the server read it, load the model that is expected if there is one, and look."""
    progress, expected = watched.progress, watched.expected
    if session is None:
        made = await write()
        progress.skip(*TAKING_EFFECT, words="the server goes on with what it has")
        return made
    async with watch_reload(admin, session) as watch:
        made = await write()
        try:
            with progress.step("reload") as words:
                words.append(await trigger_reload(admin, session, watch, watched.ask))
            if expected is None:
                progress.skip("load", "verify")
            else:
                await load_and_verify(session, expected, progress)
        except AituiError as error:
            raise ChangeApplyFailed(made, error) from error
    return made


async def write_with_journal(
    admin: HostAdmin,
    entry: Entry,
    progress: ProgressTracker,
    write: Callable[[Callable[[WriteStep], object]], Awaitable[WriteResult]],
) -> WrittenChange:
    """Write, with the journal true before and after; the steps of the writing are told."""
    await admin.journal.begin(entry)
    try:
        written = await write(lambda step: _advance_to(progress, _NAMES[step]))
    except ConfigWriteUncertain as error:
        # Which file is there is seen, and told, at the next start.
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
    admin: HostAdmin, proposal: ChangePlan, progress: ProgressTracker
) -> WrittenChange:
    admin.refuse_if_read_only("changing the config file")
    change, reading = proposal.change, proposal.reading
    with progress.step("read") as words:
        now = await admin.config.read()
        words.append(f"{len(now.content):,} bytes")
    with progress.step("edit") as words:
        content = proposal.content
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
        # What was read when it was proposed: whoever wrote since is noticed, and not overwritten.
        lambda tell: admin.config.write(reading, content, on_step=tell),
    )


def _advance_to(progress: ProgressTracker, name: str) -> None:
    running = progress.steps.running
    if running is None or running.name != name:
        progress.advance(name)


def _expected_result(proposal: ChangePlan) -> ExpectedSetting | None:
    """What the changed model is to run with; None where there is no such model any more."""
    change = proposal.change
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
    """The change that `undo` would take back; raises Refused where there is none."""
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
    """What taking back will hit; `at` is the time of the change, in words."""
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
    """Put the file back as it was before that change, and see that it works.

    Raises what `change_config` raises; ConfigChangedMeanwhile where the file isn't ours any more.
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
            lambda tell: admin.config.undo(
                backup=entry.backup, before=entry.before, after=entry.after, on_step=tell
            ),
        ),
        ChangeObserver(progress, ask, expected),
    )
