"""A proposed change carried out: written as a transaction, taken up by the server, and proven."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aitui.aio import cancel_and_wait
from aitui.domain.config.locate import ValueSource
from aitui.domain.confirmation import Confirmation
from aitui.domain.llama_server import effective_flag_value, find_flag
from aitui.domain.progress import ProgressTracker
from aitui.domain.snapshot import ConnectionPhase
from aitui.errors import (
    Action,
    AituiError,
    ConfigNotApplied,
    ConfigWriteUncertain,
    HostError,
    NotSupported,
    ServiceFailed,
)
from aitui.host.config_types import WriteResult, WriteStep, digest_of
from aitui.services.config_check import refuse_invalid_config
from aitui.services.config_plan import CONTEXT_SIZE, ChangePlan, require_startable
from aitui.services.host_admin import HostAdmin
from aitui.services.load import load_model
from aitui.services.session import Ask, Session
from aitui.store.journal import ChangeOutcome
from aitui.store.journal import JournalEntry as Entry

if TYPE_CHECKING:
    from aitui.llamaswap.client import LlamaSwapClient


CONNECT_SECONDS = 5.0
POLL_INTERVAL = 0.3


class ReloadDetector:
    """Watches from before the reload on, since the sign may be over in a moment."""

    def __init__(self, ended: "asyncio.Task[None]") -> None:
        self._ended = ended

    async def wait(self, seconds: float) -> bool:
        """Whether the server has reloaded since the watch began, or does so in that time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._ended)
        return self._ended.done()


@asynccontextmanager
async def detect_reload(client: "LlamaSwapClient") -> AsyncIterator[ReloadDetector]:
    """Watch for a reload while the block runs; raises what keeps the server from being watched."""
    listening = asyncio.Event()
    ended = asyncio.create_task(_wait_for_stream_end(client, listening), name="watch for a reload")
    waiting = asyncio.create_task(listening.wait())
    try:
        await asyncio.wait({ended, waiting}, timeout=CONNECT_SECONDS,
                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
        if ended.done():
            ended.result()
        yield ReloadDetector(ended)
    finally:
        await cancel_and_wait(waiting, ended)


async def _wait_for_stream_end(client: "LlamaSwapClient", listening: asyncio.Event) -> None:
    try:
        async with client.events() as events:
            listening.set()
            with suppress(AituiError):
                # A reload ends it like a server that goes away does; both have read the file.
                async for _ in events:
                    pass
    except NotSupported:
        await _wait_until_empty(client, listening)


async def _wait_until_empty(client: "LlamaSwapClient", listening: asyncio.Event) -> None:
    """Without an event stream: everything that ran has gone, or nothing ran."""
    before = {model.id for model in await client.running()}
    listening.set()
    while True:
        await asyncio.sleep(POLL_INTERVAL)
        if not before & {model.id for model in await client.running()}:
            return


FILE_WATCH_SECONDS = 8.0
"""Seconds in which a server that watches its file sees a change of it."""
RELOAD_SECONDS = 20.0
SERVER_RESPONSE_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class ReloadWatch:
    """What is known before the file changes: the sign of a reload, and who brings it about.

    `watches` is None where nobody tells whether the server watches its file.
    """

    detector: ReloadDetector | None
    watches: bool | None


@asynccontextmanager
async def watch_reload(admin: HostAdmin, session: Session) -> AsyncIterator[ReloadWatch]:
    """Watch the server from before the change on; a server that is away has no sign to give."""
    try:
        watches = (await admin.service.facts()).watches_config
    except HostError:
        # It may run elsewhere, in a container say: what is wrong shows when it is to be reloaded.
        watches = None
    if session.snapshot.connection.phase is ConnectionPhase.LOST:
        yield ReloadWatch(None, watches)
        return
    async with detect_reload(session.client) as sign:
        yield ReloadWatch(sign, watches)


async def trigger_reload(admin: HostAdmin, session: Session, watch: ReloadWatch, ask: Ask) -> str:
    """Have the server read its file again; returns how.

    It sees the change by itself, or gets SIGHUP, or is restarted where it can't be reloaded and
    the answer to that question is yes. Raises ServiceFailed, HostUnreachable, ConfigRefused where
    a restart would end it, and NotTakenEffect where the server gives no sign of it.
    """
    await session.monitor.expect_unload(*(model.id for model in session.snapshot.resident))
    how = "the server watches its file"
    seen = (
        watch.watches is not False
        and watch.detector is not None
        and await watch.detector.wait(FILE_WATCH_SECONDS)
    )
    if not seen:
        how = await _signal_or_restart(admin, session, watch, ask)
    admin.last_reload.at = admin.clock.wall()
    await wait_for_response(session)
    return how


async def _signal_or_restart(
    admin: HostAdmin, session: Session, watch: ReloadWatch, ask: Ask
) -> str:
    trouble: ServiceFailed | ConfigNotApplied
    try:
        await admin.service.reload()
    except ServiceFailed as error:
        trouble = error
    else:
        if watch.detector is None or await watch.detector.wait(RELOAD_SECONDS):
            return "by SIGHUP"
        trouble = ConfigNotApplied(
            f"{session.server.label} gives no sign of a reload",
            why=f"SIGHUP was sent, and its streams went on for {RELOAD_SECONDS:.0f} s",
            remedy="look into its log, then restart it",
            action=Action.RESTART_SERVICE,
        )
    # No sign of a reload may mean a file that was refused: the server serves on, and would end.
    await refuse_invalid_config(admin, "Not restarted")
    unit = admin.service.unit
    if not await ask(lambda _: restart_instead_confirmation(trouble, unit)):
        raise trouble
    await refuse_invalid_config(admin, "Not restarted")
    await admin.service.restart()
    return "by a restart"


def restart_instead_confirmation(trouble: AituiError, unit: str) -> Confirmation:
    """Offers the last way there is; who is cut by it was named before the change."""
    facts = tuple(words for words in (trouble.what, trouble.why) if words)
    return Confirmation(
        f"It can't be reloaded. Restart {unit} instead?",
        facts,
        yes="Restart",
        unprompted=True,
        separate=True,
    )


async def wait_for_response(session: Session) -> None:
    """Wait until the server answers; raises what keeps it from that."""
    session.monitor.refresh()
    await session.monitor.poll_now()
    await session.monitor.wait_until(
        lambda snapshot: snapshot.connection.phase is ConnectionPhase.LIVE, SERVER_RESPONSE_TIMEOUT
    )


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
