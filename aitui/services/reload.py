"""Reloads and restarts of the server, each watched until it took effect."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aitui.aio import cancel_and_wait
from aitui.domain.confirmation import Ask, Confirmation
from aitui.domain.progress import ProgressTracker
from aitui.domain.snapshot import ConnectionPhase, Snapshot
from aitui.errors import (
    Action,
    AituiError,
    ConfigNotApplied,
    HostError,
    NotSupported,
    ServiceFailed,
    Unreachable,
)
from aitui.services.config_check import refuse_invalid_config
from aitui.services.config_plan import consequences
from aitui.services.host_admin import HostAdmin
from aitui.services.session import Session

if TYPE_CHECKING:
    from aitui.llamaswap.client import LlamaSwapClient


CONNECT_SECONDS = 5.0
POLL_INTERVAL = 0.3


class ReloadDetector:
    """Watches for a reload from before it is requested, since its sign may be brief."""

    def __init__(self, ended: "asyncio.Task[None]") -> None:
        self._ended = ended

    async def wait(self, seconds: float) -> bool:
        """Return whether the server has reloaded since the watch began, waiting up to `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._ended)
        return self._ended.done()


@asynccontextmanager
async def detect_reload(client: "LlamaSwapClient") -> AsyncIterator[ReloadDetector]:
    """Watch for a reload while the block runs; raises the error that prevents the watch."""
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
                # A reload ends the stream, and so does a server that stops; both have read the file.
                async for _ in events:
                    pass
    except NotSupported:
        await _wait_until_empty(client, listening)


async def _wait_until_empty(client: "LlamaSwapClient", listening: asyncio.Event) -> None:
    """Wait until every model that runs now is gone: a server without events shows no other sign."""
    before = {model.id for model in await client.running()}
    listening.set()
    while True:
        await asyncio.sleep(POLL_INTERVAL)
        if not before & {model.id for model in await client.running()}:
            return


FILE_WATCH_SECONDS = 8.0
"""Seconds within which a server that watches its file notices a change."""
RELOAD_SECONDS = 20.0
SERVER_RESPONSE_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class ReloadWatch:
    """The detector that runs before the file changes, None if the server is unreachable.

    `watches` says whether the server watches its file, None if that is unknown.
    """

    detector: ReloadDetector | None
    watches: bool | None


@asynccontextmanager
async def watch_reload(admin: HostAdmin, session: Session) -> AsyncIterator[ReloadWatch]:
    """Watch the server from before the change; one that is lost can give no sign."""
    try:
        watches = (await admin.service.facts()).watches_config
    except HostError:
        # It may run in a container: an error shows when the reload is attempted.
        watches = None
    if session.snapshot.connection.phase is ConnectionPhase.LOST:
        yield ReloadWatch(None, watches)
        return
    async with detect_reload(session.client) as sign:
        yield ReloadWatch(sign, watches)


async def trigger_reload(admin: HostAdmin, session: Session, watch: ReloadWatch, ask: Ask) -> str:
    """Make the server read its file again, and say how that was done.

    It notices the change itself, or gets SIGHUP, or is restarted if a reload is impossible and the
    user agrees. Raises ServiceFailed, HostUnreachable, ConfigRefused if a restart would end it, and
    ConfigNotApplied if the server gives no sign of a reload.
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
    # The server may have refused the file: it goes on for now, and a restart would end it.
    await refuse_invalid_config(admin, "Not restarted")
    unit = admin.service.unit
    if not await ask(lambda _: restart_instead_confirmation(trouble, unit)):
        raise trouble
    await refuse_invalid_config(admin, "Not restarted")
    await admin.service.restart()
    return "by a restart"


def restart_instead_confirmation(trouble: AituiError, unit: str) -> Confirmation:
    """Offer a restart as the last resort; what it cuts was confirmed before the change."""
    facts = tuple(words for words in (trouble.what, trouble.why) if words)
    return Confirmation(
        f"It can't be reloaded. Restart {unit} instead?",
        facts,
        yes="Restart",
        unprompted=True,
        separate=True,
    )


async def wait_for_response(session: Session) -> None:
    """Wait until the server answers; raises TimedOut."""
    session.monitor.refresh()
    await session.monitor.poll_now()
    await session.monitor.wait_until(
        lambda snapshot: snapshot.connection.phase is ConnectionPhase.LIVE, SERVER_RESPONSE_TIMEOUT
    )


UNIT_CHECK_INTERVAL = 1.0
RELOADING = ("check", "reload", "answer")
RESTARTING = ("check", "restart", "answer")


def reload_confirmation(snapshot: Snapshot) -> Confirmation:
    """Confirm a reload, with what it unloads and cuts."""
    return Confirmation(
        "Have the server read its config file again?", tuple(consequences(snapshot)), yes="Reload"
    )


def restart_confirmation(unit: str, snapshot: Snapshot) -> Confirmation:
    """Confirm a restart, with what it unloads and cuts."""
    return Confirmation(f"Restart {unit}?", tuple(consequences(snapshot)), yes="Restart")


async def confirm_reload(admin: HostAdmin, ask: Ask) -> bool:
    """Ask whether to reload; raises ConfigRefused, before asking, if the file is invalid."""
    admin.refuse_if_read_only("reloading the server")
    await refuse_invalid_config(admin, "Not reloaded")
    return await ask(reload_confirmation)


async def confirm_restart(admin: HostAdmin, ask: Ask) -> bool:
    """Ask whether to restart; raises ConfigRefused, before asking, if the file is invalid."""
    admin.refuse_if_read_only("restarting the server")
    await refuse_invalid_config(admin, "Not restarted")
    unit = admin.service.unit
    return await ask(lambda snapshot: restart_confirmation(unit, snapshot))


async def reload_server(
    admin: HostAdmin, session: Session, progress: ProgressTracker, ask: Ask
) -> None:
    """Reload, and wait until the server answers.

    Raises ConfigRefused, with nothing sent, ServiceFailed, ConfigNotApplied, HostError.
    """
    admin.refuse_if_read_only("reloading the server")
    await _check(admin, progress, "Not reloaded")
    async with watch_reload(admin, session) as watch:
        with progress.step("reload") as words:
            # The file is unchanged: a server that watches it has nothing to notice.
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
    """Check again: the file may have been changed while the confirmation was open."""
    with progress.step("check"):
        await refuse_invalid_config(admin, outcome)


async def _wait_until_healthy(admin: HostAdmin, session: Session) -> None:
    """Return when the server is healthy; raises ServiceFailed as soon as its unit has ended."""
    waiting = asyncio.create_task(_check_health(session), name="wait for the server")
    try:
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=UNIT_CHECK_INTERVAL)
            if not waiting.done() and (trouble := await admin.service.find_failure()) is not None:
                raise trouble
        await waiting
    finally:
        await cancel_and_wait(waiting)


async def _check_health(session: Session) -> None:
    await wait_for_response(session)
    await session.client.health()
