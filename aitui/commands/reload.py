"""Have the server read its config file again, or restart it; whose work that cuts is asked first."""

import asyncio

from aitui.commands.administration import Administration
from aitui.commands.config_check import refuse_invalid_config
from aitui.commands.ending import end
from aitui.commands.progress import Progress
from aitui.commands.propose import consequences
from aitui.commands.session import Ask, Session
from aitui.commands.take_effect import (
    ANSWERS_WITHIN,
    ReloadWatch,
    answers,
    before_reload,
    reload_now,
)
from aitui.domain.question import Question
from aitui.domain.snapshot import Snapshot
from aitui.errors import ServiceFailed, Unreachable

LOOKS_EVERY = 1.0
RELOADING = ("check", "reload", "answer")
RESTARTING = ("check", "restart", "answer")


def question_before_reload(snapshot: Snapshot) -> Question:
    """Whom a reload hits."""
    return Question(
        "Have the server read its config file again?", tuple(consequences(snapshot)), yes="Reload"
    )


def question_before_restart(unit: str, snapshot: Snapshot) -> Question:
    """Whom a restart hits."""
    return Question(f"Restart {unit}?", tuple(consequences(snapshot)), yes="Restart")


async def confirm_reload(admin: Administration, ask: Ask) -> bool:
    """Ask for a reload. Raises ConfigRefused, before the question, where the file is invalid."""
    admin.refuse_if_read_only("reloading the server")
    await refuse_invalid_config(admin, "Not reloaded")
    return await ask(question_before_reload)


async def confirm_restart(admin: Administration, ask: Ask) -> bool:
    """Ask for a restart. Raises ConfigRefused, before the question, where the file is invalid."""
    admin.refuse_if_read_only("restarting the server")
    await refuse_invalid_config(admin, "Not restarted")
    unit = admin.service.unit
    return await ask(lambda snapshot: question_before_restart(unit, snapshot))


async def reload(admin: Administration, session: Session, progress: Progress, ask: Ask) -> None:
    """Reload, and wait until the server answers.

    Raises ConfigRefused, with nothing sent, ServiceFailed, NotTakenEffect, HostError.
    """
    admin.refuse_if_read_only("reloading the server")
    await _check(admin, progress, "Not reloaded")
    async with before_reload(admin, session) as watch:
        with progress.step("reload") as words:
            # The file is as it was: a server that watches it has nothing to notice.
            words.append(
                await reload_now(admin, session, ReloadWatch(watch.sign, watches=False), ask)
            )
        with progress.step("answer"):
            await answers(session)


async def restart(admin: Administration, session: Session, progress: Progress) -> None:
    """Restart the unit, and wait for `/health`.

    Raises ConfigRefused, with nothing sent, and ServiceFailed with the journal's last lines.
    """
    admin.refuse_if_read_only("restarting the server")
    await _check(admin, progress, "Not restarted")
    gone = tuple(model.id for model in session.snapshot.resident)
    await session.monitor.unload_requested(*gone)
    with progress.step("restart") as words:
        facts = await admin.service.restart()
        words.append(f"process {facts.main_pid}" if facts.main_pid else facts.active_state)
    with progress.step("answer"):
        try:
            await _answer_or_trouble(admin, session)
        except Unreachable as error:
            raise ServiceFailed(
                f"{admin.service.unit} runs, and {session.server.label} doesn't answer",
                why=f"{error.what}: waited for {ANSWERS_WITHIN:.0f} s",
                journal=await admin.service.journal(),
                remedy="look at the address it listens on (-listen), and at the proxy before it",
            ) from error
    admin.last_reload.at = admin.clock.wall()


async def _check(admin: Administration, progress: Progress, outcome: str) -> None:
    """Look once more: the file may have been changed while the question was open."""
    with progress.step("check"):
        await refuse_invalid_config(admin, outcome)


async def _answer_or_trouble(admin: Administration, session: Session) -> None:
    """Return when the server is healthy; raises ServiceFailed as soon as its unit has ended."""
    answering = asyncio.create_task(_healthy(session), name="wait for the server")
    try:
        while not answering.done():
            await asyncio.wait({answering}, timeout=LOOKS_EVERY)
            if not answering.done() and (trouble := await admin.service.trouble()) is not None:
                raise trouble
        await answering
    finally:
        await end(answering)


async def _healthy(session: Session) -> None:
    await answers(session)
    await session.client.health()
