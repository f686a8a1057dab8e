"""Samples of a server's host, by the server itself or on the host, and what the host is."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from aitui.aio import sleep_until
from aitui.domain.hardware.sample import (
    HardwareSample,
    SampleHistory,
    latest_sample,
    sampling_interval,
    server_gaps,
)
from aitui.errors import AituiError, HostError, NotSupported

if TYPE_CHECKING:
    from aitui.domain.hardware.host_sample import HostSample
    from aitui.domain.hardware.info import HostInfo
    from aitui.domain.snapshot import Clock
    from aitui.host.base import Host
    from aitui.llamaswap.client import LlamaSwapClient


SERVER_SAMPLE_MAX_PAUSE = 600.0
"""Seconds until a server that doesn't measure is asked again."""
SERVER_SAMPLE_RETRY = 15.0
EMPTY_RESPONSES = 8
"""Empty answers in a row after which the server's clock was set back, or it no longer measures."""

REFUSALS = 3
"""So many in a row mean that the server stopped measuring; fewer may be a proxy's."""


class ServerSampleSource:
    """The server's own samples; `error` says why there are none."""

    def __init__(self, client: "LlamaSwapClient") -> None:
        self._client = client
        self._empty = self._refused = 0
        self.history = SampleHistory()
        self.error = ""

    @property
    def latest(self) -> HardwareSample | None:
        """Return the latest sample of the server."""
        return latest_sample(self.history.samples)

    async def fetch(self) -> float:
        """Fetch what is new; return the seconds until the next request makes sense."""
        samples = self.history.samples
        from_start = self._empty >= EMPTY_RESPONSES
        after = samples[-1].at if samples and not from_start else None
        try:
            new = await self._client.performance(after)
        except NotSupported as error:
            self.error = error.why or error.what
            self._refused += 1
            if self.history.samples and self._refused < REFUSALS:
                return SERVER_SAMPLE_RETRY
            self.history = SampleHistory()
            return SERVER_SAMPLE_MAX_PAUSE
        except AituiError as error:
            self.error = error.summary
            return SERVER_SAMPLE_RETRY
        self.error, self._refused = "", 0
        self._empty = 0 if new else self._empty + 1
        if from_start and new and new[-1].at < samples[-1].at:
            self.history = SampleHistory()
        self.history = self.history.with_samples(new)
        return sampling_interval(self.history.samples)


HOST_INFO_MAX_AGE = 600.0
"""Seconds until a host that did not say what it is is asked again."""


class HostSampleSource:
    """Samples taken on the host. `latest` is None while that is impossible; `error` says why.

    `facts` is what the host is, asked once, and again after it was out of reach. `extras` has of its
    samples what a server doesn't report.
    """

    def __init__(self, host: "Host", clock: "Clock") -> None:
        from aitui.host.sampler import HostSampler

        self.host = host
        self._clock = clock
        self._sampler = HostSampler(host, clock.wall, clock.monotonic)
        self._facts_due = 0.0
        self.history = SampleHistory()
        self.extras = SampleHistory()
        self.latest: HostSample | None = None
        self.facts: HostInfo | None = None
        self.error = ""

    async def sample(self, ports: Iterable[int]) -> float:
        """Take a sample; return the seconds until the next."""
        from aitui.host.sampler import LONGEST_PAUSE

        try:
            found = await self._sampler.sample(ports)
        except HostError as error:
            # Old figures would look like new ones.
            self.latest = self.facts = None
            self._facts_due = 0.0
            self.error = error.summary
            return LONGEST_PAUSE
        self.latest, self.error = found, ""
        self.history = self.history.with_samples([found.sample])
        self.extras = self.extras.with_samples([server_gaps(found.sample)])
        if self._clock.monotonic() >= self._facts_due:
            await self._read_info(without_tools=bool(found.errors))
        return self._sampler.pause

    async def _read_info(self, *, without_tools: bool) -> None:
        from aitui.host.sampler import read_host_info

        try:
            now = self._clock.wall()
            self.facts = await read_host_info(self.host, now, without_tools=without_tools)
        except HostError:
            # The samples report what matters, and their errors are worded already.
            self._facts_due = self._clock.monotonic() + HOST_INFO_MAX_AGE
        else:
            self._facts_due = math.inf


SERVER_INFO_MAX_AGE = 600.0
"""Seconds until a server that can't report what its host is is asked again."""
SERVER_INFO_RETRY = 60.0


class HostInfoFetcher:
    """The server's report about its host; `facts` is None until then, and if there is none."""

    def __init__(self, client: "LlamaSwapClient", monotonic: Callable[[], float]) -> None:
        self._client = client
        self._monotonic = monotonic
        self._refused_until = 0.0
        self._live = False
        self._connected = asyncio.Event()
        self.facts: HostInfo | None = None

    def update_link(self, *, live: bool) -> None:
        """Note whether the server answers: each new connection may be to another host."""
        if live and not self._live:
            self._connected.set()
        self._live = live

    async def run(self, on_change: Callable[[], Awaitable[None]]) -> None:
        """Fetch whenever it makes sense, until cancelled."""
        pause: float | None = None
        while True:
            await sleep_until(self._connected, pause)
            self._connected.clear()
            before = self.facts
            pause = await self.fetch() if self._live else None
            if self.facts != before:
                await on_change()

    async def fetch(self) -> float | None:
        """Fetch once; return the seconds until the next time, None for not in this connection.

        Earlier facts stay if there is no answer.
        """
        now = self._monotonic()
        if now < self._refused_until:
            return self._refused_until - now
        try:
            self.facts = await self._client.host_info()
        except NotSupported:
            self.facts, self._refused_until = None, now + SERVER_INFO_MAX_AGE
            return SERVER_INFO_MAX_AGE
        except AituiError:
            return SERVER_INFO_RETRY
        return None
