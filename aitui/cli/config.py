"""The commands that look at the server's host, or change something there."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from msgspec import to_builtins
from msgspec.structs import replace

from aitui.cli.arguments import Arguments
from aitui.cli.session import preflight, terminal_ask, terminal_session, wait_for_first_events
from aitui.domain.config.sizes import parse_context_size
from aitui.domain.confirmation import Confirmation
from aitui.domain.progress import Step, Steps, StepState
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import Clock, Server, Snapshot
from aitui.errors import ActionRefused, ConfigChangedMeanwhile, SettingsError, Unreachable
from aitui.host.listener import locate_host
from aitui.paths import Paths
from aitui.services.config_change import ConfigRunner, Job, JobResult, PlanAnswer
from aitui.services.config_plan import (
    CONTEXT_SIZE,
    ChangePlan,
    change_confirmation,
    plan_preload,
)
from aitui.services.config_watch import read_server_config, recover_changes, sanitize_config
from aitui.services.host_admin import HostAdmin, no_host_error, open_administration
from aitui.services.session import Session, run_monitor
from aitui.settings import require_certificates

_MARKS = {StepState.DONE: "✔", StepState.FAILED: "✘", StepState.SKIPPED: "–"}


class TerminalFrontend:
    """Confirms on the terminal, and prints each step when it has ended."""

    def __init__(self, arguments: Arguments, session: Session | None) -> None:
        self._session = session
        self._answers_yes, self._is_shared = arguments.yes, arguments.shared
        self._ask = terminal_ask(arguments, lambda: session.snapshot if session else Snapshot())

    async def ask(self, build: Callable[[Snapshot], Confirmation]) -> bool:
        """Ask for a confirmation."""
        return await self._ask(build)

    async def confirm_plan(self, plan: ChangePlan) -> PlanAnswer:
        """Print what a change would do, and ask; `--yes` alone answers for no other model."""
        change = plan.change
        if self._answers_yes and change.also and not self._is_shared:
            noun = f"{len(change.also)} other models" if change.also[1:] else "another model"
            raise ActionRefused(
                f"Not changed: {change.flag} of {sanitize_line(change.model, 80)} is shared",
                why=f"{noun} would change as well: {', '.join(map(sanitize_line, change.also))}",
                remedy="--only changes this model alone, --shared changes all of them",
            )
        live = self._session is not None
        yes = await self._ask(lambda now: change_confirmation(plan, now if live else None))
        return PlanAnswer.YES if yes else PlanAnswer.NO

    def begin(self, title: str, model: str) -> Callable[[Steps], None]:
        """Print the steps of a job as they end."""
        del title, model
        printed: set[str] = set()
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""

        def show(steps: Steps) -> None:
            for step in steps.steps:
                waits = f"  {step.name}: {step.words}, at most {step.limit:.0f} s"
                if step.limit and waits not in printed:
                    printed.add(waits)
                    print(waits, file=sys.stderr, flush=True)
                elif step.state is StepState.RUNNING and step.words and not step.limit and clear:
                    line = f"{clear}  {step.name}: {step.words}"
                    print(line, end="", file=sys.stderr, flush=True)
                if step.state in _MARKS and step.name not in printed:
                    printed.add(step.name)
                    print(f"{clear}{_step_line(step)}", file=sys.stderr, flush=True)

        return show

    def finish(self, result: JobResult) -> None:
        """Print what the final error doesn't contain."""
        if result.job is Job.CHANGE and isinstance(result.error, ConfigChangedMeanwhile):
            print(result.error.diff, file=sys.stderr)
        if result.job is Job.ROLLBACK and result.error is None:
            print("the old value is restored", file=sys.stderr)


async def run_admin_command(arguments: Arguments, server: Server, paths: Paths) -> None:
    """Run the command that was given; raises the AituiError that it ended with."""
    command, server = arguments.command, await locate_host(server)
    is_change = command in {"ctx", "flag", "undo"}
    if command in {"preset", "journal", "preload"} or (is_change and not arguments.reload):
        # The file alone: httpx isn't imported, and the server isn't asked.
        clock = Clock.of_system()
        async with open_administration(server, paths, clock) as admin:
            for sentence in await recover_changes(admin):
                print(sentence, file=sys.stderr)
            if command == "preset":
                await _print_config(admin)
            elif command == "journal":
                await _print_journal(admin, as_json=arguments.json)
            else:
                await _run_job(admin, None, arguments)
        return
    if not server.ssh_host:
        raise no_host_error(server)
    await require_certificates(server)
    async with terminal_session(server, paths) as session:
        admin, config_watch = session.require_host()
        await config_watch.recover()
        try:
            await session.monitor.fetch()
        except Unreachable as error:
            if command != "undo":
                raise
            await _run_job(admin, None, arguments)
            raise Unreachable(
                "The change was undone, but the server does not respond",
                why=error.what,
                remedy="it reads the file when it starts; if it is running: aitui reload",
            ) from error
        async with _live(session), preflight(session) as memory:
            if not arguments.yes:
                await memory.wait()
            await _run_job(admin, session, arguments)


