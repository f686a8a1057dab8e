"""A changed config file takes effect: the server reads it again, and the model proves it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aitui.commands.administration import HostAdmin
from aitui.commands.config_check import refuse_invalid_config
from aitui.commands.load import load_model
from aitui.commands.progress import ProgressTracker
from aitui.commands.propose import CONTEXT_SIZE
from aitui.commands.reload_sign import ReloadDetector, detect_reload
from aitui.commands.session import Ask, Session
from aitui.domain.config.flags import effective_flag_value, find_flag
from aitui.domain.question import Confirmation
from aitui.domain.snapshot import ConnectionPhase
from aitui.errors import AituiError, ConfigNotApplied, HostError, ServiceFailed

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
            remedy="its log says why: L (aitui logs --proxy); R (aitui restart) restarts it",
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
            remedy="aitui doctor shows which file the service reads",
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
            remedy="aitui doctor shows which file the service reads",
        )
    return f"runs with a context of {int(value):,} tokens, and answers"


async def _always_yes(build: object) -> bool:
    """Who said yes to the change said yes to the load that proves it."""
    del build
    return True
