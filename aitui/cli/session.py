"""What is known of memory, beside a command that loads a model: before its question, and after it."""

import asyncio
import contextlib
import shlex
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from random import Random

from aitui.aio import cancel_and_wait
from aitui.cli.args import Arguments
from aitui.domain.confirmation import Confirmation
from aitui.domain.snapshot import Clock, Server, Snapshot
from aitui.errors import ActionRefused, AituiError, TimedOut
from aitui.paths import Paths
from aitui.services.config_plan import read_server_config
from aitui.services.host_admin import HostAdmin, open_administration
from aitui.services.load import abandoned_load_outcome, open_loads
from aitui.services.session import Ask, Session, open_session
from aitui.store.load_times import FILE_NAME, LoadTimes
from aitui.store.measurements import FILE_NAME as MEASUREMENTS
from aitui.store.measurements import Measurements

MACHINE_SECONDS = 3.0
"""Seconds that a question waits for the machine; it may be asleep, or in another house."""
FINAL_SAMPLE_SECONDS = 3.0


class MemoryPreflight:
    """`wait` is over when the machine has answered, or was given long enough."""

    def __init__(self, looking: "asyncio.Task[None]") -> None:
        self._looking = looking

    async def wait(self) -> None:
        """Give the machine its time."""
        await asyncio.wait({self._looking}, timeout=MACHINE_SECONDS)

    def delay(self, ask: Ask) -> Ask:
        """The same question, put once it is known whether the model fits."""

        async def patient(build: Callable[[Snapshot], Confirmation]) -> bool:
            await self.wait()
            return await ask(build)

        return patient


@asynccontextmanager
async def preflight(
    session: Session, paths: Paths, admin: HostAdmin | None = None
) -> AsyncIterator[MemoryPreflight]:
    """Sample the server at once and its machine beside, and learn from what is loaded meanwhile.

    `admin` is the machine where a command has it open already. Nothing that goes wrong here ends
    the command: then less is known.
    """
    async with contextlib.AsyncExitStack() as stack:
        if admin is None and session.server.ssh_host:
            opened = open_administration(session.server, paths, session.clock)
            admin = await stack.enter_async_context(opened)
        await sample_machine(session, None)
        sampling = asyncio.create_task(session.hardware.run(), name="hardware")
        looking = asyncio.create_task(sample_machine(session, admin), name="machine")
        try:
            yield MemoryPreflight(looking)
        finally:
            await cancel_and_wait(looking, sampling)
            if not session.hardware.is_host_responding:
                session.hardware.set_host(None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FINAL_SAMPLE_SECONDS):
                    await session.hardware.sample_once()


async def sample_machine(session: Session, admin: HostAdmin | None) -> None:
    """Ask the server, and the machine behind it once, its config file first."""
    if admin is not None:
        session.hardware.set_host(admin.host)
        # Why the file can't be read is for `preset` to say; without it there are no estimates.
        with contextlib.suppress(AituiError):
            preset = await read_server_config(admin)
            await session.monitor.update_config(preset.contexts)
            session.hardware.update_commands(preset.commands, preset.environments)
    await session.hardware.sample_once()


def terminal_ask(arguments: Arguments, snapshot: Callable[[], Snapshot]) -> Ask:
    """Asks on the terminal, or takes `--yes` for the answer; raises Refused where nobody sits there.

    A question that is separate is answered there alone, else with no.
    """

    async def ask(build: Callable[[Snapshot], Confirmation]) -> bool:
        question = build(snapshot())
        if arguments.yes:
            return not question.separate
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            if question.separate:
                return False
            raise ActionRefused(
                f"{question.title} Nobody is there to answer",
                why="; ".join(question.facts or question.diff),
                remedy="give --yes to do it all the same",
            )
        lines = (*question.diff, *question.facts)
        print(question.title, *lines, sep="\n  ", file=sys.stderr)
        print(f"{question.yes}? [y/N] ", end="", file=sys.stderr, flush=True)
        return (await _read_line()).strip().lower() in {"y", "yes"}

    return ask


async def _read_line() -> str:
    """A line from the terminal. No thread waits for it: one could not be ended by ^C."""
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(sys.stdin, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(sys.stdin)
    return sys.stdin.readline()


@contextmanager
def explain_interrupts(session: Session) -> Iterator[None]:
    """On a terminal, let the first ^C during a load say what the second one does.

    Where no load has been asked for, and where nobody reads what is said, the first one ends it.
    """
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):
        # A shell has it ignored in what runs in the background of a script.
        yield
        return
    loop = asyncio.get_running_loop()
    explained = False

    def interrupt() -> None:
        nonlocal explained
        for model in open_loads(session.snapshot):
            if sys.stderr.isatty() and not explained:
                explained = True
                _print_line(
                    f"Still loading {model.id}: ^c again leaves it, and {abandoned_load_outcome(model)}"
                )
                return
            _print_line(f"aitui: Left {model.id} before it was ready")
            quoted = shlex.quote(model.id)
            print(f"  {abandoned_load_outcome(model)}", file=sys.stderr)
            print(f"  aitui load {quoted} waits for it again", file=sys.stderr)
            print(f"  aitui unload {quoted} aborts the load", file=sys.stderr)
        before(signal.SIGINT, None)

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)


def _print_line(line: str) -> None:
    # The terminal shows the key itself, "^C": that is written over.
    print(f"\r{line}" if sys.stderr.isatty() else line, file=sys.stderr)


FIRST_EVENTS_SECONDS = 2.0


async def wait_for_first_events(session: Session) -> None:
    """Older servers tell aliases, and all servers tell what runs, by events alone."""
    with contextlib.suppress(TimedOut):
        await session.monitor.wait_until(
            lambda snapshot: snapshot.requests.total is not None, FIRST_EVENTS_SECONDS
        )


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
