"""The commands: each run, its result printed."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from aitui.cli.arguments import Arguments
from aitui.cli.output import WaitNotice, print_lines, terminal_width
from aitui.collector import tune_collector
from aitui.domain.models import ContextSource
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import Clock, Server, Snapshot
from aitui.errors import ActionRefused, AituiError, SettingsError
from aitui.paths import Paths, home_directory
from aitui.settings import Settings, require_certificates, require_server

if TYPE_CHECKING:
    from aitui.services.monitor import Monitor
    from aitui.services.session import Session

Handler: TypeAlias = Callable[[Arguments, Settings | SettingsError, Paths], Awaitable[int]]
SessionHandler: TypeAlias = "Callable[[Session, Arguments, Paths], Awaitable[None]]"


async def run_command(
    arguments: Arguments, settings: Settings | SettingsError, paths: Paths
) -> int:
    """Run the command that was given; return the exit status.

    Raises an AituiError if it fails. The doctor runs with wrong settings, and names the error; `certs` may need none.
    """
    if arguments.command != "status":
        tune_collector()
    return await HANDLERS[arguments.command](arguments, settings, paths)


def _with_session(handle: SessionHandler, *, monitor: bool = True) -> Handler:
    """Run `handle` with a connected session, and with its monitor running if `monitor`."""

    async def run(arguments: Arguments, settings: Settings | SettingsError, paths: Paths) -> int:
        from aitui.cli.session import terminal_session, wait_for_first_events
        from aitui.services.session import run_monitor

        server = require_server(_require(settings))
        await require_certificates(server)
        async with terminal_session(server, paths) as session:
            if not monitor:
                await handle(session, arguments, paths)
                return 0
            with WaitNotice(server.label):
                await session.monitor.fetch()
            async with run_monitor(session):
                await wait_for_first_events(session)
                await handle(session, arguments, paths)
        return 0

    return run


def _require(settings: Settings | SettingsError) -> Settings:
    if isinstance(settings, SettingsError):
        raise settings
    return settings


async def _administer(
    arguments: Arguments, settings: Settings | SettingsError, paths: Paths
) -> int:
    from aitui.cli.config import run_admin_command

    await run_admin_command(arguments, require_server(_require(settings)), paths)
    return 0


async def _setup(arguments: Arguments, settings: Settings | SettingsError, paths: Paths) -> int:
    from aitui.cli.setup import choose_server, run_setup

    server = choose_server(arguments, _require(settings), home_directory(os.environ))
    return await run_setup(arguments, server, paths)


async def _init(arguments: Arguments, settings: Settings | SettingsError, paths: Paths) -> int:
    from aitui.cli.init import run_init

    return await run_init(arguments, _require(settings), paths)


async def _completions(arguments: Arguments, _: Settings | SettingsError, paths: Paths) -> int:
    from aitui.cli.completions import run_completions

    return await run_completions(arguments, paths)


async def _doctor(arguments: Arguments, settings: Settings | SettingsError, paths: Paths) -> int:
    from aitui.cli.doctor import run_doctor

    copy_to = paths.state if arguments.copy else None
    return await run_doctor(settings, os.environ, json=arguments.json, copy_to=copy_to)


async def _certs(arguments: Arguments, settings: Settings | SettingsError, _: Paths) -> int:
    from aitui.cli.certs import run_certs

    return await run_certs(arguments, settings)


async def _chat(session: "Session", arguments: Arguments, paths: Paths) -> None:
    from aitui.cli.chat import chat_in_terminal

    await chat_in_terminal(session, arguments, paths)


async def _logs(session: "Session", arguments: Arguments, _: Paths) -> None:
    from aitui.cli.logs import LogPrinter, print_log

    output = LogPrinter.for_terminal(polls=arguments.polls)
    await print_log(session, arguments.model or arguments.log, output, follow=arguments.follow)


def _activity(name: str) -> Handler:
    async def run(arguments: Arguments, settings: Settings | SettingsError, paths: Paths) -> int:
        from aitui.cli import activity

        server = require_server(_require(settings))
        await require_certificates(server)
        handle: Callable[[Server, Arguments, Paths], Awaitable[None]] = getattr(activity, name)
        await handle(server, arguments, paths)
        return 0

    return run


async def _status(arguments: Arguments, settings: Settings | SettingsError, paths: Paths) -> int:
    """Print the state of the server.

    Scripts and shell prompts run it again and again, so it imports only what a list of models needs
    and opens no session: the parts of one that watch memory, host and config file cost as much again
    as httpx. Memory and context sizes are what earlier commands have stored.
    """
    from aitui.format.report import format_json
    from aitui.format.status import error_line, status_as_lines, status_line, status_report
    from aitui.llamaswap.client import LlamaSwapClient
    from aitui.llamaswap.urls import proxy_warning
    from aitui.services.monitor import Monitor
    from aitui.store.context_sizes import FILE_NAME as CONTEXT_SIZES
    from aitui.store.context_sizes import ContextSizes
    from aitui.store.load_times import FILE_NAME, LoadTimes

    server = require_server(_require(settings))
    await require_certificates(server)
    if not arguments.line and (warning := proxy_warning(server)):
        print(warning, file=sys.stderr)
    clock = Clock.of_system()
    async with LlamaSwapClient(server) as client:
        monitor = Monitor(
            client,
            identity=server.identity,
            clock=clock,
            load_times=LoadTimes(paths.state / FILE_NAME),
            random=Random(),  # noqa: S311
        )
        sizes = await ContextSizes.open(paths.state / CONTEXT_SIZES)
        try:
            await monitor.update_config(sizes.of_server(server.identity))
            with WaitNotice(server.label):
                snapshot = await monitor.fetch()
            if not arguments.line:
                snapshot = await _with_stored_facts(monitor, server, paths)
        except AituiError as error:
            if arguments.line:
                print(error_line(server.label, error))
            raise
    if arguments.line:
        print(status_line(server.label, snapshot))
    elif arguments.json:
        print(format_json(status_report(server, snapshot, clock)))
    else:
        print_lines(status_as_lines(server.label, snapshot, clock.monotonic(), terminal_width()))
    return 0


HARDWARE_SECONDS = 12.0
"""Seconds for a sample; a connection over SSH takes up to 8 more to be closed."""
HOST_SECONDS = 1.0
"""Seconds that `status` waits for a config file that was never read before."""


async def _with_stored_facts(monitor: "Monitor", server: Server, paths: Paths) -> Snapshot:
    """Add what models were measured to take, and the context sizes of a config file never read yet."""
    from aitui.store.measurements import FILE_NAME, Measurements

    measurements = await Measurements.open(paths.state / FILE_NAME)
    assumed = any(
        model.loadable and model.context.source is ContextSource.FALLBACK
        for model in monitor.snapshot.models
    )
    if assumed:
        from aitui.host.listener import locate_host

        server = await locate_host(server)
    if assumed and server.ssh_host:
        from aitui.cli.session import terminal_session

        with contextlib.suppress(AituiError, TimeoutError):  # then they stay marked as assumed
            async with asyncio.timeout(HOST_SECONDS), terminal_session(server, paths) as session:
                _, watch = session.require_host()
                await monitor.update_config((await watch.read()).contexts)
    models = tuple(
        replace(model, memory=measured.footprint)
        if (measured := measurements.of_model(server.identity, model.id).at(model.context.tokens))
        else model
        for model in monitor.snapshot.models
    )
    return replace(monitor.snapshot, models=models)


async def _load(session: "Session", arguments: Arguments, _: Paths) -> None:
    from aitui.cli.session import (
        explain_interrupts,
        preflight,
        show_load_progress,
        terminal_ask,
    )
    from aitui.services.load import load_model

    ask = terminal_ask(arguments, lambda: session.monitor.snapshot)
    async with preflight(session) as memory:
        ask_in_time = ask if arguments.yes else memory.delay(ask)
        with explain_interrupts(session):
            async with show_load_progress(session):
                loaded = await load_model(session, arguments.model, ask_in_time)
        if loaded is None:
            raise ActionRefused("Not loaded: you answered no")
        ready = f" after {loaded.seconds:.1f} s" if loaded.seconds else " already"
        print(f"{loaded.model_id} is ready{ready}", flush=True)


async def _unload(session: "Session", arguments: Arguments, _: Paths) -> None:
    from aitui.cli.session import terminal_ask
    from aitui.domain.models import find_model
    from aitui.services.load import stays_queued
    from aitui.services.unload import unload_all_models, unload_model

    ask = terminal_ask(arguments, lambda: session.monitor.snapshot)
    resident, model = bool(session.snapshot.resident), None
    with WaitNotice(f"{session.server.label} to unload") as notice:
        if arguments.all:
            gone = await unload_all_models(session, notice.pause(ask))
        else:
            gone = await unload_model(session, arguments.model, notice.pause(ask), dequeue=True)
    if not arguments.all:
        model = find_model(arguments.model, session.snapshot.models)
        resident = model is not None and model.resident
    if gone:
        print(f"unloaded {', '.join(gone)}")
    elif resident:
        raise ActionRefused("Not unloaded: you answered no")
    else:
        known = model is not None and stays_queued(model, session.snapshot)
        print(f"nothing to unload: it is {'neither loaded nor queued' if known else 'not loaded'}")


async def _profile(session: "Session", arguments: Arguments, _: Paths) -> None:
    from aitui.cli.session import terminal_ask
    from aitui.format.profiles import profiles_as_lines, profiles_report
    from aitui.format.report import format_json
    from aitui.services.profiles import switch_profile

    if not (arguments.profile or arguments.none):
        profiles = await session.client.profiles()
        if arguments.json:
            print(format_json(profiles_report(profiles)))
        else:
            print_lines(profiles_as_lines(profiles))
        return
    ask = terminal_ask(arguments, lambda: session.monitor.snapshot)
    with WaitNotice(session.server.label):
        await session.monitor.fetch()
    if not await switch_profile(session, arguments.profile, ask):
        raise ActionRefused("Not switched: you answered no")
    print(
        f"the profile {arguments.profile} is active"
        if arguments.profile
        else "no profile is active"
    )


async def print_hardware(session: "Session", arguments: Arguments, _: Paths) -> None:
    """Print the hardware; raises the server's errors, those of its host are part of the output."""
    from aitui.format.hardware import gpu_report, gpus_as_lines
    from aitui.format.report import format_json

    with WaitNotice(session.server.label):
        await session.monitor.fetch()
    host = session.server.ssh_host
    try:
        with WaitNotice(f"the hardware of {session.server.label}"):
            async with asyncio.timeout(HARDWARE_SECONDS):
                await session.sample_memory()
    except TimeoutError:
        print(
            f"{sanitize_line(host or session.server.label)} did not report its hardware within "
            f"{HARDWARE_SECONDS:.0f} s{' over SSH: aitui doctor checks it' if host else ''}",
            file=sys.stderr,
        )
        await session.hardware.sample_once(with_host=False)
    label, snapshot = session.server.label, session.snapshot
    if arguments.json:
        print(format_json(gpu_report(label, snapshot)))
    else:
        print_lines(gpus_as_lines(label, snapshot, session.clock.wall()))


HANDLERS: dict[str, Handler] = {
    "status": _status,
    "gpu": _with_session(print_hardware, monitor=False),
    "logs": _with_session(_logs, monitor=False),
    "load": _with_session(_load),
    "unload": _with_session(_unload),
    "chat": _with_session(_chat),
    "profile": _with_session(_profile, monitor=False),
    "activity": _activity("print_activity"),
    "stats": _activity("print_stats"),
    "metrics": _activity("print_metrics"),
    "record": _activity("record"),
    "doctor": _doctor,
    "init": _init,
    "add": _administer,
    "completions": _completions,
    "ctx": _administer,
    "flag": _administer,
    "preload": _administer,
    "setup": _setup,
    "preset": _administer,
    "reload": _administer,
    "restart": _administer,
    "undo": _administer,
    "journal": _administer,
    "certs": _certs,
}
"""The function that runs each command of `COMMANDS`."""
