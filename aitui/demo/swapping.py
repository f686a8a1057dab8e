"""Loading on demand: which models may run together, the queue of loads, evictions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aitui.demo.background import BackgroundTasks
from aitui.demo.change import ChangeNotifier
from aitui.demo.configuration import Configuration
from aitui.demo.dialect import BuildTraits, UnloadBehavior, failure_log_lines
from aitui.demo.load_failed import LoadFailureCause, UpstreamLoadFailed
from aitui.demo.log_ring import ServerLog
from aitui.demo.upstream_process import ModelClaim, ProcessState, UpstreamProcess

_LOOKS_EACH_SECONDS = 1.0
"""Seconds between llama-swap's checks of the idle timeouts."""


@dataclass(eq=False, slots=True)
class _SharedLoad:
    """A load that several callers may share."""

    process: UpstreamProcess
    task: asyncio.Task[UpstreamLoadFailed | None] | None = None
    waiters: int = 0
    begun: bool = False
    unloaded: bool = False


class ModelSwapper:
    """Loads on demand, once for all requests that wait, and evicts first."""

    def __init__(
        self,
        configuration: Configuration,
        processes: Mapping[str, UpstreamProcess],
        *,
        traits: BuildTraits,
        proxy_log: ServerLog,
        change: ChangeNotifier,
        background: BackgroundTasks,
    ) -> None:
        self._configuration = configuration
        self._processes = processes
        self._traits = traits
        self._log = proxy_log
        self._change = change
        self._background = background
        self._loads: dict[str, _SharedLoad] = {}
        self._unloading = asyncio.Lock()

    @asynccontextmanager
    async def claim(self, model_id: str) -> AsyncIterator[ModelClaim]:
        """Hold the model ready for one request; load it first if needed.

        Raises UpstreamLoadFailed.
        """
        process = self._processes[model_id]
        if process.state is ProcessState.STOPPING and self._traits.refuses_while_stopping:
            raise UpstreamLoadFailed(LoadFailureCause.STOPPING, model_id)
        claim = process.claim()
        try:
            # As in llama-swap, a request for a ready model evicts what its group excludes.
            if process.state is not ProcessState.READY or self._victims(process):
                await self._share_load(process)
            try:
                yield claim
            finally:
                process.last_use = self._change.now()
        finally:
            process.release(claim)

    def queue_position(self, model_id: str) -> int:
        """Return the position in the queue of loads, from 1; 0 when not waiting."""
        waiting = [id_ for id_, load in self._loads.items() if not load.begun]
        return waiting.index(model_id) + 1 if model_id in waiting else 0

    async def unload(self, model_ids: Iterable[str]) -> None:
        """Unload models as the build does; return when it would answer."""
        processes = [self._processes[id_] for id_ in model_ids]
        match self._traits.unloading:
            case UnloadBehavior.KILLS:
                for process in processes:
                    self._drop_load(process)
                    process.kill()
            case UnloadBehavior.ORDERLY:
                async with self._unloading:
                    await _gather(process.stop() for process in processes)
            case UnloadBehavior.PATIENT:
                await _gather(self._stop_patiently(process) for process in processes)

    async def close(self) -> None:
        """End all processes, and fail the requests that wait for one."""
        for process in self._processes.values():
            self._drop_load(process)
            process.kill(LoadFailureCause.SHUTDOWN)
        await self._change.wait_until(lambda: not self._loads)

    async def _stop_patiently(self, process: UpstreamProcess) -> None:
        if process.id in self._loads:
            await self._change.wait_until(
                lambda: process.id not in self._loads and not process.claims
            )
        await process.stop()

    def _drop_load(self, process: UpstreamProcess) -> None:
        load = self._loads.get(process.id)
        if load is not None and not load.begun:
            load.unloaded = True
            self._change.notify()

    async def _share_load(self, process: UpstreamProcess) -> None:
        load = self._loads.get(process.id)
        if load is None:
            load = self._loads[process.id] = _SharedLoad(process)
            load.task = self._background.start(self._load(load), name=f"load {process.id}")
        assert load.task is not None
        load.waiters += 1
        try:
            failure = await asyncio.shield(load.task)
        finally:
            load.waiters -= 1
            if not load.waiters and not load.begun and self._traits.dequeues_on_hangup:
                load.task.cancel()
        if failure is not None:
            raise UpstreamLoadFailed(failure.cause, failure.model_id, failure.detail)

    async def _load(self, load: _SharedLoad) -> UpstreamLoadFailed | None:
        process = load.process
        try:
            await self._change.wait_until(lambda: load.unloaded or self._can_begin(load))
            load.begun = True
            if load.unloaded:
                return UpstreamLoadFailed(LoadFailureCause.UNLOADED, process.id)
            await _gather(victim.stop() for victim in self._victims(process))
            if process.state is ProcessState.READY:
                return None
            await process.start(self._configuration.health_check_timeout)
        except UpstreamLoadFailed as failure:
            for line in failure_log_lines(self._traits, failure):
                self._log.write(f"{line}\n")
            return failure
        else:
            self._log.write(
                f"[INFO] <{process.id}> Health check passed on "
                f"{process.configuration.proxy}/health\n"
            )
            self._watch_idle_time(process)
            return None
        finally:
            self._loads.pop(process.id, None)
            self._change.notify()

    def restore(self, model_id: str, ready_for: float, used: float) -> None:
        """Let a model be ready for so many seconds already, and last used so many seconds ago."""
        process = self._processes[model_id]
        process.restore(ready_for, used)
        self._watch_idle_time(process)

    def _watch_idle_time(self, process: UpstreamProcess) -> None:
        if process.configuration.ttl > 0:
            self._background.start(self._expire(process), name=f"ttl {process.id}")

    async def _expire(self, process: UpstreamProcess) -> None:
        """Unload a model that was idle for its time to live, at the next check.

        Before v256 a request counts as a use when it ends, and one that hung up during the load
        never reached the model (ServeHTTP in internal/process/process_command.go): a model that
        no client waited for goes at the first check. In v217 the request goes on without its client.
        """
        run, ttl = process.started_at, process.configuration.ttl
        if self._traits.load_counts_as_use:
            process.last_use = max(process.last_use, run)
        interval = min(_LOOKS_EACH_SECONDS, ttl)
        while not await self._change.wait_until(lambda: _is_run_over(process, run), interval):
            if not process.claims and self._change.now() - process.last_use > ttl:
                self._log.write(f"[INFO] <{process.id}> Unloading model, TTL of {ttl:g}s reached\n")
                await process.stop()

    def _can_begin(self, load: _SharedLoad) -> bool:
        process = load.process
        if process.state is ProcessState.STOPPING:
            return False
        for other in self._loads.values():
            if other is load:
                break
            if self._evicts(process, other.process) or self._evicts(other.process, process):
                return False
        return not any(victim.claims for victim in self._victims(process))

    def _victims(self, process: UpstreamProcess) -> list[UpstreamProcess]:
        return [
            other
            for other in self._processes.values()
            if other.state is not ProcessState.STOPPED and self._evicts(process, other)
        ]

    def _evicts(self, comes: UpstreamProcess, goes: UpstreamProcess) -> bool:
        if comes is goes:
            return False
        own = self._configuration.group_of(comes.id)
        others = self._configuration.group_of(goes.id)
        if own.name == others.name:
            return own.swap
        return own.exclusive and not others.persistent


def _is_run_over(process: UpstreamProcess, run: float) -> bool:
    return process.state is not ProcessState.READY or process.started_at != run


async def _gather(works: Iterable[Awaitable[None]]) -> None:
    await asyncio.gather(*works)
