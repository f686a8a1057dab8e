"""One model's process: it starts, is ready, stops or dies. Nothing of it is real but the waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from aitui.demo.change import Change
from aitui.demo.configuration import ModelConfiguration
from aitui.demo.fake_flags import FakeFlags, read_flags
from aitui.demo.graphics_cards import CardFull, GraphicsCards
from aitui.demo.load_failed import Cause, LoadFailed
from aitui.demo.log_ring import LogRing
from aitui.demo.upstream_log import UpstreamLog


class State(Enum):
    """A process's state, in llama-swap's words."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


@dataclass(eq=False, slots=True)
class Claim:
    """A request that needs the model; `cut` is set when the model is taken from under it."""

    cut: asyncio.Event = field(default_factory=asyncio.Event)

    async def pause(self, seconds: float) -> bool:
        """Wait, and say whether the request was cut meanwhile."""
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
        upstream_log: LogRing,
        change: Change,
        on_state: Callable[[], None],
        cards: GraphicsCards | None = None,
        forgets_log: bool = False,
    ) -> None:
        self.configuration = configuration
        self.flags: FakeFlags = read_flags(configuration)
        self.ring = LogRing(also=upstream_log.write)
        self.log = UpstreamLog(self.ring)
        self.busy_slots = 0
        self.claims: set[Claim] = set()
        self.last_use = float("-inf")
        self.answered = 0
        self.started_at = 0.0
        self.state = State.STOPPED
        self.cards = cards or GraphicsCards()
        self._change = change
        self._on_state = on_state
        self._forgets_log = forgets_log
        self._doom: asyncio.Future[Cause] | None = None

    @property
    def id(self) -> str:
        """The model's id."""
        return self.configuration.id

    def claim(self) -> Claim:
        """Count a request in; the model isn't swapped out while it runs."""
        claim = Claim()
        self.claims.add(claim)
        self._change.happened()
        return claim

    def release(self, claim: Claim) -> None:
        """Count a request out."""
        self.claims.discard(claim)
        self._change.happened()

    async def take_slot(self, claim: Claim) -> None:
        """Wait until a slot is free, or the request is cut."""
        await self._change.until(lambda: self.busy_slots < self.flags.slots or claim.cut.is_set())
        self.busy_slots += 1

    def give_slot(self) -> None:
        """Let the next request have the slot."""
        self.busy_slots -= 1
        self._change.happened()

    async def start(self, time_limit: float) -> None:
        """Load the model.

        Raises LoadFailed, with the process gone again, when that doesn't succeed in time.
        """
        if self.flags.binary_is_missing:
            raise LoadFailed(Cause.NO_BINARY, self.id, self.configuration.command)
        self._doom = asyncio.get_running_loop().create_future()
        self._become(State.STARTING)
        self.log.restart()
        try:
            async with asyncio.timeout(time_limit):
                await self._load()
        except TimeoutError:
            raise LoadFailed(Cause.TIMED_OUT, self.id, f"{time_limit:g}") from None
        else:
            self.started_at = time.monotonic()
            self._become(State.READY)
        finally:
            self._doom = None
            if self.state is State.STARTING:
                self._become(State.STOPPED)

    async def stop(self) -> None:
        """End the process as a signal 15 does, and return when it is gone."""
        if self.state is State.READY:
            self.log.say("I", f"srv  received signal 15, stopping in {self.flags.stop_delay:g}s")
            self._become(State.STOPPING)
            self._cut()
            try:
                await asyncio.sleep(self.flags.stop_delay)
            finally:
                self._has_stopped()
        else:
            self.abort(Cause.UNLOADED)
            await self._change.until(lambda: self.state is State.STOPPED)

    def _has_stopped(self) -> None:
        """The signal has done its work, unless the process was killed meanwhile."""
        if self.state is State.STOPPING:
            self.log.say("I", "srv    operator(): operator(): cleaning up before exit...")
            if self._forgets_log:
                self.ring.forget()
            self._become(State.STOPPED)

    def kill(self, cause: Cause = Cause.UNLOADED) -> None:
        """End the process at once."""
        self.abort(cause)
        if self.state in {State.READY, State.STOPPING}:
            self._become(State.STOPPED)
            self._cut()

    def abort(self, cause: Cause) -> None:
        """Let a load that is under way fail."""
        if self._doom is not None and not self._doom.done():
            self._doom.set_result(cause)

    def die(self) -> None:
        """Crash in the middle of an answer."""
        self.log.say("E", "CUDA error: an illegal memory access was encountered")
        self._become(State.STOPPED)
        self._cut()

    async def _load(self) -> None:
        flags = self.flags
        if flags.wrong_argument:
            self.log.refuses_argument(flags.wrong_argument)
            raise LoadFailed(Cause.EXITED, self.id)
        self.log.begins(flags)
        if flags.exits_now or flags.missing_file:
            await self._pause(min(flags.start_delay, 0.25) or 0.01)
            if flags.missing_file:
                self.log.misses_file(flags)
            else:
                self.log.runs_out_of_memory(flags, *self._first_card(flags.memory_mib))
            raise LoadFailed(Cause.EXITED, self.id)
        if flags.context_is_too_large:
            await self._pause(flags.start_delay or 0.01)
            grown = flags.cache * flags.context_size / (flags.most_context or 1)
            self.log.finds_no_room_for_context(flags, *self._first_card(grown))
            raise LoadFailed(Cause.EXITED, self.id)
        if flags.out_of_memory_after is not None:
            await self._pause(flags.out_of_memory_after)
            self.log.runs_out_of_memory(flags, *self._first_card(flags.memory_mib))
            raise LoadFailed(Cause.EXITED, self.id)
        await self._pause(flags.start_delay)
        self._allocate()
        await self._pause(flags.load_delay)
        self.log.listens(flags, self.configuration.port)
        self.log.asked("GET", "/health")

    def _first_card(self, size_mib: float) -> tuple[str, float]:
        names = [self.cards.device(card) for card in self.cards.cards]
        return (names or ["CPU"])[0], size_mib

    def _allocate(self) -> None:
        """Take memory of the cards, for the weights first.

        Raises LoadFailed where they have no room for it.
        """
        flags, cards = self.flags, self.cards
        shares = cards.split(flags, self.configuration.environment)
        devices = {cards.device(card): shares.get(card.index, 0.0) for card in cards.cards}
        try:
            cards.take(self, flags.weights, shares)
        except CardFull as full:
            self.log.runs_out_of_memory(flags, full.device, full.size_mib)
            raise LoadFailed(Cause.EXITED, self.id) from full
        try:
            cards.take(self, flags.cache + flags.compute, shares)
        except CardFull as full:
            self.log.finds_no_room_for_context(flags, full.device, full.size_mib)
            raise LoadFailed(Cause.EXITED, self.id) from full
        self.log.allocates(flags, {name: share for name, share in devices.items() if share})

    async def _pause(self, seconds: float) -> None:
        """Wait, unless the load is aborted meanwhile."""
        assert self._doom is not None
        done, _ = await asyncio.wait({self._doom}, timeout=seconds)
        if done:
            raise LoadFailed(self._doom.result(), self.id)

    def _cut(self) -> None:
        for claim in self.claims:
            claim.cut.set()
        self._change.happened()

    def _become(self, state: State) -> None:
        self.state = state
        if state is State.STOPPED:
            self.cards.give_back(self)
        self._change.happened()
        self._on_state()
