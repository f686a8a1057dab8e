"""What the machine behind the server tells of itself, where it can be asked without a question."""

from collections.abc import Iterable

from aitui.domain.clock import Clock
from aitui.domain.hardware.history import History
from aitui.domain.hardware.host_sample import HostSample
from aitui.errors import HostError
from aitui.host.gpu import LONGEST_PAUSE, HostSampler
from aitui.host.shell import Host


class HostSamples:
    """`latest` is None while the machine can't be asked; `trouble` then says why."""

    def __init__(self, host: Host, clock: Clock) -> None:
        self.host = host
        self._sampler = HostSampler(host, clock.wall, clock.monotonic)
        self.history = History()
        self.latest: HostSample | None = None
        self.trouble = ""

    async def ask(self, ports: Iterable[int]) -> float:
        """Take a sample, and give the seconds until the next."""
        try:
            found = await self._sampler.sample(ports)
        except HostError as error:
            # Old figures would look like new ones.
            self.latest = None
            self.trouble = ": ".join(words for words in (error.what, error.why) if words)
            return LONGEST_PAUSE
        self.latest, self.trouble = found, ""
        self.history = self.history.with_samples([found.sample])
        return self._sampler.pause
