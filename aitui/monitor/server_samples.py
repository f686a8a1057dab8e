"""What the server itself measures of its machine: only what is new, and no faster than it samples."""

from typing import TYPE_CHECKING

from aitui.domain.hardware.history import History
from aitui.domain.hardware.sample import Sample
from aitui.domain.hardware.samples import latest, pause
from aitui.errors import AituiError, NotSupported

if TYPE_CHECKING:
    from aitui.swap.client import SwapClient

ASK_AGAIN = 600.0
"""Seconds until a server that doesn't measure is asked once more."""
RETRY = 15.0
EMPTY_ANSWERS = 8
"""So many in a row mean that the server's clock was set back, or that it no longer measures."""


class ServerSamples:
    """`measures` is None until the server has answered; `trouble` says why there is nothing."""

    def __init__(self, client: "SwapClient") -> None:
        self._client = client
        self._empty = 0
        self.history = History()
        self.measures: bool | None = None
        self.trouble = ""

    @property
    def latest(self) -> Sample | None:
        """How things stand, as far as the server tells."""
        return latest(self.history.samples)

    async def ask(self) -> float:
        """Fetch what is new, and give the seconds until it makes sense to ask again."""
        samples = self.history.samples
        anew = self._empty >= EMPTY_ANSWERS
        after = samples[-1].at if samples and not anew else None
        try:
            new = await self._client.performance(after)
        except NotSupported as error:
            self.measures, self.history = False, History()
            self.trouble = error.why or error.what
            return ASK_AGAIN
        except AituiError as error:
            self.trouble = error.what
            return RETRY
        self.measures, self.trouble = True, ""
        self._empty = 0 if new else self._empty + 1
        if anew and new and new[-1].at < samples[-1].at:
            self.history = History()
        self.history = self.history.with_samples(new)
        return pause(self.history.samples)
