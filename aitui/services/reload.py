"""Reloads and restarts of the server, each watched until it took effect."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from aitui.aio import background_task, cancel_and_wait
from aitui.domain.config.document import decode_config
from aitui.domain.config.lint import find_diagnostics
from aitui.domain.confirmation import Ask, Confirmation
from aitui.domain.logs import last_reload
from aitui.domain.progress import ProgressTracker
from aitui.domain.release import DRAIN_SECONDS, WAITS_TO_STOP_SINCE
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import ConnectionPhase, Snapshot
from aitui.domain.units import count_of
from aitui.domain.unload_costs import describe_free_memory, unload_costs
from aitui.errors import (
    Action,
    AituiError,
    ConfigNotApplied,
    ConfigRefused,
    HostFileError,
    NoSuchFile,
    NotSupported,
    ServiceFailed,
    Unreachable,
)
from aitui.host.config_file import ConfigFile, FileSnapshot
from aitui.host.unit import UnitInfo
from aitui.services.config_plan import consequences
from aitui.services.host_admin import HostAdmin
from aitui.services.session import Session

if TYPE_CHECKING:
    from aitui.llamaswap.client import LlamaSwapClient
    from aitui.services.monitor import Monitor


CONNECT_SECONDS = 5.0
POLL_INTERVAL = 0.3
FILE_WATCH_SECONDS = 8.0
"""Seconds within which a server that watches its file notices a change."""
RELOAD_SECONDS = 20.0
SERVER_RESPONSE_TIMEOUT = 60.0
RESPONSE_INTERVAL = 1.0
LOG_SECONDS = 1.0
"""Seconds within which the proxy log is opened."""
_LONGEST_PATH = 300
_LONGEST_LINE = 4096


class ReloadWatch:
    """Watches one server for a reload from before it is requested, since its sign may be brief.

    It begins before the user has agreed, so that neither systemd nor a new connection is waited for
    afterwards. Besides the sign it reads the proxy log, where a refusal is. `unit` is what systemd reports, and `watches_file` says whether the server watches
    its file; None if that is unknown.
    """

    def __init__(self, admin: HostAdmin, session: Session) -> None:
        self.admin = admin
        self.session = session
        self.unit: UnitInfo | None = None
        self.watches_file: bool | None = None
        self._unit_task = asyncio.create_task(self._read_unit(), name="read the unit")
        self._listen()
        self._read_log()

    async def aclose(self) -> None:
        """End the watch."""
        await cancel_and_wait(
            self._unit_task, self._listening, self._ended, self._log_opening, self._refusal
        )

    async def arm(self) -> None:
        """Count from now on: a reload before doesn't. Raises the error that prevents the watch."""
        await self._unit_task
        if self._ended.done():
            await cancel_and_wait(self._listening, self._ended)
            self._listen()
        if self._refusal.done():
            await cancel_and_wait(self._log_opening)
            self._read_log()
        await asyncio.wait({self._ended, self._listening}, timeout=CONNECT_SECONDS,
                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
        if self._ended.done() and not _is_lost(self.session):
            self._ended.result()

    async def open_log(self) -> None:
        """Wait until the proxy log is read; before v218 nothing comes before its first line."""
        await asyncio.wait({self._refusal, self._log_opening}, timeout=LOG_SECONDS,
                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip

    async def wait(self, seconds: float) -> bool:
        """Return whether the server has reloaded since `arm`, waiting up to `seconds`.

        Raises ConfigRefused as soon as its log says that it refused the file.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.wait(
                    {self._ended, self._refusal}, return_when=asyncio.FIRST_COMPLETED
                )
                if not self._ended.done() and (why := self._refusal.result()):
                    raise ConfigRefused(
                        f"{self.session.server.label} rejected its config file and keeps the previous one",
                        why=sanitize_line(why, 2 * _LONGEST_PATH),
                        remedy="fix it first",
                        action=Action.SHOW_CONFIG,
                    )
                await asyncio.wait({self._ended})
        return self._ended.done()

    async def _read_unit(self) -> None:
        unit = self.unit = await self.admin.unit_info()
        self.watches_file = None if unit is None else unit.watches_config

    def _listen(self) -> None:
        listening = asyncio.Event()
        self._listening = asyncio.create_task(listening.wait(), name="open the watch")
        self._ended = asyncio.create_task(
            _wait_for_stream_end(self.session.client, listening), name="watch for a reload"
        )

    def _read_log(self) -> None:
        opened = asyncio.Event()
        self._log_opening = asyncio.create_task(opened.wait(), name="open the proxy log")
        self._refusal = asyncio.create_task(
            _read_refusal(self.session.client, opened), name="read the proxy log"
        )


def _is_lost(session: Session) -> bool:
    """Whether the server is unreachable, and so can give no sign."""
    return session.snapshot.connection.phase is ConnectionPhase.LOST


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


async def trigger_reload(watch: ReloadWatch, ask: Ask) -> str:
    """Make the server read its file again, and say how that was done.

    It notices the change itself, or gets SIGHUP, or is restarted if a reload is impossible and the
    user agrees. Raises ServiceFailed, HostUnreachable, ConfigRefused if a restart would end it, and
    ConfigNotApplied if the server shows no sign of a reload.
    """
    session, lost = watch.session, _is_lost(watch.session)
    await session.monitor.expect_unload(*(model.id for model in session.snapshot.resident))
    how = "the server watches its file"
    if watch.watches_file is False or lost or not await watch.wait(FILE_WATCH_SECONDS):
        how = await _signal_or_restart(watch, ask, lost=lost)
    watch.admin.last_reload_at = watch.admin.clock.wall()
    await wait_for_response(session)
    return how


async def _signal_or_restart(watch: ReloadWatch, ask: Ask, *, lost: bool) -> str:
    admin = watch.admin
    trouble: ServiceFailed | ConfigNotApplied
    try:
        if await _send_sighup(watch) or lost:
            return "by SIGHUP"
    except ServiceFailed as error:
        trouble = error
    else:
        trouble = ConfigNotApplied(
            f"{watch.session.server.label} does not seem to have reloaded",
            why=f"SIGHUP was sent, but its streams stayed open for {RELOAD_SECONDS:.0f} s",
            remedy="read its log, then restart it",
            action=Action.RESTART_SERVICE,
        )
    # The server may have refused the file: it goes on for now, and a restart would end it.
    await refuse_invalid_config(admin, "Not restarted")
    unit = admin.service.unit
    if not await ask(lambda now: restart_instead_confirmation(trouble, unit, now)):
        raise trouble
    await refuse_invalid_config(admin, "Not restarted")
    async with _announce_restart(watch.session):
        await admin.service.restart()
    return "by a restart"


async def _send_sighup(watch: ReloadWatch) -> bool:
    """Return whether the server reloads; raises ConfigRefused if its log says that it refuses."""
    await watch.open_log()
    await watch.admin.service.reload()
    return not _is_lost(watch.session) and await watch.wait(RELOAD_SECONDS)


async def _read_refusal(client: "LlamaSwapClient", listening: asyncio.Event) -> str:
    """Read the proxy log from now on, and return why it says that a reload was refused.

    Empty if the log ends without that, or can't be read.
    """
    text = ""
    with suppress(AituiError):
        async with client.log("proxy", history=False) as pieces:
            listening.set()
            async for piece in pieces:
                *lines, text = (text + piece).split("\n")
                text = text[-_LONGEST_LINE:]
                outcome = last_reload(lines)
                if outcome is not None and outcome.refusal:
                    return outcome.refusal
    return ""


async def refuse_invalid_config(admin: HostAdmin, outcome: str) -> None:
    """Raise ConfigRefused, with file and line, if llama-swap would reject its config file.

    A reload would keep the old values, a restart would end the server. `outcome` says what wasn't
    done. Raises HostError if the file can't be read; a server in a container, with a file that the
    host doesn't have, isn't checked.
    """
    reading = await _server_file(admin, outcome)
    if reading is None:
        return
    text = await asyncio.to_thread(decode_config, reading.content)
    found = await asyncio.to_thread(find_diagnostics, text, admin.release())
    fatal = [problem for problem in found if problem.fatal]
    if fatal:
        first = fatal[0]
        path = sanitize_line(reading.real_path, _LONGEST_PATH)
        more = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
        raise ConfigRefused(
            f"{outcome}: llama-swap would reject its config file",
            why=f"{path}:{first.line}:{first.column}: {first.words}{more}",
            remedy="fix that line first",
            action=Action.SHOW_CONFIG,
        )


async def _server_file(admin: HostAdmin, outcome: str) -> FileSnapshot | None:
    """Read the file that the unit names, else that of the settings; None if neither exists."""
    facts = await admin.unit_info()
    if facts is not None and facts.config_path is not None:
        try:
            return await ConfigFile(admin.host, facts.config_path, clock=admin.clock).read()
        except HostFileError as error:
            if facts.names_config:
                raise ConfigRefused(
                    f"{outcome}: llama-swap could not read its config file",
                    why=error.summary,
                    remedy=f"put the file there, or change -config in {facts.unit}",
                ) from error
    try:
        return await admin.config.read()
    except NoSuchFile:
        return None


def restart_instead_confirmation(trouble: AituiError, unit: str, now: Snapshot) -> Confirmation:
    """Offer a restart as the last resort; what it cuts was confirmed before the change."""
    facts = tuple(words for words in (trouble.what, trouble.why, *drain_facts(now)) if words)
    return Confirmation(
        f"The reload failed. Restart {unit} instead?",
        facts,
        yes="Restart",
        unprompted=True,
        separate=True,
    )


async def wait_for_response(session: Session, seconds: float | None = None) -> None:
    """Wait until the server answers, asking it each second; raises TimedOut."""
    monitor, limit = session.monitor, SERVER_RESPONSE_TIMEOUT if seconds is None else seconds
    monitor.refresh()
    await monitor.poll_now()
    async with background_task(_poll_often(monitor), "ask the server"):
        await monitor.wait_until(lambda now: now.connection.phase is ConnectionPhase.LIVE, limit)


async def _poll_often(monitor: "Monitor") -> None:
    """Poll without the pauses for a lost server, which grow to half a minute."""
    while True:
        await asyncio.sleep(RESPONSE_INTERVAL)
        await monitor.poll_now()


UNIT_CHECK_INTERVAL = 1.0
RELOADING = ("check", "reload", "answer")
RESTARTING = ("check", "restart", "answer")


async def confirm_reload(admin: HostAdmin, ask: Ask) -> bool:
    """Ask whether to reload; raises ConfigRefused, before asking, if the file is invalid."""
    admin.server.refuse_if_read_only("reloading the server")
    await refuse_invalid_config(admin, "Not reloaded")
    title = "Reload the server's config file?"

    def build(now: Snapshot) -> Confirmation:
        facts = (*consequences(now), *describe_free_memory(now))
        return Confirmation(title, facts, yes="Reload", costs=unload_costs(now))

    return await ask(build)


async def confirm_restart(admin: HostAdmin, ask: Ask) -> bool:
    """Ask whether to restart; raises ConfigRefused, before asking, if the file is invalid."""
    admin.server.refuse_if_read_only("restarting the server")
    await refuse_invalid_config(admin, "Not restarted")
    title = f"Restart {admin.service.unit}?"

    def build(now: Snapshot) -> Confirmation:
        facts = (*consequences(now), *describe_free_memory(now), *drain_facts(now))
        return Confirmation(title, facts, yes="Restart", costs=unload_costs(now))

    return await ask(build)


def drain_facts(snapshot: Snapshot) -> tuple[str, ...]:
    """Say for which requests a restart waits before it cuts them; empty for none."""
    waits_for = _drained_requests(snapshot)
    if not waits_for:
        return ()
    waits = f"llama-swap first waits up to {DRAIN_SECONDS:.0f} s for {waits_for} to end"
    return (f"{waits} and serves no other requests meanwhile",)


def _drained_requests(snapshot: Snapshot) -> str:
    total = snapshot.requests.total
    if snapshot.release.has(WAITS_TO_STOP_SINCE) is False:
        return ""
    if total:
        return count_of(total, "running request")
    # Events count no requests for `/upstream/`, which every load is.
    if any(model.requested is not None for model in snapshot.models):
        return "the load"
    return "running requests" if total is None and snapshot.resident else ""


@asynccontextmanager
async def _announce_restart(session: Session) -> AsyncIterator[None]:
    """Show everywhere that the server is being restarted, and how long it may wait for requests."""
    seconds = DRAIN_SECONDS if _drained_requests(session.snapshot) else 0.0
    await session.monitor.expect_restart(session.clock.monotonic() + seconds)
    try:
        yield
    finally:
        await session.monitor.expect_restart(None)


async def reload_server(
    admin: HostAdmin, session: Session, progress: ProgressTracker, ask: Ask
) -> None:
    """Reload, and wait until the server answers.

    Raises ConfigRefused, with nothing sent, ServiceFailed, ConfigNotApplied, HostError.
    """
    admin.server.refuse_if_read_only("reloading the server")
    await _check(admin, progress, "Not reloaded")
    async with aclosing(ReloadWatch(admin, session)) as watch:
        await watch.arm()
        watch.watches_file = False  # it is unchanged: there is nothing to notice
        with progress.step("reload") as words:
            words.append(await trigger_reload(watch, ask))
        with progress.step("answer"):
            await wait_for_response(session)


async def restart_server(admin: HostAdmin, session: Session, progress: ProgressTracker) -> None:
    """Restart the unit, and wait for `/health`.

    Raises ConfigRefused, with nothing sent, and ServiceFailed with the journal's last lines.
    """
    admin.server.refuse_if_read_only("restarting the server")
    await _check(admin, progress, "Not restarted")
    gone = tuple(model.id for model in session.snapshot.resident)
    await session.monitor.expect_unload(*gone)
    async with _announce_restart(session):
        await _restart_and_wait(admin, session, progress)
    admin.last_reload_at = admin.clock.wall()


async def _restart_and_wait(admin: HostAdmin, session: Session, progress: ProgressTracker) -> None:
    waits_for = _drained_requests(session.snapshot)
    waits = f"waits for {waits_for}" if waits_for else ""
    with progress.step("restart", waits, DRAIN_SECONDS if waits_for else 0.0) as words:
        facts = await admin.service.restart()
        words.append(f"process {facts.main_pid}" if facts.main_pid else facts.active_state)
    with progress.step("answer"):
        try:
            await _wait_until_healthy(admin, session)
        except Unreachable as error:
            raise ServiceFailed(
                f"{admin.service.unit} runs, but {session.server.label} does not respond",
                why=f"{error.what}: waited for {SERVER_RESPONSE_TIMEOUT:.0f} s",
                journal=await admin.service.journal(),
                remedy="check its listen address (-listen) and the proxy in front of it",
            ) from error


async def _check(admin: HostAdmin, progress: ProgressTracker, outcome: str) -> None:
    """Check again: the file may have been changed while the confirmation was open."""
    with progress.step("check"):
        await refuse_invalid_config(admin, outcome)


async def _wait_until_healthy(admin: HostAdmin, session: Session) -> None:
    """Return when the server is healthy; raises ServiceFailed as soon as its unit has ended."""

    async def check_health() -> None:
        await wait_for_response(session)
        await session.client.health()

    async with background_task(check_health(), "wait for the server") as waiting:
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=UNIT_CHECK_INTERVAL)
            if not waiting.done() and (trouble := await admin.service.find_failure()) is not None:
                raise trouble
        await waiting
