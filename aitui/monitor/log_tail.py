"""The last lines of a model's log, and the reason of a failed load in them."""

import asyncio
import contextlib
import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aitui.domain.load_failure import explain
from aitui.errors import AituiError

if TYPE_CHECKING:
    from aitui.swap.client import SwapClient

TAIL_LINES = 200
QUIET = 0.4
LONGEST = 4.0
START_OF_A_RUN = re.compile(r"^build: \d|^build_info|llama_server: initializing")


async def log_tail(client: "SwapClient", name: str) -> tuple[str, ...]:
    """The last lines that `/logs/stream/<name>` has in its history; reading it loads nothing.

    The stream goes on for ever after its history, so it is read until it falls silent. v217 sends
    no headers for a silent model, hence the limit on the whole.
    """
    lines: deque[str] = deque(maxlen=TAIL_LINES)
    rest = ""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LONGEST) as limit, client.log(name, history=True) as chunks:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + LONGEST
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


async def why_it_failed(client: "SwapClient", model_id: str) -> Reason:
    """The reason why a model didn't come up, as far as the logs tell.

    A program that can't even be started writes nothing itself: then the proxy's log tells.
    """
    try:
        own = Reason(*explain(_last_run(await log_tail(client, model_id))))
        if own.words:
            return own
        proxy = Reason(*explain(_about(model_id, await log_tail(client, "proxy"))))
    except AituiError as error:
        return Reason("", (str(error),))
    return proxy if proxy.words or not own.evidence else own


def _about(model_id: str, lines: tuple[str, ...]) -> list[str]:
    """What the proxy itself says of a model: its records of requests left out."""
    return [line for line in lines[-80:] if model_id in line and "Request " not in line]


def _last_run(lines: tuple[str, ...]) -> tuple[str, ...]:
    for index in range(len(lines) - 1, -1, -1):
        if START_OF_A_RUN.search(lines[index]):
            return lines[index:]
    return lines[-60:]
