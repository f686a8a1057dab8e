"""Questions on the command line."""

import asyncio
import sys
from collections.abc import Callable

from aitui.arguments import Arguments
from aitui.commands.session import Ask
from aitui.domain.question import Confirmation
from aitui.domain.snapshot import Snapshot
from aitui.errors import ActionRefused


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
