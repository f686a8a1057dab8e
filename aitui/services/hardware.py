"""The memory of a server: sampled, measured, calculated from model files, remembered."""

import asyncio
import contextlib
import operator
from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from aitui.aio import shield, sleep_until
from aitui.domain.hardware.info import merge_host_info
from aitui.domain.memory.hardware_state import HardwareState, record_usage
from aitui.domain.memory.measurement import MemoryRecords
from aitui.domain.memory.usage import MemoryUsage, memory_usage, port_of
from aitui.domain.models import ContextSource, Model, RunState
from aitui.domain.snapshot import Clock, ConnectionPhase, Server, Snapshot
from aitui.errors import AituiError, HostError, HostFileError, ModelFileUnreadable
from aitui.services.memory_learning import MemoryLearner, MemoryObservation
from aitui.services.samplers import HostInfoFetcher, HostSampleSource, ServerSampleSource

if TYPE_CHECKING:
    from aitui.domain.gguf import GgufHeader
    from aitui.domain.hardware.sample import SampleHistory
    from aitui.domain.memory.footprint import Footprint
    from aitui.domain.memory.forecast import ModelMemory
    from aitui.domain.memory.launch_profile import LaunchProfile
    from aitui.domain.memory.start_up import StartupMemory
    from aitui.host.base import Host
    from aitui.llamaswap.client import LlamaSwapClient
    from aitui.services.monitor import Monitor
    from aitui.store.measurements import Measurements


COMMANDS_KEPT = 2000
NO_ENVIRONMENTS: Mapping[str, Mapping[str, str]] = MappingProxyType({})


class ModelCommands:
    """The command of each model. `configured` are those of the config file, by model."""

    def __init__(self, llama_servers: frozenset[str]) -> None:
        self._llama_servers = llama_servers
        self.configured: Mapping[str, str] = {}
        self._environments: Mapping[str, Mapping[str, str]] = {}
        self._last: dict[str, str] = {}
        self._launch_profiles: dict[tuple[str, str], LaunchProfile] = {}

    def configure(
        self, commands: Mapping[str, str], environments: Mapping[str, Mapping[str, str]]
    ) -> bool:
        """Take over what the config file says; return whether it is new."""
        if (commands, environments) == (self.configured, self._environments):
            return False
        self.configured, self._environments = commands, environments
        self._launch_profiles = {}
        return True

    def remember(self, resident: Iterable[Model]) -> None:
        """Remember the commands of running models for the time after they stop."""
        for model in resident:
            if model.command:
                self._last[model.id] = model.command
        while len(self._last) > COMMANDS_KEPT:
            self._last.pop(next(iter(self._last)))

    def command_of(self, model: Model) -> str:
        """Return the command to calculate with, "" if none is known."""
        return model.command or self.configured.get(model.id) or self._last.get(model.id) or ""

    def launch_profile(self, model_id: str, command: str) -> "LaunchProfile":
        """Return the launch profile of a command in the environment of its model."""
        key = model_id, command
        found = self._launch_profiles.get(key)
        if found is None:
            from aitui.domain.memory.launch_profile import launch_profile

            if len(self._launch_profiles) >= COMMANDS_KEPT:
                self._launch_profiles.clear()
            found = self._launch_profiles[key] = launch_profile(
                command, self._environments.get(model_id, {}), self._llama_servers
            )
        return found


MOST_FILES = 500


class ModelHeaders:
    """The headers of model files. One that can't be read is not tried again."""

    def __init__(self, llama_servers: frozenset[str]) -> None:
        self._llama_servers = llama_servers
        self._headers: dict[str, GgufHeader | None] = {}

    def header_of(self, command: str) -> "GgufHeader | None":
        """Return the header of the file that a command names, None if it isn't known."""
        path = self._header_path(command)
        return self._headers.get(path) if path else None

    def unread(self, commands: Iterable[str]) -> tuple[str, ...]:
        """Return the files of these commands that have not been read yet."""
        places = dict.fromkeys(place for place in map(self._header_path, commands) if place)
        room = max(0, MOST_FILES - len(self._headers))
        return tuple(place for place in places if place not in self._headers)[:room]

    async def read(self, host: "Host", path: str) -> None:
        """Read one file's header; raises HostError if the host can't be reached."""
        from aitui.host.sampler import read_model_header

        try:
            self._headers[path] = await read_model_header(host, path)
        except (ModelFileUnreadable, HostFileError):
            self._headers[path] = None

    def _header_path(self, command: str) -> str:
        if not command:
            return ""
        from aitui.domain.llama_server import CommandLine

        path = CommandLine.read(command, self._llama_servers).model or ""
        return path if path.startswith(("/", "~/")) else ""


