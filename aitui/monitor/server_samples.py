"""What the server itself measures of its machine: only what is new, and no faster than it samples."""

from typing import TYPE_CHECKING

from aitui.domain.hardware.history import SampleHistory
from aitui.domain.hardware.sample import HardwareSample
from aitui.domain.hardware.samples import latest_sample, sampling_interval
from aitui.errors import AituiError, NotSupported

if TYPE_CHECKING:
    from aitui.swap.client import LlamaSwapClient

SERVER_SAMPLE_MAX_PAUSE = 600.0
"""Seconds until a server that doesn't measure is asked once more."""
SERVER_SAMPLE_RETRY = 15.0
EMPTY_RESPONSES = 8
"""So many in a row mean that the server's clock was set back, or that it no longer measures."""


class ServerSampleSource:
    """`measures` is None until the server has answered; `trouble` says why there is nothing."""

    def __init__(self, client: "LlamaSwapClient") -> None:
        self._client = client
        self._empty = 0
        self.history = SampleHistory()
        self.measures: bool | None = None
        self.error = ""

    @property
    def latest(self) -> HardwareSample | None:
        """How things stand, as far as the server tells."""
        return latest_sample(self.history.samples)

    async def fetch(self) -> float:
        """Fetch what is new, and give the seconds until it makes sense to ask again."""
        samples = self.history.samples
        anew = self._empty >= EMPTY_RESPONSES
        after = samples[-1].at if samples and not anew else None
        try:
            new = await self._client.performance(after)
        except NotSupported as error:
            self.measures, self.history = False, SampleHistory()
            self.error = error.why or error.what
            return SERVER_SAMPLE_MAX_PAUSE
        except AituiError as error:
            self.error = error.what
            return SERVER_SAMPLE_RETRY
        self.measures, self.error = True, ""
        self._empty = 0 if new else self._empty + 1
        if anew and new and new[-1].at < samples[-1].at:
            self.history = SampleHistory()
        self.history = self.history.with_samples(new)
        return sampling_interval(self.history.samples)
