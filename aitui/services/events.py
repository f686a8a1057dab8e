"""The server's events: streamed while it can be reached, begun again when they end."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import TYPE_CHECKING

from aitui.domain.events import OtherEvent
from aitui.errors import AituiError, BadResponse, NotSupported, without_frames

if TYPE_CHECKING:
    from aitui.domain.events import Event
    from aitui.domain.snapshot import Clock
    from aitui.llamaswap.client import LlamaSwapClient


IN_TRANSIT = 1.0
IDLE_WITHOUT_EVENTS = 2.0
IDLE_WITH_EVENTS = 15.0
FIRST_RETRY = 0.5
LONGEST_RETRY = 30.0


def poll_interval(*, in_transit: bool, resident: bool, events_flow: bool) -> float:
    """Return the seconds until the next poll of `/running`.

    It is the truth; events only bring it sooner, and the server drops them for a slow reader.
    Without events nothing else reports the end of a `resident` model.
    Each poll writes some 83 bytes to the server's log, which comes back as an event: while events
    flow, one a second would fill the log's 100 KiB with itself within twenty minutes.
    """
    if in_transit or (resident and not events_flow):
        return IN_TRANSIT
    return IDLE_WITH_EVENTS if events_flow else IDLE_WITHOUT_EVENTS


def retry_delay(attempts: int, random: Random) -> float:
    """Return the seconds until the next attempt: doubling, jittered by a half.

    The jitter keeps a room full of dashboards from coming back at the same moment.
    """
    longest = min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(attempts, 10))
    return longest * (0.5 + random.random() / 2)


UNSUPPORTED_RETRY = 60.0
SILENCE_SECONDS = 5.0
SHORTEST_GAP = 0.1
BRIEF_SECONDS = 2.0


class EventStream:
    """Streams the events. `on_begin` is called with the first of a stream, `on_event` with each.

    `on_end` is called with whether anything had come; a reload and a restart of the server are
    clean ends.
    """

    def __init__(
        self,
        client: "LlamaSwapClient",
        clock: "Clock",
        random: Random,
        *,
        on_begin: Callable[[], Awaitable[None]],
        on_event: Callable[["Event"], Awaitable[None]],
        on_end: Callable[[bool], Awaitable[None]],
    ) -> None:
        self._client = client
        self._clock = clock
        self._random = random
        self._on_begin = on_begin
        self._on_event = on_event
        self._on_end = on_end
        self._reachable = asyncio.Event()
        self._stream: asyncio.Timeout | None = None
        self._last_status = float("-inf")
        self._silent_since: float | None = None
        self.began_at: float | None = None
        """When the first event of the open stream came (monotonic seconds), None if none did."""
        self.warning = ""
        """Why none come, after two attempts that failed."""

    async def run(self) -> None:
        """Stream events until cancelled."""
        failures = 0
        while True:
            await self._reachable.wait()
            error: AituiError | None = None
            try:
                async with asyncio.timeout(None) as self._stream:
                    await self._read()
            except TimeoutError:
                pass  # dropped by aitui
            except AituiError as failed:
                error = without_frames(failed)
            finally:
                self._stream = None
            failures = 0 if error is None else failures + 1
            pause, unsupported = SHORTEST_GAP, isinstance(error, NotSupported)
            if error is not None and (unsupported or failures > 1):
                self._warn(error)
                pause = UNSUPPORTED_RETRY if unsupported else retry_delay(failures, self._random)
            flowed, self.began_at = self.began_at is not None, None
            await self._on_end(flowed)
            await asyncio.sleep(pause)

    def mark_server_reachable(self) -> None:
        """Open a stream if none is open, since the server responds."""
        self._reachable.set()

    def mark_lost(self) -> None:
        """Close the stream, and open none until the server responds again."""
        self._reachable.clear()
        self.drop()

    def record_status(self) -> None:
        """Note that an event reported the models' states: the stream is alive."""
        self._last_status = self._clock.monotonic()
        self._silent_since = None

    def expect_status(self) -> None:
        """Expect an event for a change that `/running` showed, which may still be on its way."""
        now = self._clock.monotonic()
        if self.began_at is not None and now - self._last_status > SILENCE_SECONDS:
            self._silent_since = now

    def drop_if_silent(self) -> None:
        """End a stream that did not report a change: it is dead, or drops its events."""
        since = self._silent_since
        if since is not None and self._clock.monotonic() - since > SHORTEST_GAP:
            self._silent_since = None
            self.drop()

    def drop(self) -> None:
        """End the stream, only once, since closing it takes a while."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.reschedule(asyncio.get_running_loop().time())

    def _warn(self, error: AituiError) -> None:
        self.warning = (
            f"{error.summary}. Without events, changes show up to {IDLE_WITHOUT_EVENTS:g} s late, "
            "and requests of other clients not at all"
        )

    async def _read(self) -> None:
        async with self._client.events() as events:
            async for event in events:
                if isinstance(event, OtherEvent) and not event.type:
                    continue  # not even a frame: noise is no stream of events
                if self.began_at is None:
                    self.began_at = self._clock.monotonic()
                    self.warning = ""
                    await self._on_begin()
                await self._on_event(event)
        # A restart ends a stream once: what ends each after its first events is no server.
        if self.began_at is None or self._clock.monotonic() - self.began_at < BRIEF_SECONDS:
            raise BadResponse("The server ends its stream of events at once")
