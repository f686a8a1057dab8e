"""A log of a server: followed across every break, history first, and saved to a file."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from msgspec import Struct

from aitui.aio import background_task, sleep_until
from aitui.domain.logs import MOST_BYTES, MOST_LINES, LineBatch, LogLine, LogRing, overlap_length
from aitui.domain.snapshot import Clock
from aitui.domain.units import count_of
from aitui.errors import AituiError, without_frames
from aitui.paths import Paths
from aitui.services.events import retry_delay
from aitui.services.monitor import detect_suspends
from aitui.store.files import write_named_file

if TYPE_CHECKING:
    from aitui.llamaswap.client import LlamaSwapClient

QUIET_SECONDS = 0.25
"""Seconds of silence that end a history sent again."""
HISTORY_BYTES = 128 * 1024
"""More than any server keeps: what exceeds it is no history."""
LINES_REMEMBERED = 8000
STEADY_SECONDS = 2.0
"""Seconds that a stream must last for the next break to count as the first."""


class FeedPhase(Enum):
    """The state of a log's stream."""

    WAITING = "waiting"
    FOLLOWING = "following"
    LOST = "lost"


class FeedState(Struct, frozen=True):
    """`error` is why the stream is lost, None if the server ended it; `retry_at` monotonic."""

    phase: FeedPhase = FeedPhase.WAITING
    error: AituiError | None = None
    retry_at: float | None = None


class LogUpdate(Struct, frozen=True):
    """Lines since the last update, and the unfinished one, which replaces the one before."""

    lines: tuple[LogLine, ...]
    unfinished: LogLine | None
    state: FeedState


@dataclass(slots=True)
class _PendingHistory:
    """A history sent again, held back until it is known where it joins."""

    timer: asyncio.TimerHandle
    lines: list[LogLine] = field(default_factory=list)
    unfinished: LogLine | None = None
    bytes: int = 0


