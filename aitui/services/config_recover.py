"""The last change of the config file taken back, on the same road and with the same proof."""

import asyncio
import secrets
import time
from collections.abc import Sequence

from aitui.aio import cancel_and_wait
from aitui.domain.confirmation import Confirmation
from aitui.domain.progress import ProgressTracker
from aitui.domain.snapshot import Snapshot
from aitui.errors import (
    Action,
    ActionRefused,
    AituiError,
    ConfigLocked,
    LoadFailed,
    ServiceFailed,
    Unreachable,
)
from aitui.host.config_file import ConfigFile, find_backup
from aitui.host.config_types import FileVersion, RecoveryResult
from aitui.services.config_apply import (
    SERVER_RESPONSE_TIMEOUT,
    ChangeApplyFailed,
    ChangeObserver,
    ExpectedSetting,
    ReloadWatch,
    WrittenChange,
    trigger_reload,
    wait_for_response,
    watch_reload,
    write_and_apply,
    write_with_journal,
)
from aitui.services.config_check import refuse_invalid_config
from aitui.services.config_plan import KEYS, consequences
from aitui.services.host_admin import HostAdmin
from aitui.services.session import Ask, Session
from aitui.store.journal import ChangeOutcome, JournalEntry
from aitui.store.journal import JournalEntry as Entry

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


def rollback_confirmation(error: ChangeApplyFailed) -> Confirmation:
    """Offers the old value where the new one didn't take effect."""
    log = error.cause.log if isinstance(error.cause, LoadFailed) else ()
    facts = (error.cause.what, error.cause.why, *log[-LOG_LINES:])
    return Confirmation(
        "It did not take effect. Put the old value back?",
        tuple(fact for fact in facts if fact),
        yes="Put it back",
        no="Keep the new one",
        unprompted=True,
    )


def describe_entry(entry: Entry) -> str:
    """A change in words."""
    if entry.flag:
        return f"{entry.model}  {entry.flag} {entry.old or 'unset'} → {entry.new or 'unset'}"
    return entry.model or "the whole file"


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


MAYBE_RUNNING_SECONDS = 60.0
"""A change younger than this may be going on in another aitui."""

_OUTCOMES = {
    FileVersion.OLD: ChangeOutcome.FAILED,
    FileVersion.NEW: ChangeOutcome.DONE,
    FileVersion.OTHER: ChangeOutcome.FAILED,
}


async def recover_changes(admin: HostAdmin) -> tuple[str, ...]:
    """Settle what was cut off earlier; one sentence for each such change.

    The journal says DONE or FAILED after it, and nothing is left beside the file. Left alone are
    changes that are under way, those of another machine, and all of them where the settings forbid
    to change anything. Raises nothing but a cancellation: what can't be settled now is told, and
    tried again the next time.
    """
    if admin.server.read_only:
        return ()
    try:
        changes = await admin.journal.changes_of(admin.server.identity)
    except AituiError as error:
        return (str(error),)
    told: list[str] = []
    for change in changes:
        is_ours = change.outcome is ChangeOutcome.OPEN and change.host == admin.host.label
        if is_ours and abs(admin.clock.wall() - change.at) >= MAYBE_RUNNING_SECONDS:
            told += await _settle_change(admin, change, changes)
    return tuple(told)


async def _settle_change(
    admin: HostAdmin, change: JournalEntry, changes: Sequence[JournalEntry]
) -> tuple[str, ...]:
    what = (
        f"The change of {describe_entry(change)} at {_format_time(change.at, admin.clock.wall())}"
    )
    file = ConfigFile(admin.host, change.path, clock=admin.clock)
    if change.path == admin.config.path:
        file = admin.config  # it knows the locks that it could not give back
    try:
        found = await file.recover(change.before, change.after)
        later = _state_from_later_change(change, changes)
        whole = later or found.state
        backup = ""
        if whole is FileVersion.NEW:
            # Its path was to be written down at the end, and undo wants it.
            real_path = await admin.host.resolve(change.path)
            backup = await find_backup(admin.host, real_path, change.before)
        await admin.journal.end(change.id, _OUTCOMES[whole], backup=backup)
    except ConfigLocked:
        return ()
    except AituiError as error:
        return (f"{what} was cut off, and which file is in its place can't be seen: {error}",)
    return (f"{what} was cut off: {_describe_state(whole, found, is_past=later is not None)}",)


def _state_from_later_change(
    change: JournalEntry, changes: Sequence[JournalEntry]
) -> FileVersion | None:
    """Which file was in its place by what a later change found there, None where none tells."""
    later = changes[changes.index(change) + 1 :]
    for other in later:
        if other.path == change.path and other.outcome in {
            ChangeOutcome.DONE,
            ChangeOutcome.UNDONE,
        }:
            return {change.before: FileVersion.OLD, change.after: FileVersion.NEW}.get(other.before)
    return None


