"""Commands on the command line: run one, print its outcome, and ask on the terminal."""

from aitui.cli.args import Arguments
from aitui.cli.logs import LogPrinter, print_log
from aitui.cli.session import (
    explain_interrupts,
    preflight,
    refuse_without_certificates,
    terminal_ask,
    terminal_session,
    wait_for_first_events,
)
from aitui.domain.suggest import find_model
from aitui.errors import ActionRefused, AituiError
from aitui.format.hardware import gpu_report, gpus_as_json, gpus_as_text
from aitui.format.status import (
    error_line,
    status_as_json,
    status_as_text,
    status_line,
    status_report,
)
from aitui.paths import Paths
from aitui.services.load import load_model
from aitui.services.session import Session, run_monitor
from aitui.services.unload import unload_all_models, unload_model
from aitui.settings import Settings

ADMIN_COMMANDS = frozenset({"ctx", "flag", "preset", "reload", "restart", "undo", "journal"})


async def run_command(arguments: Arguments, settings: Settings, paths: Paths) -> None:
    """Run the command that was given; raises an AituiError where it doesn't end well."""
    if arguments.command in ADMIN_COMMANDS:
        from aitui.cli.config import run_admin_command

        await run_admin_command(arguments, settings.server, paths)
        return
    await refuse_without_certificates(settings.server)
    async with terminal_session(settings.server, paths) as session:
        if arguments.command == "status":
            await _status(session, arguments)
            return
        if arguments.command == "gpu":
            await print_hardware(session, arguments)
            return
        if arguments.command == "logs":
            output = LogPrinter.for_terminal(polls=arguments.polls)
            name = arguments.model or arguments.log
            await print_log(session, name, output, follow=arguments.follow)
            return
        await session.monitor.fetch()
        async with run_monitor(session):
            await wait_for_first_events(session)
            if arguments.command == "chat":
                from aitui.cli.chat import chat_in_terminal

                await chat_in_terminal(session, arguments, paths)
            elif arguments.command == "load":
                await _load(session, arguments)
            else:
                await _unload(session, arguments)


async def _status(session: Session, arguments: Arguments) -> None:
    try:
        snapshot = await session.monitor.fetch()
    except AituiError as error:
        if arguments.line:
            print(error_line(session.server.label, error))
        raise
    if arguments.line:
        print(status_line(session.server.label, snapshot))
    elif arguments.json:
        print(status_as_json(status_report(session.server, snapshot)))
    else:
        print(status_as_text(session.server.label, snapshot, session.clock.monotonic()))


async def _load(session: Session, arguments: Arguments) -> None:
    ask = terminal_ask(arguments, lambda: session.monitor.snapshot)
    async with preflight(session) as memory:
        asked = ask if arguments.yes else memory.delay(ask)
        with explain_interrupts(session):
            loaded = await load_model(session, arguments.model, asked)
        if loaded is None:
            raise ActionRefused("Not loaded: the answer was no")
        ready = f" after {loaded.seconds:.1f} s" if loaded.seconds else " already"
        print(f"{loaded.model_id} is ready{ready}", flush=True)


async def _unload(session: Session, arguments: Arguments) -> None:
    ask = terminal_ask(arguments, lambda: session.monitor.snapshot)
    resident = bool(session.snapshot.resident)
    if arguments.all:
        gone = await unload_all_models(session, ask)
    else:
        gone = await unload_model(session, arguments.model, ask)
        model = find_model(arguments.model, session.snapshot.models)
        resident = model is not None and model.resident
    if gone:
        print(f"unloaded {', '.join(gone)}")
    elif resident:
        raise ActionRefused("Not unloaded: the answer was no")
    else:
        print("nothing to unload: it is not loaded")


async def print_hardware(session: Session, arguments: Arguments) -> None:
    """Print the hardware; raises the server's errors, those of its host are part of the output."""
    await session.monitor.fetch()
    await session.sample_memory()
    label, snapshot = session.server.label, session.snapshot
    if arguments.json:
        print(gpus_as_json(gpu_report(label, snapshot)))
    else:
        print(gpus_as_text(label, snapshot, session.clock.wall()))
