"""A clock on which idle time passes at once.

Most tests wait: for a load, a poll, a toast that goes. While nothing but its own timers can wake an
event loop, the clock jumps to the next of them. The same timers fire in the same order, and work
takes the time that it takes. While a thread or another process has a say, time is real.
"""

import asyncio
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

import pytest

_GRACE = 0.001
"""Real seconds before a jump: what a socket of this process just sent may be on its way."""


class IdleTime:
    """How far the clocks are ahead, and what keeps them from jumping."""

    def __init__(self) -> None:
        self.passes_at_once = False
        self._real_monotonic, self._real_wall = time.monotonic, time.time
        self._ahead = 0.0
        self._own = OwnTime(self._real_monotonic)
        self._is_own = False
        self._wall_is_ahead_by = 0.0
        self._jobs = 0
        self._processes: list[subprocess.Popen[Any]] = []

    @property
    def is_alone(self) -> bool:
        """Whether no job of a thread and no process of this test is under way."""
        return not self._jobs and all(one.returncode is not None for one in self._processes)

    def monotonic(self) -> float:
        """Return what `time.monotonic` does, and what was jumped over."""
        return (self._own.now() if self._is_own else self._real_monotonic()) + self._ahead

    def wall(self) -> float:
        """Return what `time.time` does, and what was jumped over."""
        if self._is_own:
            return self._wall_is_ahead_by + self.monotonic()
        return self._real_wall() + self._ahead

    @contextmanager
    def waiting(self, timeout: float | None) -> Iterator[None]:
        """Let time pass as it does for everybody while the block waits."""
        # Only a test that leaves out others reads this clock, which asks the kernel for each thread.
        if not self._is_own:
            yield
            return
        self._own.begin_to_wait(timeout)
        try:
            yield
        finally:
            self._own.go_on()

    def jump(self, seconds: float) -> None:
        """Put the clocks forward."""
        self._ahead += seconds

    @contextmanager
    def for_a_test(self, *, leaves_out_others: bool = False) -> Iterator[None]:
        """Let idle time pass at once in the block, which begins and ends at the true time.

        Without others, time in which the machine runs another process than this one does not count.
        """
        self._processes.clear()
        self._wall_is_ahead_by = self._real_wall() - self._own.begin()
        self.passes_at_once, self._is_own = True, leaves_out_others
        try:
            yield
        finally:
            self.passes_at_once = self._is_own = False
            self._ahead = 0.0

    def install(self) -> None:
        """Put the clocks of all modules on this one."""
        patch = pytest.MonkeyPatch()
        # pytest's plugins imported Textual before any file of the tests.
        textual = [one for name, one in sys.modules.items() if name.partition(".")[0] == "textual"]
        clocks = ((self._real_monotonic, self.monotonic), (self._real_wall, self.wall))
        patch.setattr(time, "time_ns", lambda: round(self.wall() * 1e9))
        for module in (time, *textual):
            for name, found in list(vars(module).items()):
                for real, ours in clocks:
                    if found is real:
                        patch.setattr(module, name, ours)
        patch.setattr(selectors, "DefaultSelector", _Selector)
        self._count_jobs(patch)
        self._note_processes(patch)

    def _count_jobs(self, patch: pytest.MonkeyPatch) -> None:
        start = asyncio.BaseEventLoop.run_in_executor

        def run_in_executor(
            loop: asyncio.BaseEventLoop, executor: Executor | None, work: Any, *arguments: Any
        ) -> asyncio.Future[Any]:
            job = start(loop, executor, work, *arguments)
            self._jobs += 1
            job.add_done_callback(end)
            return job

        def end(_: object) -> None:
            self._jobs -= 1

        patch.setattr(asyncio.BaseEventLoop, "run_in_executor", run_in_executor)

    def _note_processes(self, patch: pytest.MonkeyPatch) -> None:
        start = subprocess.Popen.__init__

        def popen(process: subprocess.Popen[Any], *arguments: Any, **options: Any) -> None:
            start(process, *arguments, **options)
            self._processes.append(process)

        patch.setattr(subprocess.Popen, "__init__", popen)


class OwnTime:
    """A clock that goes on while this process runs, or waits, but not while others keep it from it."""

    def __init__(self, real: Callable[[], float]) -> None:
        self._real = real
        self._waits = (0.0, 0.0)
        self.begin()

    def begin(self) -> float:
        """Begin at the true time, and return it."""
        self._at, self._processed = self._real(), time.process_time()
        self._is_waiting = False
        return self._at

    def now(self) -> float:
        """Return the seconds."""
        if not self._is_waiting:
            return self._at + time.process_time() - self._processed
        since, longest = self._waits
        return self._at + min(self._real() - since, longest)

    def begin_to_wait(self, longest: float | None) -> None:
        """Count all time from now on, for at most so long."""
        self._at = self.now()
        self._waits = (self._real(), float("inf") if longest is None else longest)
        self._is_waiting = True

    def go_on(self) -> None:
        """Count the work of this process only."""
        self._at = self.now()
        self._processed = time.process_time()
        self._is_waiting = False


class _Selector(selectors.DefaultSelector):
    """Jumps where it would wait for a timer only."""

    def __init__(self) -> None:
        super().__init__()
        self._ports: set[int] = set()
        self._peers: dict[int, int | None] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        self._peers[key.fd] = self._peer(key.fd)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = super().unregister(fileobj)
        self._peers.pop(key.fd, None)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= _GRACE or not self._can_jump():
            return self._wait(timeout)
        until = IDLE_TIME.monotonic() + timeout
        events = self._wait(_GRACE)
        if not events and self._can_jump():
            IDLE_TIME.jump(max(0.0, until - IDLE_TIME.monotonic()))
        return events

    def _wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        with IDLE_TIME.waiting(timeout):
            return super().select(timeout)

    def _can_jump(self) -> bool:
        return (
            IDLE_TIME.passes_at_once
            and IDLE_TIME.is_alone
            and all(peer in self._ports for peer in self._peers.values() if peer != 0)
        )

    def _peer(self, descriptor: int) -> int | None:
        """The port of the other end, 0 without one, None for what another process may hold."""
        try:
            one = socket.socket(fileno=descriptor)
        except OSError:
            return None
        try:
            if one.family not in (socket.AF_INET, socket.AF_INET6):
                return None if one.getpeername() else 0
            self._ports.add(one.getsockname()[1])
            return int(one.getpeername()[1])
        except OSError:
            return 0
        finally:
            one.detach()


IDLE_TIME = IdleTime()
IDLE_TIME.install()
