"""A changed config file takes effect: the server reads it again, and the model proves it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aitui.commands.administration import Administration
from aitui.commands.config_check import refuse_invalid_config
from aitui.commands.load import load
from aitui.commands.progress import Progress
from aitui.commands.propose import CONTEXT_SIZE
from aitui.commands.reload_sign import ReloadSign, watch_for_reload
from aitui.commands.session import Ask, Session
from aitui.domain.config.flags import find_flag, value_in
from aitui.domain.question import Question
from aitui.domain.snapshot import LinkPhase
from aitui.errors import AituiError, HostError, NotTakenEffect, ServiceFailed

SEES_FILE_WITHIN = 8.0
"""Seconds in which a server that watches its file sees a change of it."""
RELOADS_WITHIN = 20.0
ANSWERS_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class ReloadWatch:
    """What is known before the file changes: the sign of a reload, and who brings it about.

    `watches` is None where nobody tells whether the server watches its file.
    """

    sign: ReloadSign | None
    watches: bool | None


@asynccontextmanager
async def before_reload(admin: Administration, session: Session) -> AsyncIterator[ReloadWatch]:
    """Watch the server from before the change on; a server that is away has no sign to give."""
    try:
        watches = (await admin.service.facts()).watches_config
    except HostError:
        # It may run elsewhere, in a container say: what is wrong shows when it is to be reloaded.
        watches = None
    if session.snapshot.link.phase is LinkPhase.LOST:
        yield ReloadWatch(None, watches)
        return
    async with watch_for_reload(session.client) as sign:
        yield ReloadWatch(sign, watches)


async def reload_now(admin: Administration, session: Session, watch: ReloadWatch, ask: Ask) -> str:
    """Have the server read its file again; returns how.

    It sees the change by itself, or gets SIGHUP, or is restarted where it can't be reloaded and
    the answer to that question is yes. Raises ServiceFailed, HostUnreachable, ConfigRefused where
    a restart would end it, and NotTakenEffect where the server gives no sign of it.
    """
    await session.monitor.unload_requested(*(model.id for model in session.snapshot.resident))
    how = "the server watches its file"
    seen = (
        watch.watches is not False
        and watch.sign is not None
        and await watch.sign.comes_within(SEES_FILE_WITHIN)
    )
    if not seen:
        how = await _signalled_or_restarted(admin, session, watch, ask)
    admin.last_reload.at = admin.clock.wall()
    await answers(session)
    return how


async def _signalled_or_restarted(
    admin: Administration, session: Session, watch: ReloadWatch, ask: Ask
) -> str:
    trouble: ServiceFailed | NotTakenEffect
    try:
        await admin.service.reload()
    except ServiceFailed as error:
        trouble = error
    else:
        if watch.sign is None or await watch.sign.comes_within(RELOADS_WITHIN):
            return "by SIGHUP"
        trouble = NotTakenEffect(
            f"{session.server.label} gives no sign of a reload",
            why=f"SIGHUP was sent, and its streams went on for {RELOADS_WITHIN:.0f} s",
            remedy="its log says why: L (aitui logs --proxy); R (aitui restart) restarts it",
        )
    # No sign of a reload may mean a file that was refused: the server serves on, and would end.
    await refuse_invalid_config(admin, "Not restarted")
    unit = admin.service.unit
    if not await ask(lambda _: question_before_restarting_instead(trouble, unit)):
        raise trouble
    await refuse_invalid_config(admin, "Not restarted")
    await admin.service.restart()
    return "by a restart"


def question_before_restarting_instead(trouble: AituiError, unit: str) -> Question:
    """Offers the last way there is; who is cut by it was named before the change."""
    facts = tuple(words for words in (trouble.what, trouble.why) if words)
    return Question(
        f"It can't be reloaded. Restart {unit} instead?",
        facts,
        yes="Restart",
        unasked=True,
        separate=True,
    )


async def answers(session: Session) -> None:
    """Wait until the server answers; raises what keeps it from that."""
    session.monitor.refresh()
    await session.monitor.look()
    await session.monitor.wait_until(
        lambda snapshot: snapshot.link.phase is LinkPhase.LIVE, ANSWERS_WITHIN
    )


@dataclass(frozen=True, slots=True)
class Expected:
    """What a model is to run with; `value` is None where the flag is to be absent.

    `flag` is empty where nothing can be expected of the command, as for `ttl`. `in_command` is
    False where the value stands in the model's environment, None where that isn't known.
    """

    model: str
    flag: str = ""
    value: str | None = None
    in_command: bool | None = True


async def load_and_verify(session: Session, expected: Expected, progress: Progress) -> None:
    """Load the model, and see the value in the command that runs.

    Raises LoadFailed with the log, and NotTakenEffect where the model runs with something else.
    """
    with progress.step("load") as words:
        if await load(session, expected.model, _yes) is None:
            raise NotTakenEffect(
                f"{expected.model} was not loaded",
                why="its loading was aborted",
                remedy="l loads it",
            )
        words.append(f"{expected.model} is ready")
    with progress.step("verify") as words:
        words.append(await _proof(session, expected))


async def _proof(session: Session, expected: Expected) -> str:
    snapshot = await session.monitor.look()
    model = snapshot.model(expected.model)
    if model is None or not model.command:
        raise NotTakenEffect(
            f"{expected.model} isn't in /running any more",
            why="it came up, and somebody unloaded it",
            remedy="l loads it again",
        )
    if not expected.flag:
        return "the model answers"
    flag, value = expected.flag, expected.value
    runs_with = value_in(model.command, find_flag(flag))
    absent = runs_with is None and value is not None
    if absent and expected.in_command is not True:
        return await _proof_by_properties(session, expected)
    if runs_with != value:
        raise NotTakenEffect(
            f"{expected.model} runs with {flag} {runs_with or 'unset'}, not {value or 'unset'}",
            why="the server reads another file, or has not read this one",
            remedy="aitui doctor shows which file the service reads",
        )
    return f"runs with {flag} {runs_with or 'unset'}, and answers"


async def _proof_by_properties(session: Session, expected: Expected) -> str:
    """llama-swap shows no environment: the model itself is asked, right after it was loaded."""
    value = expected.value or ""
    if find_flag(expected.flag) != find_flag(CONTEXT_SIZE) or not value.isdecimal():
        return "the model answers; what is in its environment isn't told"
    sizes = await session.client.context_sizes(expected.model)
    if sizes and int(value) not in sizes:
        raise NotTakenEffect(
            f"{expected.model} runs with a context of {max(sizes):,} tokens, not {int(value):,}",
            why="its environment was read before the change, or the model has fewer",
            remedy="aitui doctor shows which file the service reads",
        )
    return f"runs with a context of {int(value):,} tokens, and answers"


async def _yes(build: object) -> bool:
    """Who said yes to the change said yes to the load that proves it."""
    del build
    return True
