"""The last change of the config file taken back, on the same road and with the same proof."""

import secrets

from aitui.commands.administration import HostAdmin
from aitui.commands.change_config import (
    ChangeApplyFailed,
    ChangeObserver,
    WrittenChange,
    write_and_apply,
    write_with_journal,
)
from aitui.commands.progress import ProgressTracker
from aitui.commands.propose import KEYS, consequences
from aitui.commands.session import Ask, Session
from aitui.commands.take_effect import ExpectedSetting
from aitui.domain.question import Confirmation
from aitui.domain.snapshot import Snapshot
from aitui.errors import ActionRefused, LoadFailed
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
            remedy="aitui journal lists the changes",
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
