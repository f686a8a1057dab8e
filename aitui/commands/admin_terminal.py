"""The commands that look at the server's machine, or change it, on the command line."""

import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

from aitui.arguments import Arguments
from aitui.commands.administration import Administration, open_administration
from aitui.commands.asking import asker
from aitui.commands.change_config import CHANGING, NotEffective, change_config
from aitui.commands.memory_at_hand import memory_at_hand
from aitui.commands.preset import harmless, read_preset
from aitui.commands.progress import Progress
from aitui.commands.propose import (
    CONTEXT_SIZE,
    flag_edit,
    propose,
    question_before_change,
)
from aitui.commands.recover import recover
from aitui.commands.reload import (
    RELOADING,
    RESTARTING,
    confirm_reload,
    confirm_restart,
    reload,
    restart,
)
from aitui.commands.session import Ask, Session, watching
from aitui.commands.terminal import (
    hear_first_events,
    refuse_without_certificates,
    terminal_session,
)
from aitui.commands.undo import (
    UNDOING,
    last_change,
    question_before_putting_back,
    question_before_undo,
    undo,
    words_of,
)
from aitui.domain.clean import clean_line
from aitui.domain.clock import Clock
from aitui.domain.config.sizes import parse_context_size
from aitui.domain.server import Server
from aitui.domain.snapshot import Snapshot
from aitui.domain.steps import Step, Steps, StepState
from aitui.errors import ConfigChangedMeanwhile, Refused
from aitui.paths import Paths
from aitui.store.journal import Change as Entry

_MARKS = {StepState.DONE: "✔", StepState.FAILED: "✘", StepState.LEFT_OUT: "–"}


async def run_admin_command(arguments: Arguments, server: Server, paths: Paths) -> None:
    """Run the command that was given; raises an AituiError where it doesn't end well."""
    clock = Clock(time.monotonic, time.time)
    async with open_administration(server, paths, clock) as admin:
        command = arguments.command
        for sentence in await recover(admin):
            print(sentence, file=sys.stderr)
        if command == "preset":
            preset = await read_preset(admin)
            print(harmless(preset), end="")
            for problem in preset.problems:
                print(f"line {problem.line}: {problem.words}", file=sys.stderr)
            if preset.newer:
                print(f"{preset.newer}: aitui reload", file=sys.stderr)
        elif command == "journal":
            await _journal(admin, as_json=arguments.json)
        elif command in {"ctx", "flag"} and not arguments.reload:
            await _change(admin, None, arguments)
        else:
            async with (
                _live_session(server, paths) as session,
                memory_at_hand(session, paths, admin) as memory,
            ):
                if not arguments.yes:
                    await memory.wait()
                await _with_session(admin, session, arguments)


async def _with_session(admin: Administration, session: Session, arguments: Arguments) -> None:
    ask = asker(arguments, lambda: session.monitor.snapshot)
    if arguments.command == "undo":
        await _undo(admin, session, ask)
    elif arguments.command == "reload":
        _insist(await confirm_reload(admin, ask), "Not reloaded")
        await reload(admin, session, _printed(admin, *RELOADING), ask)
    elif arguments.command == "restart":
        _insist(await confirm_restart(admin, ask), "Not restarted")
        await restart(admin, session, _printed(admin, *RESTARTING))
    else:
        await _change(admin, session, arguments)


async def _change(admin: Administration, session: Session | None, arguments: Arguments) -> None:
    flag, value = arguments.flag, arguments.value
    if arguments.command == "ctx":
        flag, value = CONTEXT_SIZE, str(parse_context_size(arguments.size))
    admin.refuse_if_read_only(f"changing {clean_line(flag, 60)}")
    edit = flag_edit(arguments.model, flag, value, only_this_model=arguments.only)
    proposal = await propose(admin, edit)
    ask = asker(arguments, lambda: session.monitor.snapshot if session else Snapshot())
    yes = await ask(
        lambda snapshot: question_before_change(proposal, snapshot if session else None)
    )
    _insist(yes, "Not changed")
    progress = _printed(admin, *CHANGING)
    try:
        made = await change_config(admin, session, proposal, progress, ask)
    except ConfigChangedMeanwhile as error:
        print(error.difference, file=sys.stderr)
        raise
    except NotEffective as error:
        question = question_before_putting_back(error)
        if session is not None and await ask(lambda _: question):
            await undo(admin, session, error.made.entry, _printed(admin, *UNDOING), ask)
            print("the old value is back", file=sys.stderr)
        raise error.cause from error
    for warning in made.warnings:
        print(warning, file=sys.stderr)
    print(words_of(made.entry))


async def _undo(admin: Administration, session: Session, ask: Ask) -> None:
    admin.refuse_if_read_only("undoing a change")
    entry = await last_change(admin)
    at = _time_words(entry.at)
    yes = await ask(lambda snapshot: question_before_undo(entry, at, snapshot))
    _insist(yes, "Not undone")
    await undo(admin, session, entry, _printed(admin, *UNDOING), ask)
    print(f"taken back: {words_of(entry)}")


async def _journal(admin: Administration, *, as_json: bool) -> None:
    entries = await admin.journal.of_server(admin.server.identity)
    for entry in entries:
        if as_json:
            print(json.dumps(_as_values(entry), ensure_ascii=False))
        else:
            print(f"{_time_words(entry.at)}  {entry.outcome.value:7}  {words_of(entry)}")
    if not entries and not as_json:
        print(f"aitui has changed nothing at {admin.server.label} yet")


def _as_values(entry: Entry) -> dict[str, object]:
    return {**asdict(entry), "outcome": entry.outcome.value}


def _time_words(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def _insist(answer: bool, words: str) -> None:  # noqa: FBT001
    if not answer:
        raise Refused(f"{words}: the answer was no")


def _printed(admin: Administration, *names: str) -> Progress:
    """Progress that prints each step when it has ended."""
    told: set[str] = set()

    def show(steps: Steps) -> None:
        for step in steps.steps:
            if step.state in _MARKS and step.name not in told:
                told.add(step.name)
                print(_line(step), file=sys.stderr, flush=True)

    return Progress(admin.clock, show, *names)


def _line(step: Step) -> str:
    took = "" if step.state is StepState.LEFT_OUT else f"{step.seconds(step.ended):.1f} s"
    # Why a step failed is said once, at the end.
    words = "" if step.state is StepState.FAILED else step.words
    return f"{_MARKS[step.state]} {step.name:8} {took:>7}  {words}".rstrip()


@asynccontextmanager
async def _live_session(server: Server, paths: Paths) -> AsyncIterator[Session]:
    await refuse_without_certificates(server)
    async with terminal_session(server, paths) as session:
        await session.monitor.fetch()
        async with watching(session):
            await hear_first_events(session)
            yield session
