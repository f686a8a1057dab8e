"""Interrupted changes of the config file: found in the journal, and settled."""

import time
from collections.abc import Sequence

from aitui.errors import AituiError, ConfigLocked
from aitui.host.config_file import ConfigFile, FileVersion, RecoveryResult, find_backup
from aitui.services.host_admin import HostAdmin
from aitui.store.journal import ChangeOutcome, JournalEntry

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
    for change in changes:
        is_ours = change.outcome is ChangeOutcome.OPEN and change.host == admin.host.label
        if is_ours and abs(admin.clock.wall() - change.at) >= MAYBE_RUNNING_SECONDS:
            sentences += await _settle_change(admin, change, changes)
    return tuple(sentences)


async def _settle_change(
    admin: HostAdmin, change: JournalEntry, changes: Sequence[JournalEntry]
) -> tuple[str, ...]:
    what = f"The change of {change.description} at {_format_time(change.at, admin.clock.wall())}"
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
        return (f"{what} was cut off, and which file is in its place can't be seen: {error}",)
    return (f"{what} was cut off: {_describe_state(whole, found, is_past=later is not None)}",)


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
    words = f"{whole.value} is in its place"
    if is_past:
        words = f"{whole.value} was in its place, and was changed again since"
    if not found.removed:
        return words
    if len(found.removed) == 1:
        return f"{words}; what it had left beside it is removed"
    return f"{words}; {len(found.removed)} files that it had left beside it are removed"


def _format_time(at: float, now: float) -> str:
    """Format the time of a change, with the date if that isn't today."""
    moment = time.localtime(at)
    is_today = moment[:3] == time.localtime(now)[:3]
    return time.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M", moment)
