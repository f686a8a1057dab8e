"""Keeps true what is known of a server's memory: samples, measures, reads headers, remembers."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from aitui.domain.clock import Clock
from aitui.domain.hardware.history import History
from aitui.domain.hardware.host_facts import facts_of
from aitui.domain.memory.footprint import Footprint
from aitui.domain.memory.hardware import Hardware, expected_memory
from aitui.domain.memory.known_model import ModelMemory
from aitui.domain.memory.measurement import Known
from aitui.domain.memory.picture import MemoryPicture, memory_picture, port_of
from aitui.domain.memory.setup import Setup
from aitui.domain.model import ContextSource, Model
from aitui.domain.snapshot import LinkPhase, Snapshot
from aitui.errors import HostError
from aitui.host.shell import Host
from aitui.monitor.host_samples import HostSamples
from aitui.monitor.memory_learning import Lesson, MemoryLearning
from aitui.monitor.model_commands import NO_ENVIRONMENTS, ModelCommands
from aitui.monitor.model_headers import ModelHeaders
from aitui.monitor.server_facts import ServerFacts
from aitui.monitor.server_samples import ServerSamples
from aitui.monitor.start_up_logs import StartUpLogs
from aitui.store.measurements import Measurements
from aitui.swap.closing import to_the_end

if TYPE_CHECKING:
    from aitui.swap.client import SwapClient

UNHURRIED = 60.0
"""Seconds between two samples of a machine whose cards the server tells of already."""
HEADER_PAUSE = 0.2
LOGS_AT_ONCE = 3.0
"""Seconds that somebody who waits is kept waiting for the logs of running models."""


class HardwareFeed:
    """The memory of one server. `on_change` is told of each new state.

    Nothing is asked of a server that is lost, and nothing of any person: a machine that can't be
    reached without a question is left alone.
    """

    def __init__(
        self,
        client: "SwapClient",
        *,
        identity: str,
        clock: Clock,
        measurements: Measurements,
        on_change: Callable[[Hardware], Awaitable[None]],
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._measurements = measurements
        self._on_change = on_change
        self._server = ServerSamples(client)
        self._facts = ServerFacts(client, clock.monotonic)
        self._logs = StartUpLogs(client)
        self._headers = ModelHeaders()
        self._commands = ModelCommands()
        self._learning = MemoryLearning(clock.wall, self._commands.setup, self._remembered)
        self._host: HostSamples | None = None
        self._snapshot = Snapshot()
        self._models: tuple[Model, ...] = ()
        self._live = asyncio.Event()
        self._host_wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._headers_due = asyncio.Event()
        self._logs_due = asyncio.Event()
        self._heard: float | None = None
        self.hardware = Hardware()

    async def run(self) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ask_server(), name="sample the server")
            tasks.create_task(self._facts.run(self._tell), name="learn what the machine is")
            tasks.create_task(self._ask_host(), name="sample the host")
            tasks.create_task(self._read_headers(), name="read model headers")
            tasks.create_task(self._follow_models(), name="watch memory")
            tasks.create_task(self._read_logs(), name="read start-up logs")

    @property
    def machine_answers(self) -> bool:
        """Whether the machine behind the server was asked and has answered."""
        return self._host is not None and self._host.latest is not None

    async def look(self) -> Hardware:
        """Ask server and host once, as far as they answer; never raises what they say."""
        self._commands.remember(self._snapshot.resident)
        await self._keep(
            self._learning.models_came(self._snapshot.models, self._commands.configured)
        )
        await self._server.ask()
        if self._facts.facts is None:
            await self._facts.ask()
        if self._host is not None:
            await self._host.ask(self._ports)
            await self._read_unread_headers(pause=0.0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOGS_AT_ONCE):
                for model in self._logs.unread(self._snapshot.models):
                    await self._logs.read(model)
        await self._tell(heard=True)
        # What was measured before tells context sizes, and these what is needed.
        await self._tell()
        return self.hardware

    def snapshot_came(self, snapshot: Snapshot) -> None:
        """The server's state has changed."""
        self._snapshot = snapshot
        self._facts.link_came(live=snapshot.link.phase is LinkPhase.LIVE)
        if snapshot.link.phase is LinkPhase.LIVE:
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
        if changed is None or any(_facts(old) != _facts(new) for old, new in changed):
            if changed is None or any(_process(old) != _process(new) for old, new in changed):
                self._host_wake.set()
            self._changed.set()

    def host_found(self, host: Host | None) -> None:
        """The machine behind the server, None where it is no longer at hand."""
        self._host = None if host is None else HostSamples(host, self._clock)
        self._host_wake.set()

    def commands_read(
        self,
        commands: Mapping[str, str],
        environments: Mapping[str, Mapping[str, str]] = NO_ENVIRONMENTS,
    ) -> None:
        """What the config file runs for each model, and with which variables."""
        if self._commands.configure(commands, environments):
            self._headers_due.set()
            self._changed.set()
        if self._host is not None and self._host.trouble:
            self._host_wake.set()

    async def _ask_server(self) -> None:
        while True:
            await self._live.wait()
            before = self._server.history, self._server.trouble
            pause = await self._server.ask()
            if (self._server.history, self._server.trouble) != before:
                await self._tell(heard=not self._server.trouble)
            await asyncio.sleep(pause)

    async def _ask_host(self) -> None:
        while True:
            self._host_wake.clear()
            pause = UNHURRIED
            if self._host is not None:
                await self._live.wait()
                pause = await self._host.ask(self._ports)
                if self._server.latest is not None and self._server.latest.gpus:
                    pause = max(pause, UNHURRIED)
                self._headers_due.set()
                await self._tell(heard=not self._host.trouble)
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
            unread = self._headers.unread(map(self._commands.of, self._snapshot.models))
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
            await self._keep(
                self._learning.models_came(self._snapshot.models, self._commands.configured)
            )
            self._logs_due.set()
            await self._tell()

    async def _read_logs(self) -> None:
        while True:
            await self._logs_due.wait()
            self._logs_due.clear()
            for model in self._logs.unread(self._snapshot.models):
                await self._logs.read(model)
                await self._tell()

    async def _tell(self, *, heard: bool = False) -> None:
        if heard:
            self._heard = self._clock.monotonic()
        sample, host = self._server.latest, self._host.latest if self._host else None
        models = self._snapshot.models
        known = self._known()
        picture = self._picture(known)
        own = host.sample if host is not None else None
        of_cards = sample if sample is not None and sample.gpus else own or sample
        lessons = self._learning.sample_came(of_cards, models, picture)
        if lessons:
            await self._keep(lessons)
            known = self._known()
            picture = self._picture(known)
        self.hardware = Hardware(
            picture=picture,
            history=self._history(picture),
            models=known,
            spills=self._learning.spills(models, picture, known),
            heard=self._heard,
            trouble=self._trouble(),
            facts=facts_of(self._host.facts if self._host else None, self._facts.facts),
        )
        await self._on_change(self.hardware)

    def _history(self, picture: MemoryPicture) -> History:
        """That of the server, which is longer, unless it is of other cards than those shown."""
        server, host = self._server, self._host
        if host is None or not host.history.samples:
            return server.history
        shown = {card.gpu.key for card in picture.cards}
        sample = server.latest
        told = {gpu.key for gpu in sample.gpus} if sample is not None else set()
        same = bool(shown & told) or (not shown and sample is not None)
        return server.history if same else host.history

    def _picture(self, known: Mapping[str, ModelMemory]) -> MemoryPicture:
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
        return memory_picture(
            sample,
            self._snapshot.models,
            host=host_sample,
            starts=self._logs.starts,
            expected=expected,
        )

    def _known(self) -> dict[str, ModelMemory]:
        """Only models of which something is remembered or read.

        Of a model whose command nobody told, what was seen last counts.
        """
        found: dict[str, ModelMemory] = {}
        for model in self._snapshot.models:
            command = self._commands.of(model)
            known = self._remembered(model.id)
            header = self._headers.of(command)
            if command and (known != Known() or header is not None):
                found[model.id] = ModelMemory(
                    self._commands.setup(model.id, command), known, header
                )
            elif known != Known():
                taken = [(one.at, one.setup) for one in known.measurements]
                died = [(one.at, one.setup) for one in known.failures]
                found[model.id] = ModelMemory(Setup(fingerprint=max(taken + died)[1]), known)
        return found

    def _remembered(self, model_id: str) -> Known:
        return self._measurements.known(self._identity, model_id)

    @property
    def _ports(self) -> list[int]:
        found = (port_of(model.proxy) for model in self._snapshot.resident)
        return [port for port in found if port is not None]

    def _trouble(self) -> str:
        host = self._host
        if self._server.latest is not None or (host is not None and host.latest is not None):
            own = host.trouble if host is not None else ""
            return "; ".join(words for words in (own, *self._measurements.warnings) if words)
        return "; ".join(
            words for words in (self._server.trouble, host.trouble if host else "") if words
        )

    async def _keep(self, lessons: tuple[Lesson, ...]) -> None:
        for lesson in lessons:
            # Learnt once, it is lost where its keeping is cut off.
            await to_the_end(self._measurements.record(self._identity, lesson.model, lesson.seen))


def _facts(model: Model) -> tuple[object, ...]:
    """What of a model decides about memory, or tells of it."""
    failed = model.failed.at if model.failed is not None else None
    context = model.context
    return (*_process(model), model.command, model.rate, failed, context.tokens, context.source)


def _process(model: Model) -> tuple[object, ...]:
    return (model.id, model.state, model.proxy)
