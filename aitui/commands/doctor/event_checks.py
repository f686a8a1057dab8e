"""Whether events flow: the first at once, and a later one when something happens."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from aitui.commands.doctor.answer_checks import format_milliseconds
from aitui.commands.doctor.so_far import ServerFindings
from aitui.domain.checks import CheckResult, failing_check, inconclusive_check, passing_check
from aitui.domain.events import Event, RequestEnded, RequestsCounted, RequestsListed, RequestUpdated
from aitui.errors import AituiError, ConnectionLost, TimedOut
from aitui.swap.client import LlamaSwapClient

EVENTS = "/api/events"
FIRST_EVENT_SECONDS = 10.0
NEXT_EVENT_SECONDS = 3.0

_SETTLES = 0.3
_SETTLED_WITHIN = 1.5
_UNBUFFERED = "let the proxy pass events on at once; Caddy: flush_interval -1 in reverse_proxy"


async def event_checks(
    client: LlamaSwapClient, so_far: ServerFindings, monotonic: Callable[[], float]
) -> AsyncIterator[CheckResult]:
    """One check: opens the stream, then asks for `/running`, which the server's log tells of."""
    if so_far.blocked:
        yield next(so_far.inconclusive_checks(EVENTS))
        return
    queue: asyncio.Queue[Event | AituiError] = asyncio.Queue()
    reading = asyncio.create_task(_read_events(client, queue), name="events of the check-up")
    try:
        check = await _flow_check(client, queue, so_far, monotonic)
    except AituiError as error:
        check = failing_check(EVENTS, error)
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
    yield check


async def _flow_check(
    client: LlamaSwapClient,
    queue: "asyncio.Queue[Event | AituiError]",
    so_far: ServerFindings,
    monotonic: Callable[[], float],
) -> CheckResult:
    began = monotonic()
    first = await _next_event(queue, FIRST_EVENT_SECONDS, so_far)
    if first is None:
        raise TimedOut(
            f"no event within {FIRST_EVENT_SECONDS:.0f} s",
            why="llama-swap sends its state at once: something on the way holds it back",
            remedy=_UNBUFFERED,
        )
    words = f"the first after {format_milliseconds(monotonic() - began)}"
    settled_at = monotonic() + _SETTLED_WITHIN
    while monotonic() < settled_at and await _next_event(queue, _SETTLES, so_far) is not None:
        pass
    asked = monotonic()
    await client.running()
    if await _next_event(queue, NEXT_EVENT_SECONDS, so_far) is None:
        return inconclusive_check(
            EVENTS,
            f"{words}; nothing more within {NEXT_EVENT_SECONDS:.0f} s of a request",
            _UNBUFFERED,
        )
    return passing_check(
        EVENTS, f"{words}, another {format_milliseconds(monotonic() - asked)} after its cause"
    )


async def _read_events(client: LlamaSwapClient, queue: "asyncio.Queue[Event | AituiError]") -> None:
    try:
        async with client.events() as events:
            async for event in events:
                queue.put_nowait(event)
        queue.put_nowait(ConnectionLost("the server ended the event stream"))
    except AituiError as error:
        queue.put_nowait(error)


async def _next_event(
    queue: "asyncio.Queue[Event | AituiError]", within: float, so_far: ServerFindings
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