async def _run_job(admin: HostAdmin, session: Session | None, arguments: Arguments) -> None:
    runner = ConfigRunner(admin, session, TerminalFrontend(arguments, session))
    await _JOBS[arguments.command](runner, arguments)


async def _add(runner: ConfigRunner, arguments: Arguments) -> None:
    from aitui.services.new_model import add_source

    folder, endpoint = "".join(arguments.models[-1:]), os.environ.get("HF_ENDPOINT", "")
    work = add_source(runner, arguments.source, arguments.include, folder, endpoint)
    try:
        result = require_success(await work, "Not added")
    except asyncio.CancelledError:
        print("aitui: Interrupted. The same command continues.", file=sys.stderr)
        raise
    _print_change(result)


async def _undo(runner: ConfigRunner, _: Arguments) -> None:
    undone = require_success(await runner.undo(_format_time), "Not undone").entry
    if undone is not None:
        print(f"undone: {undone.description}")


async def _reload(runner: ConfigRunner, _: Arguments) -> None:
    require_success(await runner.reload(), "Not reloaded")


async def _restart(runner: ConfigRunner, _: Arguments) -> None:
    require_success(await runner.restart(), "Not restarted")


async def _preload(runner: ConfigRunner, arguments: Arguments) -> None:
    plan = await plan_preload(runner.admin, arguments.model)
    require_success(await runner.change(plan), "Not changed")
    print(f"{plan.change.new} is loaded when llama-swap starts the next time")


async def _change_context(runner: ConfigRunner, arguments: Arguments) -> None:
    size = str(parse_context_size(arguments.size))
    await _change_flag(runner, replace(arguments, flag=CONTEXT_SIZE, value=size))


async def _change_flag(runner: ConfigRunner, arguments: Arguments) -> None:
    if arguments.only and arguments.shared:
        raise SettingsError("--only and --shared can't be combined")
    flag = arguments.flag
    runner.admin.server.refuse_if_read_only(f"changing {sanitize_line(flag, 60)}")
    result = await runner.change_flag(arguments.model, flag, arguments.value, only=arguments.only)
    _print_change(require_success(result, "Not changed"))


def _print_change(result: JobResult) -> None:
    if result.written is not None:
        for warning in result.written.warnings:
            print(warning, file=sys.stderr)
        print(result.written.entry.description)


_JOBS: dict[str, Callable[[ConfigRunner, Arguments], Awaitable[None]]] = {
    "add": _add,
    "ctx": _change_context,
    "flag": _change_flag,
    "preload": _preload,
    "reload": _reload,
    "restart": _restart,
    "undo": _undo,
}


def require_success(result: JobResult | None, refusal: str) -> JobResult:
    """Return the result of a job; raise its error, or `refusal` if the answer was no."""
    if result is None:
        raise ActionRefused(f"{refusal}: you answered no")
    if result.error is not None:
        raise result.error
    return result


async def _print_config(admin: HostAdmin) -> None:
    config = await read_server_config(admin)
    print(sanitize_config(config), end="")
    for problem in config.diagnostics:
        print(f"line {problem.line}: {problem.words}", file=sys.stderr)
    if config.newer or config.doubt:
        print(f"{config.newer or config.doubt}: aitui reload", file=sys.stderr)


async def _print_journal(admin: HostAdmin, *, as_json: bool) -> None:
    entries = await admin.journal.changes_of(admin.server.identity)
    for entry in entries:
        if as_json:
            print(json.dumps(to_builtins(entry), ensure_ascii=False))
        else:
            print(f"{_format_time(entry.at)}  {entry.outcome.value:7}  {entry.description}")
    if not entries and not as_json:
        print(f"aitui has not changed the config of {admin.server.label} yet")


def _format_time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def _step_line(step: Step) -> str:
    took = "" if step.state is StepState.SKIPPED else f"{step.seconds(step.ended):.1f} s"
    # The reason of a failure is printed once, at the end.
    words = "" if step.state is StepState.FAILED else step.words
    return f"{_MARKS[step.state]} {step.name:8} {took:>7}  {words}".rstrip()


@asynccontextmanager
async def _live(session: Session) -> AsyncIterator[None]:
    async with run_monitor(session):
        await wait_for_first_events(session)
        yield
