"""Why a model that was loading has vanished: looked up in its log, one model at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aitui.domain.clock import Clock
from aitui.domain.model import FailedLoad
from aitui.monitor.log_tail import why_it_failed

if TYPE_CHECKING:
    from aitui.swap.client import SwapClient


class Explanations:
    """`failed` is told of a load whose log says why it failed; the others were unloaded."""

    def __init__(
        self,
        client: "SwapClient",
        clock: Clock,
        failed: Callable[[str, FailedLoad], Awaitable[None]],
    ) -> None:
        self._client = client
        self._clock = clock
        self._failed = failed
        self._under_way: set[str] = set()
        self._one_at_a_time = asyncio.Lock()

    async def explain(self, model_id: str) -> None:
        """Look once, however often it is asked meanwhile: a server may tell of any number."""
        if model_id in self._under_way:
            return
        self._under_way.add(model_id)
        try:
            async with self._one_at_a_time:
                reason = await why_it_failed(self._client, model_id)
        finally:
            self._under_way.discard(model_id)
        if reason.words and not reason.aborted:
            failed = FailedLoad(self._clock.wall(), reason.words, reason.evidence)
            await self._failed(model_id, failed)
