"""One model's fake process: it starts, is ready, stops or crashes. Only the waiting is real."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from aitui.demo.change import ChangeNotifier
from aitui.demo.configuration import Capabilities, ModelConfiguration
from aitui.demo.dialect import BuildTraits, crash_log_lines
from aitui.demo.fake_flags import FakeFlags, read_flags
from aitui.demo.graphics_cards import GraphicsCards, OutOfGpuMemory
from aitui.demo.load_failed import LoadFailureCause, UpstreamLoadFailed
from aitui.demo.log_ring import ServerLog
from aitui.demo.upstream_log import UpstreamLog


class ProcessState(Enum):
    """A process's state, in llama-swap's words."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


@dataclass(eq=False, slots=True)
class ModelClaim:
    """A request that uses the model; `cut` is set when the model is unloaded meanwhile."""

    cut: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait_unless_cut(self, seconds: float) -> bool:
        """Wait, and return whether the request was cut meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self.cut.wait()
        except TimeoutError:
            return False
        return True


class UpstreamProcess:
    """The fake llama-server of one model."""

    def __init__(
        self,
        configuration: ModelConfiguration,
        *,
        upstream_log: ServerLog,
        change: ChangeNotifier,
        on_state: Callable[[], None],
        on_crash: Callable[[str], None] = lambda _: None,
        traits: BuildTraits,
        cards: GraphicsCards | None = None,
    ) -> None:
        self.configuration = configuration
        self.flags: FakeFlags = read_flags(configuration)
        self.ring = ServerLog(also=upstream_log.write)
        self.log = UpstreamLog(self.ring)
        self.busy_slots = 0
        self.claims: set[ModelClaim] = set()
        self.last_use = float("-inf")
        self.reply_count = 0
        self.started_at = 0.0
        self.ready_at = 0.0
        self.progress: tuple[float, str] | None = None
        self.head_start = 0.0
        self.capabilities = configuration.capabilities
        self.state = ProcessState.STOPPED
        self.cards = cards or GraphicsCards()
        self._change = change
        self._on_state = on_state
        self._on_crash = on_crash
        self._traits = traits
        self._time_limit: asyncio.Timeout | None = None
        self._abort_cause: asyncio.Future[LoadFailureCause] | None = None

    @property
    def id(self) -> str:
        """The model's id."""
        return self.configuration.id

    @property
    def uptime(self) -> float:
        """The seconds since it became ready."""
        return self._change.now() - self.started_at

    def claim(self) -> ModelClaim:
        """Count a request; the model isn't swapped out while it runs."""
        claim = ModelClaim()
        self.claims.add(claim)
        self._change.notify()
        return claim

    def release(self, claim: ModelClaim) -> None:
        """End the claim of a request."""
        self.claims.discard(claim)
        self._change.notify()

    async def acquire_slot(self, claim: ModelClaim) -> None:
        """Wait until a slot is free, or the request is cut."""
        await self._change.wait_until(
            lambda: self.busy_slots < self.flags.slots or claim.cut.is_set()
        )
        self.busy_slots += 1

    def release_slot(self) -> None:
        """Free the slot for the next request."""
        self.busy_slots -= 1
        self._change.notify()

    async def start(self, time_limit: float) -> None:
        """Load the model.

        Raises UpstreamLoadFailed, with the process ended, if that doesn't succeed in time.
        """
        if self.flags.binary_is_missing:
            raise UpstreamLoadFailed(
                LoadFailureCause.NO_BINARY, self.id, self.configuration.command
            )
        self._abort_cause = asyncio.get_running_loop().create_future()
        self._set_state(ProcessState.STARTING)
        self.log.restart()
        try:
            async with asyncio.timeout(time_limit) as self._time_limit:
                await self._load(time_limit)
        except TimeoutError:
            limit = f"{time_limit:g}s" + (" without loading progress" if self.progress else "")
            raise UpstreamLoadFailed(LoadFailureCause.TIMED_OUT, self.id, limit) from None
        else:
            self.started_at, self.ready_at = self._change.now(), self._change.wall()
            self._set_state(ProcessState.READY)
            self._discover_capabilities()
        finally:
            self._abort_cause = self.progress = None
            if self.state is ProcessState.STARTING:
                self._set_state(ProcessState.STOPPED)

    def restore(self, ready_for: float, used: float) -> None:
        """Be ready for so many seconds already, and last used so many seconds ago."""
        self.log.restart(ready_for + self.flags.start_delay + self.flags.load_delay)
        self.log.log_start(self.flags)
        self._allocate()
        self.log.log_listening(self.flags, self.configuration.port)
        now = self._change.now()
        self.started_at, self.last_use = now - ready_for, now - used
        self.ready_at = self._change.wall() - ready_for
        self._set_state(ProcessState.READY)
        self._discover_capabilities()

    async def stop(self) -> None:
        """End the process as SIGTERM does, and return when it has ended."""
        if self.state is ProcessState.READY:
            self.log.write_line(
                "I", f"srv  received signal 15, stopping in {self.flags.stop_delay:g}s"
            )
            self._set_state(ProcessState.STOPPING)
            self._cut_claims()
            try:
                await self._change.wait_until(lambda: False, self.flags.stop_delay)
            finally:
                self._finish_stop()
        else:
            self.abort(LoadFailureCause.UNLOADED)
            await self._change.wait_until(lambda: self.state is ProcessState.STOPPED)

    def _finish_stop(self) -> None:
        """Complete a stop, unless the process was killed meanwhile."""
        if self.state is ProcessState.STOPPING:
            self.log.write_line("I", "srv    operator(): operator(): cleaning up before exit...")
            if self._traits.forgets_log_on_stop:
                self.ring.clear()
            self._set_state(ProcessState.STOPPED)

    def kill(self, cause: LoadFailureCause = LoadFailureCause.UNLOADED) -> None:
        """End the process at once."""
        self.abort(cause)
        if self.state in {ProcessState.READY, ProcessState.STOPPING}:
            self._set_state(ProcessState.STOPPED)
            self._cut_claims()

    def abort(self, cause: LoadFailureCause) -> None:
        """Fail a running load."""
        if self._abort_cause is not None and not self._abort_cause.done():
            self._abort_cause.set_result(cause)
            self._change.notify()

    def die(self) -> None:
        """Crash in the middle of an answer."""
        self.log.write_line("E", "CUDA error: an illegal memory access was encountered")
        for line in crash_log_lines(self._traits, self.id):
            self._on_crash(f"{line}\n")
        self._set_state(ProcessState.STOPPED)
        self._cut_claims()

    async def _load(self, time_limit: float) -> None:
        flags = self.flags
        if flags.wrong_argument:
            self.log.log_bad_argument(flags.wrong_argument)
            raise UpstreamLoadFailed(LoadFailureCause.EXITED, self.id)
        self.log.log_start(flags)
        if flags.exits_now or flags.missing_file:
            await self._pause(min(flags.start_delay, 0.25) or 0.01)
            if flags.missing_file:
                self.log.log_missing_file(flags)
            else:
                self.log.log_out_of_memory(flags, *self._first_card(flags.memory_mib))
            raise UpstreamLoadFailed(LoadFailureCause.EXITED, self.id)
        if flags.context_is_too_large:
            await self._pause(flags.start_delay or 0.01)
            grown = flags.cache * flags.context_size / (flags.most_context or 1)
            self.log.log_context_too_large(flags, *self._first_card(grown))
            raise UpstreamLoadFailed(LoadFailureCause.EXITED, self.id)
        if flags.out_of_memory_after is not None:
            await self._pause(flags.out_of_memory_after)
            self.log.log_out_of_memory(flags, *self._first_card(flags.memory_mib))
            raise UpstreamLoadFailed(LoadFailureCause.EXITED, self.id)
        await self._pause(flags.start_delay)
        self._allocate()
        steps = flags.progress_reports if self._traits.reports_loads else 0
        for done in range(steps):
            self.progress = done / steps, f"shard {done + 1} of {steps}"
            self.cards.fill(self, (done + 1) / (steps + 1))
            self._on_state()
            if self._time_limit is not None:
                self._time_limit.reschedule(asyncio.get_running_loop().time() + time_limit)
            await self._pause(flags.load_delay / steps)
        if not steps:
            await self._pause(flags.load_delay)
        self.cards.fill(self, 1.0)
        self.log.log_listening(flags, self.configuration.port)
        self.log.log_request("GET", "/health")

    def _discover_capabilities(self) -> None:
        """Ask the model what it can do; what is configured takes precedence."""
        if not self._traits.discovers_capabilities:
            return
        for path in ("/v1/models", "/props"):
            self.log.log_request("GET", path)
        given, flags = self.configuration.capabilities or Capabilities(), self.flags
        self.capabilities = Capabilities(
            given.inputs or ("text",),
            given.outputs or ("text",),
            given.tools or flags.uses_tools,
            given.context or flags.context_size,
        )
        self._on_state()

    def _first_card(self, size_mib: float) -> tuple[str, float]:
        names = [self.cards.device_name(card) for card in self.cards.cards]
        return (names or ["CPU"])[0], size_mib

    def _allocate(self) -> None:
        """Allocate memory on the cards, for the weights first.

        Raises UpstreamLoadFailed if they have no room.
        """
        flags, cards = self.flags, self.cards
        shares = cards.split(flags, self.configuration.environment)
        devices = {cards.device_name(card): shares.get(card.index, 0.0) for card in cards.cards}
        try:
            cards.allocate(self, flags.weights, shares)
        except OutOfGpuMemory as full:
            self.log.log_out_of_memory(flags, full.device, full.size_mib)
            raise UpstreamLoadFailed(LoadFailureCause.EXITED, self.id) from full
        try:
            cards.allocate(self, flags.cache + flags.compute, shares)
        except OutOfGpuMemory as full:
            self.log.log_context_too_large(flags, full.device, full.size_mib)
            raise UpstreamLoadFailed(LoadFailureCause.EXITED, self.id) from full
        self.log.log_allocation(flags, {name: share for name, share in devices.items() if share})

    async def _pause(self, seconds: float) -> None:
        """Wait, unless the load is aborted meanwhile; a head start is used up first."""
        skipped = min(self.head_start, seconds)
        self.head_start -= skipped
        seconds -= skipped
        cause = self._abort_cause
        assert cause is not None
        if await self._change.wait_until(cause.done, seconds):
            raise UpstreamLoadFailed(cause.result(), self.id)

    def _cut_claims(self) -> None:
        for claim in self.claims:
            claim.cut.set()
        self._change.notify()

    def _set_state(self, state: ProcessState) -> None:
        self.state = state
        if state is ProcessState.STOPPED:
            self.cards.release(self)
        self._change.notify()
        self._on_state()