class LogFeed:
    """Collects the lines of one log until they are taken, within its limits."""

    def __init__(
        self, client: "LlamaSwapClient", name: str, *, clock: Clock, random: Random
    ) -> None:
        self._client = client
        self._name = name
        self._clock = clock
        self._random = random
        self._arrived = LogRing(MOST_LINES, MOST_BYTES)
        self._unfinished: LogLine | None = None
        self._dropped_lines = 0
        self.state = FeedState()
        self._news = asyncio.Event()
        self._wake = asyncio.Event()
        self._stream: asyncio.Timeout | None = None
        self._line_hashes: deque[int] = deque(maxlen=LINES_REMEMBERED)
        self._rejoining: _PendingHistory | None = None
        self._broke_at: float | None = None
        self._began = float("inf")

    async def run(self) -> None:
        """Follow the log until cancelled."""
        async with background_task(self._watch_clock(), "watch the clock for the log"):
            await self._follow()

    async def wait_for_news(self) -> None:
        """Wait until there is something to take."""
        await self._news.wait()

    def take(self) -> LogUpdate:
        """Take everything since the last time."""
        self._news.clear()
        lines = self._arrived.take()
        if self._dropped_lines:
            lost = count_of(self._dropped_lines, "line")
            words = f"dropped {lost} that arrived too fast to be shown"
            lines = (_mark_line(words), *lines)
            self._dropped_lines = 0
        return LogUpdate(lines, self._unfinished, self.state)

    def retry_now(self) -> None:
        """Connect at once if the stream is lost."""
        self._wake.set()

    def reconnect(self) -> None:
        """Connect again, whatever the state of the stream, as after a suspend."""
        self._wake.set()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.reschedule(asyncio.get_running_loop().time())

    async def _follow(self) -> None:
        failures = 0
        while True:
            self._wake.clear()
            self._set_state(FeedState(FeedPhase.WAITING, self.state.error))
            error: AituiError | None = None
            self._began = float("inf")
            try:
                async with asyncio.timeout(None) as self._stream:
                    await self._read()
            except TimeoutError:
                pass  # dropped on purpose
            except AituiError as trouble:
                error = without_frames(trouble)
            finally:
                self._stream = None
                self._handle_break()
            steady = self._clock.monotonic() - self._began >= STEADY_SECONDS
            failures = 0 if steady else failures + 1
            pause = retry_delay(max(0, failures - 1), self._random)
            self._set_state(FeedState(FeedPhase.LOST, error, self._clock.monotonic() + pause))
            await sleep_until(self._wake, pause)

    async def _read(self) -> None:
        async with self._client.log_lines(self._name) as pieces:
            self._began = self._clock.monotonic()
            if self._broke_at is not None:
                self._rejoining = _PendingHistory(self._join_when_quiet())
            self._set_state(FeedState(FeedPhase.FOLLOWING))
            async for lines in pieces:
                self._receive(lines)

    def _receive(self, lines: LineBatch) -> None:
        rejoining = self._rejoining
        if rejoining is None:
            self._unfinished = lines.unfinished
            self._append(lines.whole)
            return
        rejoining.lines += lines.whole
        rejoining.unfinished = lines.unfinished
        rejoining.bytes += sum(len(line.text) for line in lines.whole)
        rejoining.timer.cancel()
        rejoining.timer = self._join_when_quiet()
        if rejoining.bytes > HISTORY_BYTES:
            self._join()

    def _handle_break(self) -> None:
        if self._rejoining is not None and not self._rejoining.lines:
            # It sent nothing before it broke again: the gap is still the same.
            self._rejoining.timer.cancel()
            self._rejoining = None
        self._join()
        if self._began < float("inf") and self._broke_at is None:
            self._broke_at = self._clock.monotonic()

    def _join_when_quiet(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(QUIET_SECONDS, self._join)

    def _join(self) -> None:
        """Continue after a break with what is new, and mark the gap."""
        rejoining, self._rejoining = self._rejoining, None
        if rejoining is None:
            return
        rejoining.timer.cancel()
        again = [hash(line.text) for line in rejoining.lines]
        known = overlap_length(self._line_hashes, again) if self._line_hashes or again else 0
        if known is None and self._unfinished is not None:
            self._append((self._unfinished,))
        self._unfinished = rejoining.unfinished
        broke_at = self._broke_at or self._clock.monotonic()
        self._broke_at = None
        away = self._clock.monotonic() - broke_at
        at = time.strftime("%H:%M:%S", time.localtime(self._clock.wall()))
        no_gap = "no gap, unless the server dropped lines"
        words = "lines may be missing here" if known is None else no_gap
        self._arrived.extend((_mark_line(f"{at} back after {away:.0f} s: {words}"),))
        self._append(tuple(rejoining.lines[known or 0 :]))

    def _append(self, lines: tuple[LogLine, ...]) -> None:
        self._line_hashes.extend(hash(line.text) for line in lines)
        self._dropped_lines += len(self._arrived.extend(lines))
        self._news.set()

    def _set_state(self, state: FeedState) -> None:
        self.state = state
        self._news.set()

    async def _watch_clock(self) -> None:
        """Reconnect after a suspend: the stream may be dead without an error."""
        async for _ in detect_suspends(self._clock):
            self.reconnect()


def _mark_line(words: str) -> LogLine:
    return LogLine(f"── {words} ──", mark=True)


_LONGEST_PART = 50


def save_log(
    paths: Paths, server: str, name: str, lines: Iterable[LogLine], at: time.struct_time
) -> Path:
    """Write lines of a log below the data directory, for the user alone; return the file.

    Never replaces another file. Blocks. Raises AituiError.
    """
    folder = paths.data / "logs"
    stamp = time.strftime("%Y%m%d-%H%M%S", at)
    words = f"{server[:_LONGEST_PART]} {(name or 'both')[:_LONGEST_PART]} {stamp}"
    content = "".join(f"{line.text}\n" for line in lines).encode("utf-8", "replace")
    try:
        return write_named_file(folder, words, ".log", content)
    except OSError as error:
        raise AituiError(
            "The log could not be saved",
            why=f"{folder}: {error.strerror or error}",
            remedy="set XDG_DATA_HOME to a writable folder",
        ) from error
