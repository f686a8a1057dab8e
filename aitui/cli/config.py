"""The commands that look at the server's machine, or change it, on the command line."""

import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

from aitui.cli.args import Arguments
from aitui.cli.session import (
    preflight,
    terminal_ask,
    terminal_session,
    wait_for_first_events,
)
from aitui.domain.config.sizes import parse_context_size
from aitui.domain.progress import ProgressTracker, Step, Steps, StepState
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import Clock, Server, Snapshot
from aitui.errors import ActionRefused, ConfigChangedMeanwhile
from aitui.paths import Paths
from aitui.services.config_apply import (
    CHANGING,
    ChangeApplyFailed,
    apply_change,
)
from aitui.services.config_plan import (
    CONTEXT_SIZE,
    change_confirmation,
    flag_edit,
    plan_change,
    read_server_config,
    sanitize_config,
)
from aitui.services.config_recover import (
    RELOADING,
    RESTARTING,
    UNDOING,
    confirm_reload,
    confirm_restart,
    describe_entry,
    last_change,
    recover_changes,
    reload_server,
    restart_server,
    rollback_confirmation,
    undo_change,
    undo_confirmation,
)
from aitui.services.host_admin import HostAdmin, open_administration
from aitui.services.session import Ask, Session, run_monitor
from aitui.settings import require_certificates
from aitui.store.journal import JournalEntry as Entry

_MARKS = {StepState.DONE: "✔", StepState.FAILED: "✘", StepState.SKIPPED: "–"}


async def run_admin_command(arguments: Arguments, server: Server, paths: Paths) -> None:
    """Run the command that was given; raises an AituiError where it doesn't end well."""
    clock = Clock(time.monotonic, time.time)
    async with open_administration(server, paths, clock) as admin:
        command = arguments.command
        for sentence in await recover_changes(admin):
            print(sentence, file=sys.stderr)
        if command == "preset":
            preset = await read_server_config(admin)
            print(sanitize_config(preset), end="")
            for problem in preset.diagnostics:
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
                preflight(session, paths, admin) as memory,
            ):
                if not arguments.yes:
                    await memory.wait()
                await _run_with_session(admin, session, arguments)


async def _run_with_session(admin: HostAdmin, session: Session, arguments: Arguments) -> None:
    ask = terminal_ask(arguments, lambda: session.monitor.snapshot)
    if arguments.command == "undo":
        await _undo(admin, session, ask)
    elif arguments.command == "reload":
        _require_yes(await confirm_reload(admin, ask), "Not reloaded")
        await reload_server(admin, session, _print_progress(admin, *RELOADING), ask)
    elif arguments.command == "restart":
        _require_yes(await confirm_restart(admin, ask), "Not restarted")
        await restart_server(admin, session, _print_progress(admin, *RESTARTING))
    else:
        await _change(admin, session, arguments)


async def _change(admin: HostAdmin, session: Session | None, arguments: Arguments) -> None:
    flag, value = arguments.flag, arguments.value
    if arguments.command == "ctx":
        flag, value = CONTEXT_SIZE, str(parse_context_size(arguments.size))
    admin.refuse_if_read_only(f"changing {sanitize_line(flag, 60)}")
    edit = flag_edit(arguments.model, flag, value, only_this_model=arguments.only)
    proposal = await plan_change(admin, edit)
    ask = terminal_ask(arguments, lambda: session.monitor.snapshot if session else Snapshot())
    yes = await ask(lambda snapshot: change_confirmation(proposal, snapshot if session else None))
    _require_yes(yes, "Not changed")
    progress = _print_progress(admin, *CHANGING)
    try:
        made = await apply_change(admin, session, proposal, progress, ask)
    except ConfigChangedMeanwhile as error:
        print(error.diff, file=sys.stderr)
        raise
    except ChangeApplyFailed as error:
        question = rollback_confirmation(error)
        if session is not None and await ask(lambda _: question):
            await undo_change(
                admin, session, error.made.entry, _print_progress(admin, *UNDOING), ask
            )
            print("the old value is back", file=sys.stderr)
        raise error.cause from error
    for warning in made.warnings:
        print(warning, file=sys.stderr)
    print(describe_entry(made.entry))


async def _undo(admin: HostAdmin, session: Session, ask: Ask) -> None:
    admin.refuse_if_read_only("undoing a change")
    entry = await last_change(admin)
    at = _format_time(entry.at)
    yes = await ask(lambda snapshot: undo_confirmation(entry, at, snapshot))
    _require_yes(yes, "Not undone")
    await undo_change(admin, session, entry, _print_progress(admin, *UNDOING), ask)
    print(f"taken back: {describe_entry(entry)}")


async def _journal(admin: HostAdmin, *, as_json: bool) -> None:
    entries = await admin.journal.changes_of(admin.server.identity)
    for entry in entries:
        if as_json:
            print(json.dumps(_entry_values(entry), ensure_ascii=False))
        else:
            print(f"{_format_time(entry.at)}  {entry.outcome.value:7}  {describe_entry(entry)}")
    if not entries and not as_json:
        print(f"aitui has changed nothing at {admin.server.label} yet")


def _entry_values(entry: Entry) -> dict[str, object]:
    return {**asdict(entry), "outcome": entry.outcome.value}


def _format_time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def _require_yes(answer: bool, words: str) -> None:  # noqa: FBT001
    if not answer:
        raise ActionRefused(f"{words}: the answer was no")


def _print_progress(admin: HostAdmin, *names: str) -> ProgressTracker:
    """Progress that prints each step when it has ended."""
    told: set[str] = set()

    def show(steps: Steps) -> None:
        for step in steps.steps:
            if step.state in _MARKS and step.name not in told:
                told.add(step.name)
                print(_step_line(step), file=sys.stderr, flush=True)

    return ProgressTracker(admin.clock, show, *names)


def _step_line(step: Step) -> str:
    took = "" if step.state is StepState.SKIPPED else f"{step.seconds(step.ended):.1f} s"
    # Why a step failed is said once, at the end.
    words = "" if step.state is StepState.FAILED else step.words
    return f"{_MARKS[step.state]} {step.name:8} {took:>7}  {words}".rstrip()


@asynccontextmanager
async def _live_session(server: Server, paths: Paths) -> AsyncIterator[Session]:
    await require_certificates(server)
    async with terminal_session(server, paths) as session:
        await session.monitor.fetch()
        async with run_monitor(session):
            await wait_for_first_events(session)
            yield session
