"""llama-swap between two reloads: one configuration, its processes and its listeners."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial

from msgspec import Struct, field

from aitui.demo.activity import ActivityLog
from aitui.demo.answers import go_json
from aitui.demo.background import BackgroundTasks
from aitui.demo.change import ChangeNotifier, call_when_set
from aitui.demo.configuration import Configuration, ModelConfiguration, Profile
from aitui.demo.dialect import BuildTraits
from aitui.demo.graphics_cards import GraphicsCards
from aitui.demo.listing import ModelListing
from aitui.demo.load_failed import UpstreamLoadFailed
from aitui.demo.log_ring import Broadcast, ServerLog
from aitui.demo.performance import PastSample
from aitui.demo.running_requests import Caller, InflightRequest, InflightRequests
from aitui.demo.swapping import ModelSwapper
from aitui.demo.upstream_process import ProcessState, UpstreamProcess


class ServerLogs(Struct, frozen=True):
    """The server's logs, which outlive reloads; `main` is its standard output."""

    proxy: ServerLog = field(default_factory=ServerLog)
    upstream: ServerLog = field(default_factory=ServerLog)
    http: ServerLog = field(default_factory=ServerLog)
    main: ServerLog = field(default_factory=ServerLog)

    def ring(self, source: str) -> ServerLog:
        """Return the log of a source: proxy, upstream or http."""
        return {"proxy": self.proxy, "upstream": self.upstream, "http": self.http}[source]


class LlamaSwap:
    """Everything that a reload replaces."""

    def __init__(
        self,
        configuration: Configuration,
        traits: BuildTraits,
        logs: ServerLogs,
        cards: GraphicsCards,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.configuration = configuration
        self.cards = cards
        self.traits = traits
        self.logs = logs
        self.events: Broadcast[str] = Broadcast()
        self.log_events: Broadcast[tuple[str, str]] = Broadcast()
        self.active_profile: Profile | None = None
        self.running = InflightRequests(traits, self.publish, wall)
        self.activity = ActivityLog(
            traits, self.publish, wall, capture_bytes=configuration.capture_bytes
        )
        self.background = BackgroundTasks()
        self.change = ChangeNotifier(wall)
        self.past_samples: tuple[PastSample, ...] = ()
        self.upstream_log = ServerLog(also=partial(self._write_log, "upstream"))
        self.proxy_log = ServerLog(also=partial(self._write_log, "proxy"))
        # Before v259 the proxy's log had the lines about requests as well.
        self.request_log = (
            ServerLog(also=partial(self._write_log, "http"))
            if traits.separate_logs
            else self.proxy_log
        )
        self.processes = {
            model.id: self._create_process(model) for model in configuration.models.values()
        }
        self._peers: dict[str, UpstreamProcess] = {}
        self.listing = ModelListing(configuration, self.processes, traits)
        self.swapping = ModelSwapper(
            configuration,
            self.processes,
            traits=traits,
            proxy_log=self.proxy_log,
            change=self.change,
            background=self.background,
        )

    def open(self) -> None:
        """Start the preloads."""
        for name in self.configuration.preload:
            model_id = self.configuration.resolve(name)
            if model_id is not None:
                self.proxy_log.write(f"[INFO] {self.traits.preload_line}: {model_id}\n")
                self.background.start(self._preload(model_id), name=f"preload {model_id}")

    def end_streams(self) -> None:
        """Let every stream of events and of log lines end."""
        self.events.end()
        self.log_events.end()
        for ring in (self.logs.proxy, self.logs.upstream, self.logs.http, self.logs.main):
            ring.stream.end()
        for process in self.processes.values():
            process.ring.stream.end()

    async def wait_until_idle(self) -> None:
        """Return when no request needs a model any more."""
        await self.change.wait_until(lambda: not any(p.claims for p in self.processes.values()))

    async def close(self) -> None:
        """End every stream, every load, every model."""
        self.end_streams()
        await self.swapping.close()
        await self.background.close()

    def publish(self, kind: str, data: object) -> None:
        """Send one event to all listeners."""
        self.events.publish(self.frame(kind, data))

    def frame(self, kind: str, data: object) -> str:
        """Encode an event as sent: JSON with JSON in its `data`."""
        inner = go_json(data, sorted_keys=kind == "logData")
        return f"event:message\ndata:{go_json({'type': kind, 'data': inner})}\n\n"

    @asynccontextmanager
    async def hold(self, caller: Caller, ago: float = 0.0) -> AsyncIterator[InflightRequest]:
        """Hold a request of another client with a slot of its model, loaded first if necessary.

        It began so many seconds ago. Raises UpstreamLoadFailed.
        """
        process = self.processes[caller.model]
        with ExitStack() as counted:
            running = counted.enter_context(self.running.track(caller, ago))
            async with (
                self.swapping.claim(caller.model) as claim,
                call_when_set(claim.cut, counted.close),
            ):
                running.claim = claim
                await process.acquire_slot(claim)
                try:
                    yield running
                finally:
                    process.release_slot()

    def find_model(self, name: str) -> str | None:
        """Return the id of the local model for a request's model name."""
        if self.traits.detailed_events:
            if self.active_profile is not None and name in self.active_profile.pins:
                name = self.active_profile.pins[name]
            for selector in self.configuration.selectors:
                if name == selector.id:
                    return self._pick_target(selector.targets)
        return self.configuration.resolve(name)

    def is_selector(self, name: str) -> bool:
        """Whether a name stands for the best of several models."""
        return self.traits.detailed_events and any(
            name == selector.id for selector in self.configuration.selectors
        )

    def peer_process(self, name: str) -> UpstreamProcess | None:
        """Return the process of a peer's model, which is always ready."""
        found = self.listing.peer_of(name)
        if found is None:
            return None
        peer, model = found
        if model not in self._peers:
            distant = ModelConfiguration(
                id=model, command="llama-server --tokens-per-second 60", proxy=peer.proxy, port=0
            )
            process = UpstreamProcess(
                distant,
                upstream_log=ServerLog(),
                change=ChangeNotifier(),
                on_state=lambda: None,
                traits=self.traits,
            )
            process.state = ProcessState.READY
            self._peers[model] = process
        return self._peers[model]

    def _pick_target(self, targets: tuple[str, ...]) -> str | None:
        ids = [id_ for name in targets if (id_ := self.configuration.resolve(name)) is not None]
        ready = [id_ for id_ in ids if self.processes[id_].state is ProcessState.READY]
        return next(iter(ready or ids), None)

    def _create_process(self, model: ModelConfiguration) -> UpstreamProcess:
        return UpstreamProcess(
            model,
            upstream_log=self.upstream_log,
            change=self.change,
            on_state=lambda: self.publish("modelStatus", self.listing.statuses()),
            on_crash=self.proxy_log.write,
            cards=self.cards,
            traits=self.traits,
        )

    async def _preload(self, model_id: str) -> None:
        try:
            async with self.swapping.claim(model_id):
                self.processes[model_id].log.log_request("GET", "/")
        except UpstreamLoadFailed:
            return  # already in the log

    def _write_log(self, source: str, text: str) -> None:
        self.logs.ring(source).write(text)
        frame = self.frame("logData", {"data": text, "source": source})
        if self.traits.separate_logs:
            self.log_events.publish((source, frame))
        else:
            self.events.publish(frame)
        if self.configuration.prints_log(source):
            self.logs.main.write(text)
