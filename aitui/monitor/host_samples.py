"""What the machine behind the server tells of itself, where it can be asked without a question."""

import math
from collections.abc import Iterable

from aitui.domain.clock import Clock
from aitui.domain.hardware.history import SampleHistory
from aitui.domain.hardware.host_facts import HostInfo
from aitui.domain.hardware.host_sample import HostSample
from aitui.errors import HostError
from aitui.host.facts import read_host_info
from aitui.host.gpu import LONGEST_PAUSE, HostSampler
from aitui.host.shell import Host

HOST_INFO_MAX_AGE = 600.0
"""Seconds until a machine that didn't tell what it is is asked once more."""


class HostSampleSource:
    """`latest` is None while the machine can't be asked; `trouble` then says why.

    `facts` is what the machine is, asked once: anew where it was out of reach meanwhile.
    """

    def __init__(self, host: Host, clock: Clock) -> None:
        self.host = host
        self._clock = clock
        self._sampler = HostSampler(host, clock.wall, clock.monotonic)
        self._facts_due = 0.0
        self.history = SampleHistory()
        self.latest: HostSample | None = None
        self.facts: HostInfo | None = None
        self.error = ""

    async def sample(self, ports: Iterable[int]) -> float:
        """Take a sample, and give the seconds until the next."""
        try:
            found = await self._sampler.sample(ports)
        except HostError as error:
            # Old figures would look like new ones.
            self.latest = self.facts = None
            self._facts_due = 0.0
            self.error = ": ".join(words for words in (error.what, error.why) if words)
            return LONGEST_PAUSE
        self.latest, self.error = found, ""
        self.history = self.history.with_samples([found.sample])
        if self._clock.monotonic() >= self._facts_due:
            await self._read_info(without_nvidia=bool(found.errors))
        return self._sampler.pause

    async def _read_info(self, *, without_nvidia: bool) -> None:
        try:
            now = self._clock.wall()
            self.facts = await read_host_info(self.host, now, without_nvidia=without_nvidia)
        except HostError:
            # The samples tell all that matters, and their trouble is in words already.
            self._facts_due = self._clock.monotonic() + HOST_INFO_MAX_AGE
        else:
            self._facts_due = math.inf
