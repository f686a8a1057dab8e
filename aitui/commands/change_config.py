"""A proposed change carried out: written as a transaction, taken up by the server, and proven."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from aitui.commands.administration import Administration
from aitui.commands.progress import Progress
from aitui.commands.propose import Proposal, check
from aitui.commands.session import Ask, Session
from aitui.commands.take_effect import Expected, before_reload, load_and_verify, reload_now
from aitui.domain.config.values import Where
from aitui.errors import AituiError, ConfigWriteUncertain
from aitui.host.transaction import Step, Written, digest_of
from aitui.store.journal import Change as Entry
from aitui.store.journal import Outcome

WRITING = ("read", "edit", "check", "back up", "replace")
TAKING_EFFECT = ("reload", "load", "verify")
CHANGING = (*WRITING, *TAKING_EFFECT)

_NAMES = {
    Step.CHECK: "check",
    Step.LOCK: "back up",
    Step.COMPARE: "back up",
    Step.BACK_UP: "back up",
    Step.WRITE: "replace",
    Step.COMPARE_AGAIN: "replace",
    Step.REPLACE: "replace",
    Step.VERIFY: "replace",
    Step.TIDY: "replace",
}


@dataclass(frozen=True, slots=True)
class Made:
    """A change that stands in the file; `warnings` are sentences about what isn't quite right."""

    entry: Entry
    warnings: tuple[str, ...] = ()


Write = Callable[[], Awaitable[Made]]


@dataclass(frozen=True, slots=True)
class Watched:
    """Who watches a change: is told its steps, is asked where it has two ways, and expects this."""

    progress: Progress
    ask: Ask
    expected: Expected | None


class NotEffective(AituiError):
    """The change stands in the file, and it didn't take effect; `cause` is why.

    `made` is what can be taken back.
    """

    def __init__(self, made: Made, cause: AituiError) -> None:
        super().__init__(cause.what, why=cause.why, remedy=cause.remedy)
        self.made = made
        self.cause = cause


async def change_config(
    admin: Administration,
    session: Session | None,
    proposal: Proposal,
    progress: Progress,
    ask: Ask,
) -> Made:
    """The whole road, from reading to the proof; without a session the file alone is changed.

    Raises NotEffective where the file was changed and something behind that failed; Refused,
    ConfigRefused and its kin, HostError, JournalError where nothing was written, but for
    ConfigWriteUncertain.
    """
    return await carry_out(
        admin,
        session,
        lambda: _write(admin, proposal, progress),
        Watched(progress, ask, _expected(proposal)),
    )


async def carry_out(
    admin: Administration,
    session: Session | None,
    write: Write,
    watched: "Watched",
) -> Made:
    """Write, have the server read it, load the model that is expected if there is one, and look."""
    progress, expected = watched.progress, watched.expected
    if session is None:
        made = await write()
        progress.leave_out(*TAKING_EFFECT, words="the server goes on with what it has")
        return made
    async with before_reload(admin, session) as watch:
        made = await write()
        try:
            with progress.step("reload") as words:
                words.append(await reload_now(admin, session, watch, watched.ask))
            if expected is None:
                progress.leave_out("load", "verify")
            else:
                await load_and_verify(session, expected, progress)
        except AituiError as error:
            raise NotEffective(made, error) from error
    return made


async def record_and_write(
    admin: Administration,
    entry: Entry,
    progress: Progress,
    write: Callable[[Callable[[Step], object]], Awaitable[Written]],
) -> Made:
    """Write, with the journal true before and after; the steps of the writing are told."""
    await admin.journal.begin(entry)
    try:
        written = await write(lambda step: _tell(progress, _NAMES[step]))
    except ConfigWriteUncertain as error:
        # Which file is there is seen, and told, at the next start.
        progress.fail(error.what)
        raise
    except AituiError as error:
        progress.fail(error.what)
        await admin.journal.end(entry.id, Outcome.FAILED)
        raise
    except BaseException:
        progress.fail("broken off")
        raise
    progress.finish("read back" if written.proven else "not read back")
    await admin.journal.end(entry.id, Outcome.DONE, backup=written.backup)
    return Made(replace(entry, backup=written.backup), _warnings(written))


async def _write(admin: Administration, proposal: Proposal, progress: Progress) -> Made:
    admin.refuse_if_read_only("changing the config file")
    change, reading = proposal.change, proposal.reading
    with progress.step("read") as words:
        now = await admin.config.read()
        words.append(f"{len(now.content):,} bytes")
    with progress.step("edit") as words:
        content = proposal.content
        words.append(f"{change.old or 'unset'} → {change.new}" if change.flag else "")
    with progress.step("check"):
        await asyncio.to_thread(check, reading.content, content)
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
    return await record_and_write(
        admin,
        entry,
        progress,
        # What was read when it was proposed: whoever wrote since is noticed, and not overwritten.
        lambda tell: admin.config.write(reading, content, on_step=tell),
    )


def _tell(progress: Progress, name: str) -> None:
    running = progress.steps.running
    if running is None or running.name != name:
        progress.move_on(name)


def _expected(proposal: Proposal) -> Expected | None:
    """What the changed model is to run with; None where there is no such model any more."""
    change = proposal.change
    if not change.model or change.new is None:
        return None
    if change.where is Where.KEY or not change.flag:
        return Expected(change.model)
    return Expected(change.model, change.flag, change.new, change.where is not Where.ENVIRONMENT)


def _warnings(written: Written) -> tuple[str, ...]:
    if written.changed_after:
        return (
            *written.warnings,
            "Somebody else wrote the file right after it: it holds their text now.",
        )
    return written.warnings
