"""A proposed change carried out: written as a transaction, taken up by the server, and proven."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from aitui.commands.administration import HostAdmin
from aitui.commands.progress import ProgressTracker
from aitui.commands.propose import ChangePlan, require_startable
from aitui.commands.session import Ask, Session
from aitui.commands.take_effect import (
    ExpectedSetting,
    load_and_verify,
    trigger_reload,
    watch_reload,
)
from aitui.domain.config.values import ValueSource
from aitui.errors import AituiError, ConfigWriteUncertain
from aitui.host.transaction import WriteResult, WriteStep, digest_of
from aitui.store.journal import ChangeOutcome
from aitui.store.journal import JournalEntry as Entry

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
        super().__init__(cause.what, why=cause.why, remedy=cause.remedy)
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
