"""The last lines of a model's log, and the reason of a failed load in them."""

import asyncio
import contextlib
import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aitui.domain.load_failure import MOST_LINES, find_cause
from aitui.errors import AituiError

if TYPE_CHECKING:
    from aitui.swap.client import LlamaSwapClient

TAIL_LINES = 200
QUIET_SECONDS = 0.4
FIRST_LINE_SECONDS = 2.0
TAIL_SECONDS = 4.0
ABORTED = re.compile(r"(?:failed|exited): aborted|model unloaded|state is stopping")
NEVER_RAN = re.compile(r"^the program ")
RUN_START = re.compile(r"^build: \d|^build_info|llama_server: initializing")


async def read_log_tail(client: "LlamaSwapClient", name: str) -> tuple[str, ...]:
    """The last lines that `/logs/stream/<name>` has in its history; reading it loads nothing.

    The stream goes on for ever after its history, so it is read until it falls silent. v217 sends
    no headers for a silent model, hence the limit on those.
    """
    lines: deque[str] = deque(maxlen=TAIL_LINES)
    rest = ""
    with contextlib.suppress(TimeoutError):
        async with (
            asyncio.timeout(FIRST_LINE_SECONDS) as limit,
            client.log(name, history=True) as chunks,
        ):
            loop = asyncio.get_running_loop()
            deadline = loop.time() + TAIL_SECONDS
            limit.reschedule(loop.time() + QUIET_SECONDS)
            async for chunk in chunks:
                *whole, rest = (rest + chunk).split("\n")
                lines.extend(whole)
                limit.reschedule(min(deadline, loop.time() + QUIET_SECONDS))
    if rest:
        lines.append(rest)
    return tuple(lines)


@dataclass(frozen=True, slots=True)
class FailureDiagnosis:
    """Why a model didn't come up: in words, empty where unknown, and the log lines that say so."""

    words: str
    failure_lines: tuple[str, ...] = ()
    aborted: bool = False


async def diagnose_load_failure(
    client: "LlamaSwapClient", model_id: str, said: str = ""
) -> FailureDiagnosis:
    """The reason why a model didn't come up, as far as `said`, the server's answer, and logs tell.

    A program that can't even be started writes nothing itself: what its log holds is of an earlier
    run, so the proxy's word comes first. v217 forgets the log of a model that has stopped.
    """
    told = _reason_from_proxy(model_id, (), said)
    if told.aborted or NEVER_RAN.search(told.words):
        return told
    try:
        own = await read_log_tail(client, model_id)
        proxy = await read_log_tail(client, "proxy")
        run = _last_run_lines(own or await read_log_tail(client, "upstream"))
    except AituiError as error:
        return FailureDiagnosis(find_cause((said,))[0], (str(error),))
    told = _reason_from_proxy(model_id, proxy, said)
    if told.aborted or NEVER_RAN.search(told.words):
        return told
    ran = FailureDiagnosis(*find_cause(run))
    if ran.words:
        return ran
    return told if told.words else FailureDiagnosis("", ran.failure_lines or told.failure_lines)


def _reason_from_proxy(model_id: str, lines: tuple[str, ...], said: str) -> FailureDiagnosis:
    """The last thing that llama-swap itself gave as a reason; its records of requests left out."""
    names = (f"<{model_id}>", f" {model_id} ")
    about = [
        line
        for line in lines[-80:]
        if any(name in line for name in names) and "Request " not in line
    ]
    for line in (said, *reversed(about)):
        if ABORTED.search(line):
            return FailureDiagnosis(find_cause((line,))[0], (line,), aborted=True)
        words, evidence = find_cause((line,))
        if words:
            return FailureDiagnosis(words, evidence)
    return FailureDiagnosis("", tuple(about[-MOST_LINES:]))


def _last_run_lines(lines: tuple[str, ...]) -> tuple[str, ...]:
    for index in range(len(lines) - 1, -1, -1):
        if RUN_START.search(lines[index]):
            return lines[index:]
    return lines[-60:]
