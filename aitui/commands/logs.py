"""A log on the command line: its history, and what comes where it is followed."""

import asyncio
import io
import os
import sys
from dataclasses import dataclass
from random import Random

from aitui.commands.find import model_named
from aitui.commands.session import Session
from aitui.domain.log_filter import LogFilter
from aitui.domain.log_lines import LogLine
from aitui.domain.model import Kind
from aitui.domain.sgr import with_sgr
from aitui.errors import AituiError, NoSuchModel, Refused
from aitui.monitor.log_feed import LogFeed, LogNews, Phase

QUIET = 0.4
"""Seconds of silence that end a history: the server doesn't say where it does."""
LATE = 1.0
LONGEST = 4.0
"""Seconds after which a log that never falls silent has told its history."""


@dataclass(frozen=True, slots=True)
class Output:
    """How lines are written: with aitui's own polls or without, coloured or plain."""

    polls: bool = False
    colours: bool = False

    @classmethod
    def of_terminal(cls, *, polls: bool) -> "Output":
        """Coloured where stdout is a terminal whose owner doesn't mind (https://no-color.org)."""
        return cls(polls, sys.stdout.isatty() and not os.environ.get("NO_COLOR"))

    def write(self, lines: tuple[LogLine, ...]) -> None:
        """The server's lines to stdout, aitui's own marks to stderr. Raises BrokenPipeError."""
        shown = LogFilter(own=self.polls)
        text = "".join(
            f"{with_sgr(line.text, line.spans) if self.colours else line.text}\n"
            for line in lines
            if shown.passes(line) and not line.mark
        )
        marks = "".join(f"{line.text}\n" for line in lines if line.mark)
        if marks:
            print(marks, end="", file=sys.stderr, flush=True)
        if text:
            print(text, end="", flush=True)


async def print_log(session: Session, name: str, output: Output, *, follow: bool) -> None:
    """Write a log's history; following, go on for ever and wait for a server that goes.

    `name` is "proxy", "upstream", a model's id or alias, or empty for both. Raises NoSuchModel,
    Refused, Unreachable and the like where it can't be read at all, BrokenPipeError.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    random = Random()  # noqa: S311
    feed = LogFeed(session.client, name, clock=session.clock, random=random)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(feed.run(), name="log feed")
            await (_follow(feed, output) if follow else _history(feed, output))
            running.cancel()
    except ExceptionGroup as group:
        error = _first(group)
        if isinstance(error, NoSuchModel):
            error = await _explained(session, name, error)
        raise error from None


async def _history(feed: LogFeed, output: Output) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LONGEST
    pause = LONGEST
    news = feed.take()
    while news.state.phase is not Phase.LOST:
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + pause)):
                await feed.changed()
        except TimeoutError:
            break
        news = feed.take()
        await asyncio.to_thread(output.write, news.lines)
        if news.lines or news.unfinished:
            pause = QUIET
        elif news.state.phase is Phase.FOLLOWING:
            pause = LATE
    if news.state.error is not None:
        raise news.state.error
    if news.unfinished is not None:
        await asyncio.to_thread(output.write, (news.unfinished,))


async def _follow(feed: LogFeed, output: Output) -> None:
    reached = False
    before: LogNews | None = None
    while True:
        await feed.changed()
        news = feed.take()
        reached = reached or news.state.phase is Phase.FOLLOWING
        lost = news.state.phase is Phase.LOST
        if lost and not reached and news.state.error is not None:
            raise news.state.error
        # Written beside the loop: a pipe that is full must not keep the stream from being read.
        await asyncio.to_thread(output.write, news.lines)
        if lost and before is not None and before.state.phase is Phase.FOLLOWING:
            why = news.state.error.what if news.state.error is not None else "the server ended it"
            print(f"── lost: {why}; trying again ──", file=sys.stderr, flush=True)
        before = news


async def _explained(session: Session, name: str, error: AituiError) -> AituiError:
    """Which ids are near, or where the log of that one is."""
    await session.monitor.fetch()
    model = model_named(name, session.snapshot)
    if model.kind is Kind.PEER:
        return Refused(
            f"The log of {model.id} is not on this server",
            why=f"it runs at the peer {model.peer or 'named in its id'}",
            remedy="ask that server",
        )
    return error


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error