QUIET_SECONDS = 0.5
PATIENT_QUIET_SECONDS = 2.0
"""Over a slow connection a log is read once more before it counts as silent."""
FIRST_LINE_SECONDS = 10.0
"""A server may send nothing at all for a model that has logged nothing."""
LOG_SECONDS = 15.0
LONGEST_LINE = 4000


class StartupLogs:
    """What start-up logs report, kept as long as the model is the same process."""

    def __init__(self, client: "LlamaSwapClient") -> None:
        self._client = client
        self._read: dict[str, tuple[float, StartupMemory | None, int]] = {}

    @property
    def starts(self) -> dict[str, "StartupMemory"]:
        """Return the memory of each start that the log reported."""
        return {name: start for name, (_, start, _) in self._read.items() if start is not None}

    @property
    def slot_sizes(self) -> dict[str, int]:
        """Return the tokens of a slot of each start that the log reported."""
        return {name: size for name, (_, _, size) in self._read.items() if size}

    def unread(self, models: tuple[Model, ...]) -> tuple[Model, ...]:
        """Return the ready models with an unread log, and forget the logs of other models."""
        ready = {model.id: model for model in models if model.state is RunState.READY}
        self._read = {
            name: read
            for name, read in self._read.items()
            if name in ready and ready[name].since == read[0]
        }
        return tuple(model for name, model in ready.items() if name not in self._read)

    async def read(self, model: Model) -> None:
        """Read the history of a model's log; this loads nothing."""
        start, slot_size = None, 0
        # The log view shows why a log can't be read.
        with contextlib.suppress(AituiError):
            start, slot_size = await self._read_last_start(model.id, QUIET_SECONDS)
            if start is None:
                start, slot_size = await self._read_last_start(model.id, PATIENT_QUIET_SECONDS)
        self._read[model.id] = model.since, start, slot_size

    async def _read_last_start(self, name: str, quiet: float) -> "tuple[StartupMemory | None, int]":
        """Read the stream until it falls silent, since it goes on after its history."""
        from aitui.domain.memory.start_up import StartupLogReader

        reader, rest = StartupLogReader(), ""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with (
                asyncio.timeout(FIRST_LINE_SECONDS) as limit,
                self._client.log(name, history=True) as chunks,
            ):
                deadline = loop.time() + LOG_SECONDS
                limit.reschedule(loop.time() + FIRST_LINE_SECONDS)
                async for chunk in chunks:
                    *whole, rest = (rest + chunk).split("\n")
                    rest = rest[-LONGEST_LINE:]
                    reader.feed_all(whole)
                    limit.reschedule(min(deadline, loop.time() + quiet))
        return reader.memory, reader.slot_size


QUIET_INTERVAL = 10.0
"""Seconds between two samples of the server while no model runs, except in the view of the hardware;
begins as long after the last change."""
SLOW_INTERVAL = 60.0
"""Seconds between two samples of a host if the server reports its GPUs already."""
HEADER_PAUSE = 0.2
LOG_READ_SECONDS = 3.0
"""Seconds that a command waits for the logs of running models."""


