"""Commands on the command line: run one, print its outcome, and ask on the terminal."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from aitui.arguments import Arguments
from aitui.commands.asking import terminal_ask
from aitui.commands.interrupts import explain_interrupts
from aitui.commands.load import load_model
from aitui.commands.logs import LogPrinter, print_log
from aitui.commands.session import Session, open_session, run_monitor
from aitui.commands.status import fetch_status, status_as_json, status_as_text
from aitui.commands.status_line import error_line, status_line
from aitui.commands.unload import unload_all_models, unload_model
from aitui.domain.clock import Clock
from aitui.domain.nearest import find_model
from aitui.domain.server import Server
from aitui.errors import ActionRefused, AituiError, CertificateFileError, TimedOut
from aitui.paths import Paths
from aitui.settings import Settings, missing_certificates
from aitui.store.load_times import FILE_NAME, LoadTimes
from aitui.store.measurements import FILE_NAME as MEASUREMENTS
from aitui.store.measurements import Measurements

ADMIN_COMMANDS = frozenset({"ctx", "flag", "preset", "reload", "restart", "undo", "journal"})
FIRST_EVENTS_SECONDS = 2.0


async def run_command(arguments: Arguments, settings: Settings, paths: Paths) -> None:
    """Run the command that was given; raises an AituiError where it doesn't end well."""
    if arguments.command in ADMIN_COMMANDS:
        from aitui.commands.admin_terminal import run_admin_command

        await run_admin_command(arguments, settings.server, paths)
        return
    await refuse_without_certificates(settings.server)
    async with terminal_session(settings.server, paths) as session:
        if arguments.command == "status":
            await _status(session, arguments)
            return
        if arguments.command == "gpu":
            from aitui.commands.gpu_terminal import print_hardware

            await print_hardware(session, arguments, paths)
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
                from aitui.commands.chat_terminal import chat_in_terminal

                await chat_in_terminal(session, arguments, paths)
            elif arguments.command == "load":
                await _load(session, arguments, paths)
            else:
                await _unload(session, arguments)


async def _status(session: Session, arguments: Arguments) -> None:
    try:
        value = await fetch_status(session)
    except AituiError as error:
        if arguments.line:
            print(error_line(session.server.label, error))
        raise
    if arguments.line:
        print(status_line(session.server.label, session.snapshot))
    else:
        print(
            status_as_json(value) if arguments.json else status_as_text(session, session.snapshot)
        )


async def wait_for_first_events(session: Session) -> None:
    """Older servers tell aliases, and all servers tell what runs, by events alone."""
    with contextlib.suppress(TimedOut):
        await session.monitor.wait_until(
            lambda snapshot: snapshot.requests.total is not None, FIRST_EVENTS_SECONDS
        )


async def _load(session: Session, arguments: Arguments, paths: Paths) -> None:
    from aitui.commands.memory_at_hand import preflight

    ask = terminal_ask(arguments, lambda: session.monitor.snapshot)
    async with preflight(session, paths) as memory:
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


@asynccontextmanager
async def terminal_session(server: Server, paths: Paths) -> AsyncIterator[Session]:
    """A session for a command that ends."""
    load_times = await LoadTimes.open(paths.state / FILE_NAME)
    clock = Clock(time.monotonic, time.time)
    measurements = await Measurements.open(paths.state / MEASUREMENTS)
    async with open_session(
        server,
        load_times,
        clock,
        Random(),  # noqa: S311
        measurements=measurements,
    ) as session:
        yield session


async def refuse_without_certificates(server: Server) -> None:
    """Raise CertificateFileError where certificate files are set and not there."""
    missing = await asyncio.to_thread(missing_certificates, server)
    if missing:
        files = ", ".join(f"{path} ({what})" for what, path in missing)
        raise CertificateFileError(
            "The default server lets in only clients with a certificate, and files are missing",
            why=files,
            remedy="put them there, or name another server with --url or AI_SERVER_URL",
        )
