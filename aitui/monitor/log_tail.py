"""The last lines of a model's log, and the reason of a failed load in them."""

import asyncio
import contextlib
import re
from collections import deque
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


async def why_it_failed(
    client: "SwapClient", model_id: str, words: str = ""
) -> tuple[str, tuple[str, ...]]:
    """The reason why a model didn't come up, in words, and the log lines that say so.

    A program that can't even be started writes nothing itself: then the proxy's log tells.
    """
    try:
        reason, evidence = explain(_last_run(await log_tail(client, model_id)))
        if not evidence:
            proxy = await log_tail(client, "proxy")
            about = [line for line in proxy[-80:] if f"<{model_id}>" in line]
            reason, evidence = explain(about)
    except AituiError as error:
        return words or "the reason is in its log, which could not be read", (str(error),)
    if evidence and not reason:
        reason = words
    return reason or words or "its log says nothing", evidence


def _last_run(lines: tuple[str, ...]) -> tuple[str, ...]:
    for index in range(len(lines) - 1, -1, -1):
        if START_OF_A_RUN.search(lines[index]):
            return lines[index:]
    return lines[-60:]
