"""Have the server read its config file again, or restart it; whose work that cuts is asked first."""

import asyncio

from aitui.commands.administration import HostAdmin
from aitui.commands.config_check import refuse_invalid_config
from aitui.commands.ending import cancel_and_wait
from aitui.commands.progress import ProgressTracker
from aitui.commands.propose import consequences
from aitui.commands.session import Ask, Session
from aitui.commands.take_effect import (
    SERVER_RESPONSE_TIMEOUT,
    ReloadWatch,
    trigger_reload,
    wait_for_response,
    watch_reload,
)
from aitui.domain.question import Confirmation
from aitui.domain.snapshot import Snapshot
from aitui.errors import ServiceFailed, Unreachable

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
