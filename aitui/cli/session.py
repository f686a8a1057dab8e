"""A session for one command: its confirmations on the terminal, and the memory it needs to know."""

import asyncio
import contextlib
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from random import Random

from aitui.aio import cancel_and_wait
from aitui.cli.arguments import Arguments
from aitui.domain.confirmation import Ask, Confirmation
from aitui.domain.models import Model, RunState
from aitui.domain.snapshot import Clock, Server, Snapshot
from aitui.domain.units import format_seconds
from aitui.errors import ActionRefused, TimedOut
from aitui.format.fit import shorten_id
from aitui.format.styled import Span, ansi
from aitui.host.listener import locate_host
from aitui.paths import Paths
from aitui.services.load import (
    describe_queued,
    open_loads,
    outcome_without_waiting,
    stays_queued,
)
from aitui.services.session import Session, open_session

HOST_SECONDS = 3.0
"""Seconds that a confirmation waits for the host, which may be asleep or far away."""
FINAL_SAMPLE_SECONDS = 3.0


class MemoryPreflight:
    """Waits until the host has answered, or has had enough time for it."""

    def __init__(self, sampling: "asyncio.Task[None]") -> None:
        self._sampling = sampling

    async def wait(self) -> None:
        """Wait for the host's sample, at most HOST_SECONDS."""
        await asyncio.wait({self._sampling}, timeout=HOST_SECONDS)

    def delay(self, ask: Ask) -> Ask:
        """Delay a confirmation until it is known whether the model fits."""

        async def ask_later(build: Callable[[Snapshot], Confirmation]) -> bool:
            await self.wait()
            return await ask(build)

        return ask_later


@asynccontextmanager
async def preflight(session: Session) -> AsyncIterator[MemoryPreflight]:
    """Sample the server now and its host in the background, and learn from what is loaded.

    No error of these ends the command: then less is known.
    """
    await session.hardware.sample_once(with_host=False)
    running = asyncio.create_task(session.hardware.run(), name="hardware")
    sampling = asyncio.create_task(session.sample_memory(), name="host")
    try:
        yield MemoryPreflight(sampling)
    finally:
        await cancel_and_wait(sampling, running)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINAL_SAMPLE_SECONDS):
                await session.hardware.sample_once(with_host=session.hardware.is_host_responding)


def terminal_ask(arguments: Arguments, snapshot: Callable[[], Snapshot]) -> Ask:
    """Return an Ask that asks on the terminal, or takes `--yes` for the answer.

    It raises ActionRefused without a terminal. `--yes` answers for what was named: a confirmation that
    is `separate` is only answered on a terminal, else with no.
    """

    async def ask(build: Callable[[Snapshot], Confirmation]) -> bool:
        confirmation = build(snapshot())
        if arguments.yes:
            return not confirmation.separate
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            if confirmation.separate:
                return False
            raise ActionRefused(
                f"{confirmation.title} Not a terminal.",
                why="; ".join(confirmation.lines or confirmation.diff),
                remedy="pass --yes to confirm",
            )
        lines = (*confirmation.diff, *confirmation.lines)
        print(confirmation.title, *lines, sep="\n  ", file=sys.stderr)
        print(f"{confirmation.yes}? [y/N] ", end="", file=sys.stderr, flush=True)
        return (await read_line()).strip().lower() in {"y", "yes"}

    return ask


async def read_line() -> str:
    """Read a line from the terminal without a thread, which ^C could not end."""
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
    """During a load on a terminal, let the first ^C explain what a second one does.

    The first one ends the command if nothing loads, or if stderr is no terminal.
    """
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):
        # A shell ignores it for background processes of a script.
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
                    f"Still loading {model.id}: ^c again quits, and {outcome_without_waiting(model, session.monitor.snapshot)}"
                )
                return
            _print_line(f"aitui: Stopped waiting for {model.id} before it was ready")
            quoted = shlex.quote(model.id)
            snapshot = session.monitor.snapshot
            queued = stays_queued(model, snapshot)
            outcome = (
                f"It is {describe_queued(model, snapshot)}"
                if queued
                else outcome_without_waiting(model, snapshot)
            )
            ends = "removes it from the queue" if queued else "aborts the load"
            print(f"  {outcome}", file=sys.stderr)
            print(f"  aitui load {quoted} resumes waiting", file=sys.stderr)
            print(f"  aitui unload {quoted} {ends}", file=sys.stderr)
        before(signal.SIGINT, None)

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)


PROGRESS_SECONDS = 0.5


@asynccontextmanager
async def show_load_progress(session: Session) -> AsyncIterator[None]:
    """Show the progress of a load in one line of the terminal while the block runs."""
    if not sys.stderr.isatty():
        yield
        return
    drawing = asyncio.create_task(_draw_load_progress(session), name="load progress")
    try:
        yield
    finally:
        await cancel_and_wait(drawing)


async def _draw_load_progress(session: Session) -> None:
    drawn = False
    try:
        while True:
            for model in open_loads(session.snapshot)[:1]:
                drawn = True
                line = ansi(Span(load_progress_text(model, session.clock.monotonic()), "transit"))
                print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
            await asyncio.sleep(PROGRESS_SECONDS)
    finally:
        if drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def load_progress_text(model: Model, now: float) -> str:
    """Format how far a load is: what the server reports, the time so far, and how long it took before."""
    loading = model.state is RunState.STARTING
    share = "" if model.progress is None else f" {model.progress * 100:.0f} %"
    text = f"{shorten_id(model.id, 40)} {f'is loading{share}' if loading else 'waits to load'}"
    if model.requested is not None:
        text += f", {format_seconds(max(0.0, now - model.requested))}"
    if model.expected_load is not None:
        text += f" of usually {format_seconds(model.expected_load)}"
    return text


def _print_line(line: str) -> None:
    # The terminal echoes the key as "^C", which is overwritten.
    print(f"\r{line}" if sys.stderr.isatty() else line, file=sys.stderr)


FIRST_EVENTS_SECONDS = 2.0


async def wait_for_first_events(session: Session) -> None:
    """Wait for the first events: they alone report active requests, and older servers' aliases."""
    with contextlib.suppress(TimedOut):
        await session.monitor.wait_until(
            lambda snapshot: snapshot.requests.total is not None, FIRST_EVENTS_SECONDS
        )


@asynccontextmanager
async def terminal_session(server: Server, paths: Paths) -> AsyncIterator[Session]:
    """Open a session for a command that ends."""
    async with open_session(
        await locate_host(server),
        paths,
        Clock.of_system(),
        Random(),  # noqa: S311
        on_notice=lambda sentence: print(sentence, file=sys.stderr),
    ) as session:
        yield session
