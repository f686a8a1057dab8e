"""Arguments in; the dashboard, or one command, out."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path
from random import Random
from typing import NoReturn, TextIO

from msgspec.structs import replace

from aitui.aio import background_task
from aitui.cli.arguments import Arguments
from aitui.cli.output import prepare_output, prepare_screen, prepare_streams
from aitui.domain.sanitize import sanitize_text
from aitui.domain.server import Clock, Server
from aitui.errors import AituiError, ConfigRefused, LoadFailed, SettingsError
from aitui.paths import Paths, home_directory
from aitui.settings import Settings, missing_certificates, read_settings


def main(argv: Sequence[str] | None = None) -> int:
    """Run aitui and return its exit status; see `aitui --help` for what each means."""
    prepare_streams()
    arguments = _read_arguments(sys.argv[1:] if argv is None else argv)
    try:
        paths = Paths.from_environment(os.environ)
        home = home_directory(os.environ)
        settings: Settings | SettingsError
        try:
            flags = arguments.flags
            if arguments.command == "init":
                # Its URL is that of a new server, and needs no scheme.
                flags = replace(flags, url=None)
            settings = read_settings(flags, os.environ, paths.config, home)
        except SettingsError as error:
            if arguments.command not in {"doctor", "certs", "completions"}:
                raise
            settings = error
        if arguments.command != "tui" or isinstance(settings, SettingsError):
            return _command(arguments, settings, paths)
        return _dashboard(arguments, settings, paths, home)
    except AituiError as error:
        _print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _discard_output(sys.stdout)
        return 1


def _read_arguments(argv: Sequence[str]) -> Arguments:
    if not argv:
        # The dashboard: argparse and the tables of all commands take 9 ms.
        return Arguments()
    from aitui.cli.args import parse

    return parse(argv)


def _command(arguments: Arguments, settings: Settings | SettingsError, paths: Paths) -> int:
    from aitui.cli.args import is_change
    from aitui.cli.main import run_command

    prepare_output(json=arguments.json, outlasts_reader=is_change(arguments))
    if arguments.command == "chat":
        from aitui.cli.chat import read_standard_input

        # Before the event loop runs, where ^C ends a read.
        arguments = read_standard_input(arguments)
    status = asyncio.run(run_command(arguments, settings, paths))
    print(end="", flush=True)
    return status


def _dashboard(arguments: Arguments, settings: Settings, paths: Paths, home: Path) -> int:
    if not sys.stdout.isatty():
        print("aitui needs a terminal; for scripts: aitui status --json", file=sys.stderr)
        return 2
    # Textual draws on stderr: it can't be redirected to keep what libraries write off the screen.
    prepare_screen()
    # A library that logs, like asyncio of a socket that closed, would write onto the terminal.
    logging.getLogger().addHandler(logging.NullHandler())
    # Others press keys, choose a driver, or write files; they belong to another program's tests.
    for name in [name for name in os.environ if name.partition("_")[0] == "TEXTUAL"]:
        if name != "TEXTUAL_FPS":
            del os.environ[name]
    # Textual reads it once, when it is imported. One that was left there yields to one set for us.
    if settings.origins["fps"] != "default" or "TEXTUAL_FPS" not in os.environ:
        os.environ["TEXTUAL_FPS"] = str(settings.fps)
    from aitui.store.files import read_theme
    from aitui.ui.app import AituiApp
    from aitui.ui.context import AppContext

    opening = AppContext(
        settings=settings,
        paths=paths,
        home=home,
        clock=Clock.of_system(),
        random=Random(),  # noqa: S311
        demo_world=demo_server,
        missing_certificates=missing_certificates(settings.server) if settings.has_server else (),
        start_with_demo=arguments.demo,
        theme=read_theme(paths.state),
    )
    app = AituiApp(opening)
    asyncio.run(app.run_until_closed())
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _discard_output(stream)
    return app.return_code or 0


def _discard_output(stream: TextIO) -> None:
    """Send the rest nowhere: the reader is gone, and Python would report that again at its final flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@asynccontextmanager
async def demo_server(
    wall: Callable[[], float] = time.time,
) -> AsyncIterator[tuple[Server, Paths]]:
    """A server that stands in for a real one, and places to write to, for as long as the block.

    `wall` is its clock (Unix time).
    """
    from aitui.demo.past_hour import CLIENT_NAMES
    from aitui.demo.world import IDENTITY, demo_world

    async with demo_world(wall=wall) as world:
        server = Server(
            url=world.url,
            identity=IDENTITY,
            name=IDENTITY,
            ca=world.certificates.root_ca,
            client_cert=world.certificates.client_cert,
            client_key=world.certificates.client_key,
            ssh_host=world.ssh_host,
            ssh_home=world.ssh_setup.home,
            clients=CLIENT_NAMES,
        )
        paths = Paths.below(world.folder)
        async with background_task(_write_past_hour(paths, wall()), "past hour"):
            yield server, paths


async def _write_past_hour(paths: Paths, now: float) -> None:
    """Record what aitui would have seen of the demo's past hour."""
    from aitui.demo.past_hour import HOUR, past_activity, past_energy
    from aitui.demo.world import IDENTITY

    # After the table, as the recorder does.
    await asyncio.sleep(_RECORDED_AFTER)
    module = await asyncio.to_thread(import_module, "aitui.store.activity_db")
    store = await module.ActivityStore.open(paths.data / module.FILE_NAME)
    try:
        await store.watch(IDENTITY, now - HOUR, now)
        await store.add(past_activity(IDENTITY, now), now)
        await store.add_energy(IDENTITY, past_energy(now))
    finally:
        await store.close()


_RECORDED_AFTER = 1.5
"""Seconds."""


def _print_error(error: AituiError) -> None:
    # It may repeat an argument, a path or a variable.
    print(f"aitui: {sanitize_text(error.what)}", file=sys.stderr)
    place = error.location if isinstance(error, ConfigRefused) else ""
    for line in (place, error.why, *_load_failure_lines(error), error.shell_remedy):
        for each in sanitize_text(line).splitlines():
            print(f"  {each}".rstrip(), file=sys.stderr)


def _load_failure_lines(error: AituiError) -> tuple[str, ...]:
    if not isinstance(error, LoadFailed):
        return ()
    lines = tuple(f"| {line}" for line in error.log)
    if not error.evicted:
        return lines
    return (*lines, f"evicted for it and not loaded again: {', '.join(error.evicted)}")


def run() -> NoReturn:
    """Run aitui, and end the process at once.

    Python would take down every module first: 45 of the 230 ms of CPU of `aitui status`. Threads have
    ended with the event loop, and files are closed by what opened them.
    """
    status = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    run()
