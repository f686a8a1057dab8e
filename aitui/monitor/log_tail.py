"""The last lines of a model's log, and the reason of a failed load in them."""

import asyncio
import contextlib
import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aitui.domain.load_failure import MOST_LINES, explain
from aitui.errors import AituiError

if TYPE_CHECKING:
    from aitui.swap.client import SwapClient

TAIL_LINES = 200
QUIET = 0.4
FIRST = 2.0
LONGEST = 4.0
ABORTED = re.compile(r"(?:failed|exited): aborted|model unloaded|state is stopping")
NEVER_RAN = re.compile(r"^the program ")
START_OF_A_RUN = re.compile(r"^build: \d|^build_info|llama_server: initializing")


async def log_tail(client: "SwapClient", name: str) -> tuple[str, ...]:
    """The last lines that `/logs/stream/<name>` has in its history; reading it loads nothing.

    The stream goes on for ever after its history, so it is read until it falls silent. v217 sends
    no headers for a silent model, hence the limit on those.
    """
    lines: deque[str] = deque(maxlen=TAIL_LINES)
    rest = ""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FIRST) as limit, client.log(name, history=True) as chunks:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + LONGEST
            limit.reschedule(loop.time() + QUIET)
            async for chunk in chunks:
                *whole, rest = (rest + chunk).split("\n")
                lines.extend(whole)
                limit.reschedule(min(deadline, loop.time() + QUIET))
    if rest:
        lines.append(rest)
    return tuple(lines)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a model didn't come up: in words, empty where unknown, and the log lines that say so."""

    words: str
    evidence: tuple[str, ...] = ()
    aborted: bool = False


async def why_it_failed(client: "SwapClient", model_id: str, said: str = "") -> Reason:
    """The reason why a model didn't come up, as far as `said`, the server's answer, and logs tell.

    A program that can't even be started writes nothing itself: what its log holds is of an earlier
    run, so the proxy's word comes first. v217 forgets the log of a model that has stopped.
    """
    told = _told_by_proxy(model_id, (), said)
    if told.aborted or NEVER_RAN.search(told.words):
        return told
    try:
        own = await log_tail(client, model_id)
        proxy = await log_tail(client, "proxy")
        run = _last_run(own or await log_tail(client, "upstream"))
    except AituiError as error:
        return Reason(explain((said,))[0], (str(error),))
    told = _told_by_proxy(model_id, proxy, said)
    if told.aborted or NEVER_RAN.search(told.words):
        return told
    ran = Reason(*explain(run))
    if ran.words:
        return ran
    return told if told.words else Reason("", ran.evidence or told.evidence)


def _told_by_proxy(model_id: str, lines: tuple[str, ...], said: str) -> Reason:
    """The last thing that llama-swap itself gave as a reason; its records of requests left out."""
    names = (f"<{model_id}>", f" {model_id} ")
    about = [
        line
        for line in lines[-80:]
        if any(name in line for name in names) and "Request " not in line
    ]
    for line in (said, *reversed(about)):
        if ABORTED.search(line):
            return Reason(explain((line,))[0], (line,), aborted=True)
        words, evidence = explain((line,))
        if words:
            return Reason(words, evidence)
    return Reason("", tuple(about[-MOST_LINES:]))


def _last_run(lines: tuple[str, ...]) -> tuple[str, ...]:
    for index in range(len(lines) - 1, -1, -1):
        if START_OF_A_RUN.search(lines[index]):
            return lines[index:]
    return lines[-60:]
