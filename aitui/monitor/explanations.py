"""Why a model that was loading has vanished: looked up in its log, one model at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aitui.domain.clock import Clock
from aitui.domain.model import LoadFailure
from aitui.monitor.log_tail import diagnose_load_failure

if TYPE_CHECKING:
    from aitui.swap.client import LlamaSwapClient


class FailureDiagnoser:
    """`failed` is told of a load whose log says why it failed; the others were unloaded."""

    def __init__(
        self,
        client: "LlamaSwapClient",
        clock: Clock,
        failed: Callable[[str, LoadFailure], Awaitable[None]],
    ) -> None:
        self._client = client
        self._clock = clock
        self._on_failure = failed
        self._under_way: set[str] = set()
        self._lock = asyncio.Lock()

    async def diagnose(self, model_id: str) -> None:
        """Look once, however often it is asked meanwhile: a server may tell of any number."""
        if model_id in self._under_way:
            return
        self._under_way.add(model_id)
        try:
            async with self._lock:
                reason = await diagnose_load_failure(self._client, model_id)
        finally:
            self._under_way.discard(model_id)
        if reason.words and not reason.aborted:
            failed = LoadFailure(self._clock.wall(), reason.words, reason.failure_lines)
            await self._on_failure(model_id, failed)
