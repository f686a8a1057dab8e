"""Changes of the config file that were cut off: found in the journal, and settled."""

import time
from collections.abc import Sequence

from aitui.errors import AituiError, ConfigLocked
from aitui.host.config_file import ConfigFile, find_backup
from aitui.host.config_types import FileVersion, RecoveryResult
from aitui.services.host_admin import HostAdmin
from aitui.store.journal import ChangeOutcome, JournalEntry

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


def describe_entry(entry: JournalEntry) -> str:
    """A change in words."""
    if entry.flag:
        return f"{entry.model}  {entry.flag} {entry.old or 'unset'} → {entry.new or 'unset'}"
    return entry.model or "the whole file"
