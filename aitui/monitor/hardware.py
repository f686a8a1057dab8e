"""Keeps true what is known of a server's memory: samples, measures, reads headers, remembers."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from aitui.domain.clock import Clock
from aitui.domain.hardware.history import SampleHistory
from aitui.domain.hardware.host_facts import merge_host_info
from aitui.domain.memory.footprint import Footprint
from aitui.domain.memory.hardware import HardwareState, expected_memory
from aitui.domain.memory.known_model import ModelMemory
from aitui.domain.memory.measurement import MemoryRecords
from aitui.domain.memory.picture import MemoryUsage, memory_usage, port_of
from aitui.domain.memory.setup import LaunchProfile
from aitui.domain.model import ContextSource, Model
from aitui.domain.snapshot import ConnectionPhase, Snapshot
from aitui.errors import HostError
from aitui.host.shell import Host
from aitui.monitor.host_samples import HostSampleSource
from aitui.monitor.memory_learning import MemoryLearner, MemoryObservation
from aitui.monitor.model_commands import NO_ENVIRONMENTS, ModelCommands
from aitui.monitor.model_headers import ModelHeaders
from aitui.monitor.server_facts import HostInfoFetcher
from aitui.monitor.server_samples import ServerSampleSource
from aitui.monitor.start_up_logs import StartupLogs
from aitui.store.measurements import Measurements
from aitui.swap.closing import shield_cleanup

if TYPE_CHECKING:
    from aitui.swap.client import LlamaSwapClient

SLOW_INTERVAL = 60.0
"""Seconds between two samples of a machine whose cards the server tells of already."""
HEADER_PAUSE = 0.2
LOG_READ_SECONDS = 3.0
"""Seconds that somebody who waits is kept waiting for the logs of running models."""


class HardwareMonitor:
    """The memory of one server. `on_change` is told of each new state.

    Nothing is asked of a server that is lost, and nothing of any person: a machine that can't be
    reached without a question is left alone.
    """

    def __init__(
        self,
        client: "LlamaSwapClient",
        *,
        identity: str,
        clock: Clock,
        measurements: Measurements,
        on_change: Callable[[HardwareState], Awaitable[None]],
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._measurements = measurements
        self._on_change = on_change
        self._server = ServerSampleSource(client)
        self._facts = HostInfoFetcher(client, clock.monotonic)
        self._logs = StartupLogs(client)
        self._headers = ModelHeaders()
        self._commands = ModelCommands()
        self._learning = MemoryLearner(
            clock.wall, self._commands.launch_profile, self._measurements_of
        )
        self._host: HostSampleSource | None = None
        self._snapshot = Snapshot()
        self._models: tuple[Model, ...] = ()
        self._live = asyncio.Event()
        self._host_wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._headers_due = asyncio.Event()
        self._logs_due = asyncio.Event()
        self._last_sample_at: float | None = None
        self.hardware = HardwareState()

    async def run(self) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll_server(), name="sample the server")
            tasks.create_task(self._facts.run(self._publish), name="learn what the machine is")
            tasks.create_task(self._poll_host(), name="sample the host")
            tasks.create_task(self._read_headers(), name="read model headers")
            tasks.create_task(self._follow_models(), name="watch memory")
            tasks.create_task(self._read_logs(), name="read start-up logs")

    @property
    def is_host_responding(self) -> bool:
        """Whether the machine behind the server was asked and has answered."""
        return self._host is not None and self._host.latest is not None

    async def sample_once(self) -> HardwareState:
        """Ask server and host once, as far as they answer; never raises what they say."""
        self._commands.remember(self._snapshot.resident)
        await self._record(
            self._learning.observe_models(self._snapshot.models, self._commands.configured)
        )
        await self._server.fetch()
        if self._facts.facts is None:
            await self._facts.fetch()
        if self._host is not None:
            await self._host.sample(self._ports)
            await self._read_unread_headers(pause=0.0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOG_READ_SECONDS):
                for model in self._logs.unread(self._snapshot.models):
                    await self._logs.read(model)
        await self._publish(heard=True)
        # What was measured before tells context sizes, and these what is needed.
        await self._publish()
        return self.hardware

    def update_snapshot(self, snapshot: Snapshot) -> None:
        """The server's state has changed."""
        self._snapshot = snapshot
        self._facts.update_link(live=snapshot.connection.phase is ConnectionPhase.LIVE)
        if snapshot.connection.phase is ConnectionPhase.LIVE:
            self._live.set()
        else:
            self._live.clear()
        before, after = self._models, snapshot.models
        self._models = after
        if before is after:
            return
        # Models that didn't change are the same objects: there may be very many of them.
        pairs = zip(before, after, strict=True) if len(before) == len(after) else None
        changed = None if pairs is None else [(a, b) for a, b in pairs if a is not b]
        if changed is None or any(_memory_facts(old) != _memory_facts(new) for old, new in changed):
            if changed is None or any(
                _process_identity(old) != _process_identity(new) for old, new in changed
            ):
                self._host_wake.set()
            self._changed.set()

    def set_host(self, host: Host | None) -> None:
        """The machine behind the server, None where it is no longer at hand."""
        self._host = None if host is None else HostSampleSource(host, self._clock)
        self._host_wake.set()

    def update_commands(
        self,
        commands: Mapping[str, str],
        environments: Mapping[str, Mapping[str, str]] = NO_ENVIRONMENTS,
    ) -> None:
        """What the config file runs for each model, and with which variables."""
        if self._commands.configure(commands, environments):
            self._headers_due.set()
            self._changed.set()
        if self._host is not None and self._host.error:
            self._host_wake.set()

    async def _poll_server(self) -> None:
        while True:
            await self._live.wait()
            before = self._server.history, self._server.error
            pause = await self._server.fetch()
            if (self._server.history, self._server.error) != before:
                await self._publish(heard=not self._server.error)
            await asyncio.sleep(pause)

    async def _poll_host(self) -> None:
        while True:
            self._host_wake.clear()
            pause = SLOW_INTERVAL
            if self._host is not None:
                await self._live.wait()
                pause = await self._host.sample(self._ports)
                if self._server.latest is not None and self._server.latest.gpus:
                    pause = max(pause, SLOW_INTERVAL)
                self._headers_due.set()
                await self._publish(heard=not self._host.error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._host_wake.wait()

    async def _read_headers(self) -> None:
        while True:
            await self._headers_due.wait()
            self._headers_due.clear()
            await self._read_unread_headers(pause=HEADER_PAUSE)

    async def _read_unread_headers(self, pause: float) -> None:
        while (host := self._host) is not None and host.latest is not None:
            unread = self._headers.unread(map(self._commands.command_of, self._snapshot.models))
            if not unread:
                return
            try:
                await self._headers.read(host.host, unread[0])
            except HostError:
                # The sampler meets the same trouble, and words it.
                return
            self._changed.set()
            await asyncio.sleep(pause)

    async def _follow_models(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._commands.remember(self._snapshot.resident)
            await self._record(
                self._learning.observe_models(self._snapshot.models, self._commands.configured)
            )
            self._logs_due.set()
            await self._publish()

    async def _read_logs(self) -> None:
        while True:
            await self._logs_due.wait()
            self._logs_due.clear()
            for model in self._logs.unread(self._snapshot.models):
                await self._logs.read(model)
                await self._publish()

    async def _publish(self, *, heard: bool = False) -> None:
        if heard:
            self._last_sample_at = self._clock.monotonic()
        sample, host = self._server.latest, self._host.latest if self._host else None
        models = self._snapshot.models
        known = self._model_memory()
        picture = self._memory_usage(known)
        own = host.sample if host is not None else None
        of_cards = sample if sample is not None and sample.gpus else own or sample
        lessons = self._learning.observe_sample(of_cards, models, picture)
        if lessons:
            await self._record(lessons)
            known = self._model_memory()
            picture = self._memory_usage(known)
        self.hardware = HardwareState(
            usage=picture,
            history=self._choose_history(picture),
            models=known,
            slowdowns=self._learning.slowdowns(models, picture, known),
            last_sample_at=self._last_sample_at,
            error=self._error_text(),
            facts=merge_host_info(self._host.facts if self._host else None, self._facts.facts),
        )
        await self._on_change(self.hardware)

    def _choose_history(self, picture: MemoryUsage) -> SampleHistory:
        """That of the server, which is longer, unless it is of other cards than those shown."""
        server, host = self._server, self._host
        if host is None or not host.history.samples:
            return server.history
        shown = {card.gpu.key for card in picture.cards}
        sample = server.latest
        told = {gpu.key for gpu in sample.gpus} if sample is not None else set()
        same = bool(shown & told) or (not shown and sample is not None)
        return server.history if same else host.history

    def _memory_usage(self, known: Mapping[str, ModelMemory]) -> MemoryUsage:
        sample, host = self._server.latest, self._host
        host_sample = host.latest if host is not None else None
        cards = next((one.gpus for one in (host_sample and host_sample.sample, sample) if one), ())
        expected: dict[str, Footprint] = {}
        for model in self._snapshot.models:
            memory = known.get(model.id)
            if memory is None:
                continue
            untold = model.context.source is ContextSource.FALLBACK
            tokens = memory.known.last_context if untold else model.context.tokens
            found = expected_memory(memory, tokens, cards) if tokens else None
            if found is not None:
                expected[model.id] = found
        return memory_usage(
            sample,
            self._snapshot.models,
            host=host_sample,
            starts=self._logs.starts,
            expected=expected,
        )

    def _model_memory(self) -> dict[str, ModelMemory]:
        """Only models of which something is remembered or read.

        Of a model whose command nobody told, what was seen last counts.
        """
        found: dict[str, ModelMemory] = {}
        for model in self._snapshot.models:
            command = self._commands.command_of(model)
            known = self._measurements_of(model.id)
            header = self._headers.header_of(command)
            if command and (known != MemoryRecords() or header is not None):
                found[model.id] = ModelMemory(
                    self._commands.launch_profile(model.id, command), known, header
                )
            elif known != MemoryRecords():
                taken = [(one.at, one.setup) for one in known.measurements]
                died = [(one.at, one.setup) for one in known.failures]
                found[model.id] = ModelMemory(
                    LaunchProfile(fingerprint=max(taken + died)[1]), known
                )
        return found

    def _measurements_of(self, model_id: str) -> MemoryRecords:
        return self._measurements.of_model(self._identity, model_id)

    @property
    def _ports(self) -> list[int]:
        found = (port_of(model.proxy) for model in self._snapshot.resident)
        return [port for port in found if port is not None]

    def _error_text(self) -> str:
        host = self._host
        if self._server.latest is not None or (host is not None and host.latest is not None):
            own = host.error if host is not None else ""
            return "; ".join(words for words in (own, *self._measurements.warnings) if words)
        return "; ".join(
            words for words in (self._server.error, host.error if host else "") if words
        )

    async def _record(self, lessons: tuple[MemoryObservation, ...]) -> None:
        for lesson in lessons:
            # Learnt once, it is lost where its keeping is cut off.
            await shield_cleanup(
                self._measurements.record(self._identity, lesson.model, lesson.observation)
            )


def _memory_facts(model: Model) -> tuple[object, ...]:
    """What of a model decides about memory, or tells of it."""
    failed = model.failed.at if model.failed is not None else None
    context = model.context
    return (
        *_process_identity(model),
        model.command,
        model.rate,
        failed,
        context.tokens,
        context.source,
    )


def _process_identity(model: Model) -> tuple[object, ...]:
    return (model.id, model.state, model.proxy)