class HardwareMonitor:
    """Measures the memory of one server, and hands each new state to its monitor.

    It follows the monitor's snapshots; the monitor knows nothing of it. Nothing is requested from a
    lost server, and nothing is asked of the user: a host that can't be reached without a question is
    left alone.
    """

    def __init__(
        self,
        client: "LlamaSwapClient",
        monitor: "Monitor",
        *,
        server: Server,
        clock: Clock,
        measurements: "Measurements",
    ) -> None:
        self._monitor = monitor
        self._identity = server.identity
        self._clock = clock
        self._measurements = measurements
        self._server = ServerSampleSource(client)
        self._facts = HostInfoFetcher(client, clock.monotonic)
        self._logs = StartupLogs(client)
        self._headers = ModelHeaders(server.llama_servers)
        self._commands = ModelCommands(server.llama_servers)
        self._learning = MemoryLearner(
            clock.wall, self._commands.launch_profile, self._measurements_of
        )
        self._host: HostSampleSource | None = None
        self._live = asyncio.Event()
        self._busy = asyncio.Event()
        self._is_watched = False
        self._changed_at = clock.monotonic()
        self._host_wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._headers_due = asyncio.Event()
        self._logs_due = asyncio.Event()
        self._last_sample_at: float | None = None
        self.hardware = HardwareState()

    async def run(self) -> None:
        """Sample, read and measure until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_snapshots(), name="follow the server's state")
            tasks.create_task(self._poll_server(), name="sample the server")
            tasks.create_task(self._facts.run(self._publish), name="learn what the machine is")
            tasks.create_task(self._poll_host(), name="sample the host")
            tasks.create_task(self._read_headers(), name="read model headers")
            tasks.create_task(self._follow_models(), name="watch memory")
            tasks.create_task(self._read_logs(), name="read start-up logs")

    @property
    def is_host_responding(self) -> bool:
        """Whether the host was sampled and has answered."""
        return self._host is not None and self._host.latest is not None

    async def sample_once(self, *, with_host: bool = True) -> HardwareState:
        """Sample server and host once, as far as they answer; never raises their errors."""
        await self._observe_models()
        await self._server.fetch()
        if self._facts.facts is None:
            await self._facts.fetch()
        if self._host is not None and with_host:
            await self._host.sample(self._ports)
            await self._read_unread_headers(pause=0.0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOG_READ_SECONDS):
                for model in self._logs.unread(self._snapshot.models):
                    await self._logs.read(model)
        await self._publish(heard=True)
        # The first update may set context sizes, and the second calculates with them.
        await self._publish()
        return self.hardware

    def set_watched(self, *, watched: bool) -> None:
        """Sample server and host as often as they measure while a view shows all of it."""
        if watched is not self._is_watched:
            self._is_watched = watched
            self._update_busy()
            if watched:
                self._host_wake.set()

    def set_host(self, host: "Host | None") -> None:
        """Sample this host from now on, None to sample none."""
        self._host = None if host is None else HostSampleSource(host, self._clock)
        self._host_wake.set()

    def update_commands(
        self,
        commands: Mapping[str, str],
        environments: Mapping[str, Mapping[str, str]] = NO_ENVIRONMENTS,
    ) -> None:
        """Take over the command and the environment of each model in the config file."""
        if self._commands.configure(commands, environments):
            self._headers_due.set()
            self._changed.set()
        if self._host is not None and self._host.error:
            self._host_wake.set()

    @property
    def _snapshot(self) -> Snapshot:
        return self._monitor.snapshot

    @property
    def _used_bytes(self) -> int | None:
        return self.hardware.usage.used_bytes

    async def _follow_snapshots(self) -> None:
        before = Snapshot()
        while True:
            snapshot = await self._monitor.wait_until(partial(operator.is_not, before), None)
            live = snapshot.connection.phase is ConnectionPhase.LIVE
            self._facts.update_link(live=live)
            if live:
                self._live.set()
            else:
                self._live.clear()
            self._compare_models(before.models, snapshot.models)
            if before.models is not snapshot.models:
                self._update_busy()
            before = snapshot

    def _update_busy(self) -> None:
        models = self._snapshot.models
        if self._is_watched or any(one.resident or one.requested is not None for one in models):
            self._busy.set()
        else:
            self._busy.clear()

    def _compare_models(self, before: tuple[Model, ...], after: tuple[Model, ...]) -> None:
        if before is after:
            return
        # Models that didn't change are the same objects: there may be very many of them.
        pairs = zip(before, after, strict=True) if len(before) == len(after) else None
        changed = None if pairs is None else [(a, b) for a, b in pairs if a is not b]
        if changed is None or any(_process_identity(a) != _process_identity(b) for a, b in changed):
            self._host_wake.set()
            self._changed_at = self._clock.monotonic()
        if changed is None or any(_memory_facts(a) != _memory_facts(b) for a, b in changed):
            self._changed.set()

    async def _poll_server(self) -> None:
        while True:
            await self._live.wait()
            before, used = (self._server.history, self._server.error), self._used_bytes
            pause = await self._server.fetch()
            if self._is_watched:
                pause = min(pause, SLOW_INTERVAL)
            if (self._server.history, self._server.error) != before:
                await self._publish(heard=not self._server.error)
            if self._used_bytes != used:
                self._changed_at = self._clock.monotonic()
            await asyncio.sleep(pause)
            if self._clock.monotonic() - self._changed_at > QUIET_INTERVAL:
                await sleep_until(self._busy, max(0.0, QUIET_INTERVAL - pause))

    async def _poll_host(self) -> None:
        while True:
            self._host_wake.clear()
            pause = SLOW_INTERVAL
            if self._host is not None:
                await self._live.wait()
                pause = await self._host.sample(self._ports)
                server = self._server.latest
                if server is not None and server.gpus and not self._is_watched:
                    pause = max(pause, SLOW_INTERVAL)
                self._headers_due.set()
                await self._publish(heard=not self._host.error)
            await sleep_until(self._host_wake, pause)

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
                # The sampler meets the same error and reports it.
                return
            self._changed.set()
            await asyncio.sleep(pause)

    async def _follow_models(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._observe_models()
            self._logs_due.set()
            await self._publish()

    async def _observe_models(self) -> None:
        self._commands.remember(self._snapshot.resident)
        await self._record(
            self._learning.observe_models(self._snapshot.models, self._commands.configured)
        )

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
        loading = frozenset(one.id for one in models if one.state is RunState.STARTING)
        self.hardware = HardwareState(
            usage=picture,
            history=self._choose_history(picture),
            models=known,
            slot_sizes=self._logs.slot_sizes,
            slowdowns=self._learning.slowdowns(models, picture, known),
            last_sample_at=self._last_sample_at,
            error=self._error_text(),
            facts=merge_host_info(self._host.facts if self._host else None, self._facts.facts),
            records=record_usage(self.hardware.records, picture, loading),
            processes=() if host is None else host.gpu_processes(self._model_ports),
        )
        await self._monitor.update_hardware(self.hardware)

    def _choose_history(self, picture: MemoryUsage) -> "SampleHistory":
        """Return the server's history, which is longer, unless it is of other GPUs than the usage."""
        server, host = self._server, self._host
        if host is None or not host.history.samples:
            return server.history
        shown = {card.gpu.key for card in picture.cards}
        sample = server.latest
        reported = {gpu.key for gpu in sample.gpus} if sample is not None else set()
        same = bool(shown & reported) or (not shown and sample is not None)
        return server.history.completed_by(host.extras) if same else host.history

    def _memory_usage(self, known: Mapping[str, "ModelMemory"]) -> MemoryUsage:
        sample, host = self._server.latest, self._host
        host_sample = host.latest if host is not None else None
        cards = next((one.gpus for one in (host_sample and host_sample.sample, sample) if one), ())
        expected: dict[str, Footprint] = {}
        for model in self._snapshot.models:
            memory = known.get(model.id)
            if memory is None:
                continue
            from aitui.domain.memory.forecast import expected_memory

            assumed = model.context.source is ContextSource.FALLBACK
            tokens = memory.known.last_context if assumed else model.context.tokens
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

    def _model_memory(self) -> dict[str, "ModelMemory"]:
        """Return the memory of the models that have records or a header.

        For a model without a known command, the latest launch profile on record counts.
        """
        found = ((model.id, self._memory_of(model)) for model in self._snapshot.models)
        return {model_id: memory for model_id, memory in found if memory is not None}

    def _memory_of(self, model: Model) -> "ModelMemory | None":
        command = self._commands.command_of(model)
        known = self._measurements_of(model.id)
        header = self._headers.header_of(command)
        if known == MemoryRecords() and header is None:
            return None
        from aitui.domain.memory.forecast import ModelMemory
        from aitui.domain.memory.launch_profile import LaunchProfile

        if command:
            return ModelMemory(self._commands.launch_profile(model.id, command), known, header)
        taken = [(one.at, one.setup) for one in known.measurements]
        died = [(one.at, one.setup) for one in known.failures]
        return ModelMemory(LaunchProfile(fingerprint=max(taken + died)[1]), known)

    def _measurements_of(self, model_id: str) -> MemoryRecords:
        return self._measurements.of_model(self._identity, model_id)

    @property
    def _ports(self) -> list[int]:
        return list(self._model_ports)

    @property
    def _model_ports(self) -> dict[int, str]:
        found = {port_of(model.proxy): model.id for model in self._snapshot.resident}
        return {port: model for port, model in found.items() if port is not None}

    def _error_text(self) -> str:
        own = self._host.error if self._host is not None else ""
        errors = (own,) if self.is_host_responding else (self._server.error, own)
        if self._server.latest is not None or self.is_host_responding:
            errors = (*errors, *self._measurements.warnings)
        return "; ".join(filter(None, errors))

    async def _record(self, lessons: tuple[MemoryObservation, ...]) -> None:
        for lesson in lessons:
            # A measurement can't be repeated if storing it is cut off.
            await shield(
                self._measurements.record(self._identity, lesson.model, lesson.observation)
            )


def _memory_facts(model: Model) -> tuple[object, ...]:
    """Return what decides about a model's memory, or shows it."""
    context = model.context
    facts = (model.command, model.rate, model.failed, context.tokens, context.source)
    return (*_process_identity(model), model.requested, *facts)


def _process_identity(model: Model) -> tuple[object, ...]:
    return (model.id, model.state, model.proxy)
