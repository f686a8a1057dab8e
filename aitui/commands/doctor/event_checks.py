"""Whether events flow: the first at once, and a later one when something happens."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from aitui.commands.doctor.answer_checks import milliseconds
from aitui.commands.doctor.so_far import SoFar
from aitui.domain.checks import Check, failed, left_open, passed
from aitui.domain.events import Event, RequestEnded, RequestsCounted, RequestsListed, RequestUpdated
from aitui.errors import AituiError, ConnectionLost, TimedOut
from aitui.swap.client import SwapClient

EVENTS = "/api/events"
FIRST_WITHIN = 10.0
NEXT_WITHIN = 3.0

_SETTLES = 0.3
_SETTLED_WITHIN = 1.5
_UNBUFFERED = "let the proxy pass events on at once; Caddy: flush_interval -1 in reverse_proxy"


async def event_checks(
    client: SwapClient, so_far: SoFar, monotonic: Callable[[], float]
) -> AsyncIterator[Check]:
    """One check: opens the stream, then asks for `/running`, which the server's log tells of."""
    if so_far.blocked:
        yield next(so_far.not_tried(EVENTS))
        return
    queue: asyncio.Queue[Event | AituiError] = asyncio.Queue()
    reading = asyncio.create_task(_read(client, queue), name="events of the check-up")
    try:
        check = await _flow(client, queue, so_far, monotonic)
    except AituiError as error:
        check = failed(EVENTS, error)
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
    yield check


async def _flow(
    client: SwapClient,
    queue: "asyncio.Queue[Event | AituiError]",
    so_far: SoFar,
    monotonic: Callable[[], float],
) -> Check:
    began = monotonic()
    first = await _next(queue, FIRST_WITHIN, so_far)
    if first is None:
        raise TimedOut(
            f"no event within {FIRST_WITHIN:.0f} s",
            why="llama-swap sends its state at once: something on the way holds it back",
            remedy=_UNBUFFERED,
        )
    words = f"the first after {milliseconds(monotonic() - began)}"
    settled_at = monotonic() + _SETTLED_WITHIN
    while monotonic() < settled_at and await _next(queue, _SETTLES, so_far) is not None:
        pass
    asked = monotonic()
    await client.running()
    if await _next(queue, NEXT_WITHIN, so_far) is None:
        return left_open(
            EVENTS, f"{words}; nothing more within {NEXT_WITHIN:.0f} s of a request", _UNBUFFERED
        )
    return passed(EVENTS, f"{words}, another {milliseconds(monotonic() - asked)} after its cause")


async def _read(client: SwapClient, queue: "asyncio.Queue[Event | AituiError]") -> None:
    try:
        async with client.events() as events:
            async for event in events:
                queue.put_nowait(event)
        queue.put_nowait(ConnectionLost("the server ended the event stream"))
    except AituiError as error:
        queue.put_nowait(error)


async def _next(
    queue: "asyncio.Queue[Event | AituiError]", within: float, so_far: SoFar
) -> Event | None:
    """The next event, None where none comes in time; raises what ended the stream."""
    try:
        async with asyncio.timeout(within):
            event = await queue.get()
    except TimeoutError:
        return None
    if isinstance(event, AituiError):
        raise event
    if isinstance(event, RequestsListed | RequestUpdated | RequestEnded):
        so_far.lists_requests = True
    elif isinstance(event, RequestsCounted):
        so_far.lists_requests = False
    return event