def _describe_state(whole: FileVersion, found: RecoveryResult, *, is_past: bool) -> str:
    words = f"{whole.value} is in its place"
    if is_past:
        words = f"{whole.value} was in its place, and was changed again since"
    if not found.removed:
        return words
    if len(found.removed) == 1:
        return f"{words}; what it had left beside it is removed"
    return f"{words}; {len(found.removed)} files that it had left beside it are removed"


def _format_time(at: float, now: float) -> str:
    """The time of a change, with its day where that isn't today."""
    moment = time.localtime(at)
    is_today = moment[:3] == time.localtime(now)[:3]
    return time.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M", moment)


UNIT_CHECK_INTERVAL = 1.0
RELOADING = ("check", "reload", "answer")
RESTARTING = ("check", "restart", "answer")


def reload_confirmation(snapshot: Snapshot) -> Confirmation:
    """Whom a reload hits."""
    return Confirmation(
        "Have the server read its config file again?", tuple(consequences(snapshot)), yes="Reload"
    )


def restart_confirmation(unit: str, snapshot: Snapshot) -> Confirmation:
    """Whom a restart hits."""
    return Confirmation(f"Restart {unit}?", tuple(consequences(snapshot)), yes="Restart")


async def confirm_reload(admin: HostAdmin, ask: Ask) -> bool:
    """Ask for a reload. Raises ConfigRefused, before the question, where the file is invalid."""
    admin.refuse_if_read_only("reloading the server")
    await refuse_invalid_config(admin, "Not reloaded")
    return await ask(reload_confirmation)


async def confirm_restart(admin: HostAdmin, ask: Ask) -> bool:
    """Ask for a restart. Raises ConfigRefused, before the question, where the file is invalid."""
    admin.refuse_if_read_only("restarting the server")
    await refuse_invalid_config(admin, "Not restarted")
    unit = admin.service.unit
    return await ask(lambda snapshot: restart_confirmation(unit, snapshot))


async def reload_server(
    admin: HostAdmin, session: Session, progress: ProgressTracker, ask: Ask
) -> None:
    """Reload, and wait until the server answers.

    Raises ConfigRefused, with nothing sent, ServiceFailed, NotTakenEffect, HostError.
    """
    admin.refuse_if_read_only("reloading the server")
    await _check(admin, progress, "Not reloaded")
    async with watch_reload(admin, session) as watch:
        with progress.step("reload") as words:
            # The file is as it was: a server that watches it has nothing to notice.
            words.append(
                await trigger_reload(
                    admin, session, ReloadWatch(watch.detector, watches=False), ask
                )
            )
        with progress.step("answer"):
            await wait_for_response(session)


async def restart_server(admin: HostAdmin, session: Session, progress: ProgressTracker) -> None:
    """Restart the unit, and wait for `/health`.

    Raises ConfigRefused, with nothing sent, and ServiceFailed with the journal's last lines.
    """
    admin.refuse_if_read_only("restarting the server")
    await _check(admin, progress, "Not restarted")
    gone = tuple(model.id for model in session.snapshot.resident)
    await session.monitor.expect_unload(*gone)
    with progress.step("restart") as words:
        facts = await admin.service.restart()
        words.append(f"process {facts.main_pid}" if facts.main_pid else facts.active_state)
    with progress.step("answer"):
        try:
            await _wait_until_healthy(admin, session)
        except Unreachable as error:
            raise ServiceFailed(
                f"{admin.service.unit} runs, and {session.server.label} doesn't answer",
                why=f"{error.what}: waited for {SERVER_RESPONSE_TIMEOUT:.0f} s",
                journal=await admin.service.journal(),
                remedy="look at the address it listens on (-listen), and at the proxy before it",
            ) from error
    admin.last_reload.at = admin.clock.wall()


async def _check(admin: HostAdmin, progress: ProgressTracker, outcome: str) -> None:
    """Look once more: the file may have been changed while the question was open."""
    with progress.step("check"):
        await refuse_invalid_config(admin, outcome)


async def _wait_until_healthy(admin: HostAdmin, session: Session) -> None:
    """Return when the server is healthy; raises ServiceFailed as soon as its unit has ended."""
    answering = asyncio.create_task(_check_health(session), name="wait for the server")
    try:
        while not answering.done():
            await asyncio.wait({answering}, timeout=UNIT_CHECK_INTERVAL)
            if not answering.done() and (trouble := await admin.service.find_failure()) is not None:
                raise trouble
        await answering
    finally:
        await cancel_and_wait(answering)


async def _check_health(session: Session) -> None:
    await wait_for_response(session)
    await session.client.health()
