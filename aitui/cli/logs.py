"""`aitui logs`: the history of a log, and with --follow what comes after it."""

import asyncio
import os
import stat
import sys
from random import Random

from msgspec import Struct

from aitui.cli.output import has_colors
from aitui.domain.ansi import format_ansi
from aitui.domain.logs import LogFilter, LogLine
from aitui.domain.models import ModelKind
from aitui.domain.release import SEPARATE_LOGS_SINCE
from aitui.errors import ActionRefused, AituiError, NoSuchModel
from aitui.services.load import resolve_model
from aitui.services.logs import FeedPhase, LogFeed, LogUpdate
from aitui.services.session import Session

QUIET_SECONDS = 0.4
"""Seconds of silence that end a history: the server doesn't mark its end."""
LATE_SECONDS = 1.0
HISTORY_SECONDS = 4.0
"""Seconds after which the history of a log that is never silent counts as complete."""


class LogPrinter(Struct, frozen=True):
    """Writes lines with aitui's own polls or without, colored or plain."""

    polls: bool = False
    colors: bool = False

    @classmethod
    def for_terminal(cls, *, polls: bool) -> "LogPrinter":
        """Color if stdout is a terminal, unless NO_COLOR is set (https://no-color.org)."""
        return cls(polls, has_colors(sys.stdout))

    def write(self, lines: tuple[LogLine, ...]) -> None:
        """Write the server's lines to stdout, aitui's marks to stderr. Raises BrokenPipeError."""
        shown = LogFilter(show_own=self.polls)
        text = "".join(
            f"{format_ansi(line.text, line.spans) if self.colors else line.text}\n"
            for line in lines
            if shown.passes(line) and not line.mark
        )
        marks = "".join(f"{line.text}\n" for line in lines if line.mark)
        if marks:
            print(marks, end="", file=sys.stderr, flush=True)
        if text:
            print(text, end="", flush=True)


async def print_log(session: Session, name: str, output: LogPrinter, *, follow: bool) -> None:
    """Write a log's history; with `follow`, go on for ever and wait for a server that is lost.

    `name` is "proxy", "upstream", "http", a model's id or alias, or empty for both. Raises NoSuchModel,
    ActionRefused, Unreachable and the like if it can't be read at all, BrokenPipeError as soon as
    the reader of a pipe is gone.
    """
    random = Random()  # noqa: S311
    feed = LogFeed(session.client, name, clock=session.clock, random=random)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(feed.run(), name="log feed")
            if follow:
                tasks.create_task(_watch_reader(), name="watch the reader")
            await (_follow(feed, output) if follow else _print_history(feed, output))
            running.cancel()
    except ExceptionGroup as group:
        error = _first_error(group)
        if isinstance(error, NoSuchModel):
            error = await _explain_error(session, name, error)
        raise error from None


async def _print_history(feed: LogFeed, output: LogPrinter) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + HISTORY_SECONDS
    pause = HISTORY_SECONDS
    news = feed.take()
    while news.state.phase is not FeedPhase.LOST:
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + pause)):
                await feed.wait_for_news()
        except TimeoutError:
            break
        news = feed.take()
        await asyncio.to_thread(output.write, news.lines)
        if news.lines or news.unfinished:
            pause = QUIET_SECONDS
        elif news.state.phase is FeedPhase.FOLLOWING:
            pause = LATE_SECONDS
    if news.state.error is not None:
        raise news.state.error
    if news.unfinished is not None:
        await asyncio.to_thread(output.write, (news.unfinished,))


async def _follow(feed: LogFeed, output: LogPrinter) -> None:
    reached = False
    before: LogUpdate | None = None
    while True:
        await feed.wait_for_news()
        news = feed.take()
        reached = reached or news.state.phase is FeedPhase.FOLLOWING
        lost = news.state.phase is FeedPhase.LOST
        if lost and not reached and news.state.error is not None:
            raise news.state.error
        # In a thread: a full pipe must not keep the stream from being read.
        await asyncio.to_thread(output.write, news.lines)
        if lost and before is not None and before.state.phase is FeedPhase.FOLLOWING:
            why = (
                news.state.error.what
                if news.state.error is not None
                else "the server closed the stream"
            )
            print(f"── lost: {why}; reconnecting ──", file=sys.stderr, flush=True)
        before = news


async def _watch_reader() -> None:
    """Raise BrokenPipeError when a pipe's reader goes: a silent log has no line that would fail."""
    output, gone = sys.stdout.fileno(), asyncio.Event()
    if not stat.S_ISFIFO(os.fstat(output).st_mode):
        return
    loop = asyncio.get_running_loop()
    # The writing end of a pipe has nothing to read: it is only ready when the other end is closed.
    loop.add_reader(output, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(output)
    raise BrokenPipeError


async def _explain_error(session: Session, name: str, error: AituiError) -> AituiError:
    """Add the nearest ids, or where the log of that model is."""
    await session.monitor.fetch()
    if name == "http" and not session.snapshot.release.has(SEPARATE_LOGS_SINCE):
        return ActionRefused(
            "This server has no separate request log",
            why="llama-swap before v259 writes them to its own log",
            remedy="aitui logs --proxy",
        )
    model = resolve_model(name, session.snapshot)
    if model.kind is ModelKind.PEER:
        return ActionRefused(
            f"The log of {model.id} is not on this server",
            why=f"it runs on the peer {model.peer or 'named in its id'}",
            remedy="read the log on that server",
        )
    return error


def _first_error(group: ExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first_error(error) if isinstance(error, ExceptionGroup) else error
