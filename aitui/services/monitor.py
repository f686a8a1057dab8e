"""The live state of one server in one frozen snapshot: polled, pushed by events, reconnected."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from functools import cached_property
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec.structs import replace

from aitui.aio import sleep_until
from aitui.domain.events import (
    ActivityAdded,
    Event,
    ModelStatusChanged,
    RequestsCounted,
    RequestsListed,
)
from aitui.domain.models import FinishedRequest, IdleUnload, LoadFailure, RunState
from aitui.domain.snapshot import Clock, ConnectionPhase, ConnectionStatus, Snapshot
from aitui.errors import AituiError, NotSupported, TimedOut, without_frames
from aitui.services.events import SHORTEST_GAP, EventStream, poll_interval, retry_delay
from aitui.services.state import ServerState, Transitions

if TYPE_CHECKING:
    from aitui.domain.clients import ClientNames
    from aitui.domain.config.swap_rules import SwapRules
    from aitui.domain.memory.hardware_state import HardwareState
    from aitui.llamaswap.client import LlamaSwapClient
    from aitui.services.activity import OwnReply
    from aitui.services.failures import FailureDiagnoser
    from aitui.store.load_times import LoadTimes


FETCH_INTERVAL = 1.0
"""Seconds between two requests: rows that are pushed within one are fetched together."""


FETCH_RETRY = 5.0


class ActivityFetcher:
    """Fetches the activity rows that were pushed by their ids, and hands them on."""

    def __init__(
        self,
        client: "LlamaSwapClient",
        hand_on: Callable[[tuple[FinishedRequest, ...]], Awaitable[None]],
    ) -> None:
        self._client = client
        self._deliver = hand_on
        self._first_id: int | None = None
        self._pending = asyncio.Event()

    def enqueue(self, row_id: int) -> None:
        """Queue the row of that id."""
        self._first_id = row_id if self._first_id is None else min(self._first_id, row_id)
        self._pending.set()

    async def run(self) -> None:
        """Fetch queued rows until cancelled."""
        while True:
            await self._pending.wait()
            self._pending.clear()
            first, self._first_id = self._first_id, None
            pause = FETCH_INTERVAL
            if first is not None:
                try:
                    await self._deliver(await self._client.activity(first))
                except NotSupported:
                    pass
                except AituiError:
                    # Whether the server is up is decided by /running; no event names the row again.
                    self.enqueue(first)
                    pause = FETCH_RETRY
            await asyncio.sleep(pause)


FIRST_CHECK_DELAY = 1.0
CHECK_INTERVAL = 30.0


class CertificateWatcher:
    """Watches how long the client certificate is valid.

    `expires_at` is Unix time, None if unknown; `warnings` are sentences for the user. `on_change` is
    awaited when one of them changes.
    """

    def __init__(self, client: "LlamaSwapClient", changed: Callable[[], Awaitable[None]]) -> None:
        self._client = client
        self._on_change = changed
        self.expires_at: float | None = None
        self.warnings: tuple[str, ...] = ()

    async def run(self) -> None:
        """Check until cancelled; importing the parser is slow, so the live state comes first."""
        await asyncio.sleep(FIRST_CHECK_DELAY)
        while True:
            found = await self._client.certificate_expiry(), await self._client.key_warnings()
            if found != (self.expires_at, self.warnings):
                self.expires_at, self.warnings = found
                await self._on_change()
            await asyncio.sleep(CHECK_INTERVAL)


CHECK_SECONDS = 2.0
"""An idle dashboard wakes three times a second, and a look each second was one of them."""
SUSPEND_THRESHOLD = 5.0


async def detect_suspends(clock: Clock) -> AsyncIterator[float]:
    """Yield the seconds of each suspend.

    Without a clock that goes on meanwhile, setting the wall clock looks the same, also backwards:
    reconnecting does no harm then.
    """
    read = clock.boot or clock.wall
    offset = read() - clock.monotonic()
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        now = read() - clock.monotonic()
        jumped, offset = now - offset, now
        if abs(jumped) >= SUSPEND_THRESHOLD:
            yield jumped


LIST_INTERVAL = 30.0
STATUS_SECONDS = 3.0
ACTIVITY_PAGES_SINCE = 236
LISTS_ALL_SINCE = 218
"""Older servers list only ready models under `/running`."""


class Monitor:
    """The live state of one server.

    `on_change` is called in the event loop with each new snapshot. `run` goes on until it is
    cancelled and never touches `/upstream/`: such a request would start models and keep them from
    ever unloading by themselves.
    """

    def __init__(
        self,
        client: "LlamaSwapClient",
        *,
        identity: str,
        clock: Clock,
        load_times: "LoadTimes",
        random: Random,
        on_change: Callable[[Snapshot], None] | None = None,
        names: "ClientNames | None" = None,
        llama_servers: frozenset[str] = frozenset(),
    ) -> None:
        self._client = client
        self._identity = identity
        self._clock = clock
        self._load_times = load_times
        self._random = random
        self._on_change = on_change
        self._known = ServerState(clock, names, llama_servers)
        self._warnings = load_times.warnings
        self.snapshot = Snapshot(ConnectionStatus(opened_at=clock.monotonic()))
        """The latest state."""
        self._changed = asyncio.Condition()
        self._wake = asyncio.Event()
        self._attempt: asyncio.Timeout | None = None
        self._queues: list[asyncio.Queue[Snapshot | Transitions]] = []
        self._polls_started = 0
        self._polls_finished = 0
        self._swap_rules: SwapRules | None = None
        self._config_note = self._config_doubt = ""
        self._list_everything = True
        self._activity_due = False
        self._listed_at = float("-inf")
        self._unload_requests: set[str] = set()
        self._events = EventStream(
            client,
            clock,
            random,
            on_begin=self._handle_stream_start,
            on_event=self._apply_event,
            on_end=self._handle_stream_end,
        )
        self._activity = ActivityFetcher(client, self._record_finished_requests)
        self._certificate = CertificateWatcher(client, self._publish)
        self._tasks: asyncio.TaskGroup | None = None

    @cached_property
    def _failures(self) -> "FailureDiagnoser":
        # With the first failure: its 41 patterns take 3 ms to compile.
        from aitui.services.failures import FailureDiagnoser

        return FailureDiagnoser(
            self._client,
            self._clock,
            stays_ended=self._stays_ended,
            failed=self.record_failure,
            timed_out=self._record_idle_unload,
            unloaded=self._record_client_unload,
        )

    async def run(self) -> None:
        """Keep the snapshot up to date until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._poll(), name="poll /running")
                self._tasks.create_task(self._events.run(), name="listen to events")
                self._tasks.create_task(self._watch_clock(), name="watch the clock")
                self._tasks.create_task(self._activity.run(), name="read activity")
                self._tasks.create_task(self._certificate.run(), name="watch the certificate")
        finally:
            self._tasks = None

    async def fetch(self) -> Snapshot:
        """Fetch everything once, without polling; raises the error of the response."""
        await self._fetch_all()
        if any(model.resident for model in self._known.models):
            await self._fetch_status()
        await self._publish_live()
        return self.snapshot

    def refresh(self) -> None:
        """Fetch everything again, at once, also while the server is lost."""
        self._list_everything = True
        self._wake.set()
        if self.snapshot.connection.phase is not ConnectionPhase.LIVE:
            self._drop_attempt()

    async def poll_now(self) -> Snapshot:
        """Return the snapshot after one more poll of `/running`, whether it was answered or not."""
        number = self._polls_started + 1
        self._wake.set()
        async with self._changed:
            await self._changed.wait_for(lambda: self._polls_finished >= number)
            return self.snapshot

    async def wait_until(
        self, condition: Callable[[Snapshot], bool], limit: float | None
    ) -> Snapshot:
        """Return the first snapshot that meets the condition; TimedOut after `limit` seconds."""
        try:
            async with asyncio.timeout(limit), self._changed:
                await self._changed.wait_for(lambda: condition(self.snapshot))
                return self.snapshot
        except TimeoutError:
            raise TimedOut(f"the server's list didn't change within {limit:.0f} s") from None

    async def begin_load(self, model_id: str) -> None:
        """Mark a model as loading for aitui."""
        self._unload_requests.discard(model_id)
        self._known.begin_load(model_id)
        self._wake.set()
        await self._publish()

    async def end_load(self, model_id: str, *, queued: bool = False) -> None:
        """Mark a model as no longer loading for aitui.

        With `queued` the request that was given up may still be in the server's queue.
        """
        self._known.end_load(model_id, queued=queued)
        self._wake.set()
        await self._publish()

    async def record_failure(self, model_id: str, failed: LoadFailure) -> None:
        """Record why a load failed, until the model is tried again."""
        self._known.record_failure(model_id, failed)
        await self._publish()

    async def update_config(
        self,
        contexts: Mapping[str, int],
        swap_rules: "SwapRules | None" = None,
        note: str = "",
        doubt: str = "",
        blocks: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    ) -> None:
        """Take over the context sizes, in tokens, that the config file gives these models.

        `swap_rules` are its rules, None if the server may run by others; `note` says that the
        server runs an older file, `doubt` that it may. `blocks` are the models that the file lists,
        with their aliases, unless the server has certainly read it.
        """
        self._known.update_config(contexts, blocks)
        self._swap_rules, self._config_note, self._config_doubt = swap_rules, note, doubt
        await self._publish()

    async def forget_config(self) -> None:
        """Forget the rules of a config file that can't be read any more."""
        self._swap_rules, self._config_note, self._config_doubt = None, "", ""
        await self._publish()

    async def update_hardware(self, hardware: "HardwareState") -> None:
        """Take over the memory of the server's host."""
        self._known.update_memory(hardware.usage.footprints, hardware.last_contexts)
        self.snapshot = replace(self.snapshot, hardware=hardware)
        await self._publish(changed=True)

    async def update_own_reply(self, reply: "OwnReply | None") -> None:
        """Take over what is known of the reply in our own chat, None if there is none."""
        self._known.update_own_reply(reply)
        await self._publish()

    async def update_profile(self, active: str) -> None:
        """Take over which profile is active now: its event may be late, or not come at all."""
        self._known.profile = active
        await self._publish()

    async def expect_restart(self, by: float | None) -> None:
        """Note that aitui restarts the server, which may wait for requests until then; None at the end."""
        self.snapshot = replace(self.snapshot, restart_by=by)
        await self._publish(changed=True)

    async def expect_unload(self, *model_ids: str) -> None:
        """Expect these models to stop because aitui unloads them: that is no failure."""
        self._unload_requests.update(model_ids)
        async with self._changed:
            self._changed.notify_all()

    def follow(self, queue: "asyncio.Queue[Snapshot | Transitions]") -> None:
        """Put every snapshot into a queue, and loads, which may be too short for any snapshot."""
        self._queues.append(queue)

    def follow_finished(self, on_finished: Callable[[tuple[FinishedRequest, ...]], None]) -> None:
        """Call `on_finished` with requests that end from now on, each once."""
        self._known.on_finished = on_finished

    def was_unload_requested(self, model_id: str) -> bool:
        """Return whether aitui requested that model's unloading since its last load began."""
        return model_id in self._unload_requests

    async def _poll(self) -> None:
        while True:
            self._wake.clear()
            self._polls_started += 1
            if await self._poll_once():
                self._polls_finished = self._polls_started
            async with self._changed:
                self._changed.notify_all()
            asked = self._clock.monotonic()
            link = self.snapshot.connection
            if link.phase is ConnectionPhase.LIVE:
                pause = poll_interval(
                    in_transit=self._known.in_transit,
                    resident=bool(self.snapshot.resident),
                    events_flow=self._events.began_at is not None,
                )
            else:
                pause = max(0.0, (link.retry_at or asked) - asked)
            await sleep_until(self._wake, pause)
            # Events can come in floods; each may request a poll, and together they get one.
            await asyncio.sleep(max(0.0, SHORTEST_GAP - (self._clock.monotonic() - asked)))

    async def _poll_once(self) -> bool:
        """Poll what is due; False if that was interrupted to begin again."""
        self._events.drop_if_silent()
        sent_at = self._clock.monotonic()
        try:
            async with asyncio.timeout(None) as self._attempt:
                # A reload ends the stream: lists from after its begin stand as long as it does.
                began_at = self._events.began_at
                oldest = sent_at - LIST_INTERVAL if began_at is None else began_at
                if self._list_everything or self._listed_at < oldest:
                    has_changed = await self._fetch_all()
                else:
                    has_changed = await self._fetch_running()
        except TimeoutError:
            self._wake.set()
            return False
        except AituiError as error:
            await self._mark_lost(error, sent_at)
            return True
        finally:
            self._attempt = None
        await self._publish_live()
        self._events.mark_server_reachable()
        if self._activity_due:
            # What ended before aitui was there: after the table, which has to wait for nothing.
            self._activity_due = False
            self._activity.enqueue(0)
        if has_changed:
            self._events.expect_status()
        return True

    async def _fetch_all(self) -> bool:
        # A refresh that comes while this one runs is another one.
        everything, self._list_everything = self._list_everything, False
        try:
            return await self._fetch_lists(with_version=everything or not self.snapshot.version)
        except BaseException:
            self._list_everything = self._list_everything or everything
            raise

    async def _fetch_lists(self, *, with_version: bool) -> bool:
        sent_at = self._clock.monotonic()
        models = await self._client.models()
        for model in models:
            seconds = self._load_times.expected(self._identity, model.id)
            self._known.set_expected_loads(model.id, seconds)
        self._known.update_models(models)
        has_changed = await self._fetch_running()
        if with_version:
            # The table waits for the two lists alone: these are up to five requests more.
            await self._publish_live()
            await self._fetch_version()
        self._listed_at = sent_at
        return has_changed

    async def _fetch_status(self) -> None:
        """Read the first events, which have what `/running` lacks: details and active requests."""
        with contextlib.suppress(AituiError, TimeoutError):  # they add details only
            async with asyncio.timeout(STATUS_SECONDS), self._client.events() as events:
                async for event in events:
                    if isinstance(event, ModelStatusChanged):
                        self._known.update_statuses(event)
                    else:
                        self._known.apply_event(event)
                    # The last of those that a server sends at once, of any release.
                    if isinstance(event, RequestsCounted | RequestsListed):
                        break
            if self.snapshot.release.has(ACTIVITY_PAGES_SINCE):
                self._known.record_finished_requests(await self._client.activity(0))

    async def _fetch_version(self) -> None:
        try:
            version = (await self._client.version()).version
        except NotSupported:
            version = ""
        release = await self._client.release(version)
        self.snapshot = replace(self.snapshot, version=version, release=release)
        self._known.update_listing(only_ready=release.has(LISTS_ALL_SINCE) is False)
        self._activity_due = release.has(ACTIVITY_PAGES_SINCE) is True

    async def _fetch_running(self) -> bool:
        """Return whether the states have changed."""
        transitions = self._known.update_running(await self._client.running())
        self._apply_transitions(transitions)
        return transitions.changed

    def _apply_transitions(self, transitions: Transitions) -> None:
        if transitions.started or transitions.loaded:
            for queue in self._queues:
                queue.put_nowait(transitions)
        for model_id in transitions.started:
            self._known.record_evictions(model_id, self._unload_requests)
        self._unload_requests.difference_update(transitions.started)
        for model_id, seconds in transitions.loaded:
            self._run_in_background(self._remember_load(model_id, seconds))
        for model_id in transitions.vanished:
            model = self.snapshot.model(model_id)
            ours = model is not None and model.requested is not None
            if not ours and model_id not in self._unload_requests:
                self._run_in_background(self._failures.diagnose(model_id))
        for model_id in transitions.ended:
            if model_id not in self._unload_requests:
                model = self.snapshot.model(model_id)
                uptime = (
                    model.uptime(self._clock.monotonic()) if model and model.dated else math.inf
                )
                diagnosing = self._failures.diagnose(model_id, ready_seconds=uptime or 0.0)
                self._run_in_background(diagnosing)

    def _stays_ended(self, model_id: str) -> bool:
        """Return whether a model that ended has neither begun again nor been unloaded by aitui."""
        model = next((model for model in self._known.models if model.id == model_id), None)
        over = model is None or model.state not in {RunState.STARTING, RunState.READY}
        return over and model_id not in self._unload_requests

    async def _remember_load(self, model_id: str, seconds: float) -> None:
        model = next((model for model in self._known.models if model.id == model_id), None)
        tokens = 0 if model is None else model.context.known_tokens
        await self._load_times.record(self._identity, model_id, seconds, tokens)
        self._warnings = self._load_times.warnings
        expected = self._load_times.expected(self._identity, model_id)
        self._known.set_expected_loads(model_id, expected)
        await self._publish()

    async def _record_idle_unload(self, model_id: str, unload: IdleUnload) -> None:
        self._known.record_idle_unload(model_id, unload)
        await self._publish()

    async def _record_client_unload(
        self, model_id: str, at: float, address: str, agent: str
    ) -> None:
        self._known.record_client_unload(model_id, at, address, agent)
        await self._publish()

    async def _mark_lost(self, error: AituiError, sent_at: float) -> None:
        before = self.snapshot.connection
        attempts = before.attempts + 1
        self._list_everything = True
        self._events.mark_lost()
        self._known.clear_event_state()
        await self._publish(
            ConnectionStatus(
                ConnectionPhase.LOST,
                opened_at=before.opened_at,
                last_response_at=before.last_response_at,
                error=without_frames(error),
                attempts=attempts,
                retry_at=self._clock.monotonic() + retry_delay(attempts - 1, self._random),
                lost_at=sent_at if before.lost_at is None else before.lost_at,
            )
        )

    async def _apply_event(self, event: Event) -> None:
        if isinstance(event, ModelStatusChanged):
            self._events.record_status()
            names = frozenset(status.id for status in event.models)
            if self._known.model_ids and names != self._known.model_ids:
                self._list_everything = True
            transitions = self._known.update_statuses(event)
            self._apply_transitions(transitions)
            if transitions.changed:
                self._wake.set()
            await self._publish()
            return
        if isinstance(event, ActivityAdded):
            self._activity.enqueue(event.id)
            return
        self._known.apply_event(event)
        await self._publish()

    async def _record_finished_requests(self, requests: tuple[FinishedRequest, ...]) -> None:
        self._known.record_finished_requests(requests)
        await self._publish()

    async def _handle_stream_start(self) -> None:
        """Fetch the lists again: no event reports a reload from before the first one."""
        self._wake.set()
        await self._publish()

    async def _handle_stream_end(self, flowed: bool) -> None:  # noqa: FBT001
        """Fetch everything again: a reload and a restart end every stream cleanly."""
        self._known.clear_event_state()
        if flowed:
            # A server that started again may have read another file.
            self._swap_rules = None
            self.refresh()
        await self._publish()

    @property
    def _event_warnings(self) -> tuple[str, ...]:
        # While the server is lost, nothing else is to be expected.
        is_live = self.snapshot.connection.phase is ConnectionPhase.LIVE
        return (self._events.warning,) if is_live and self._events.warning else ()

    def _drop_attempt(self) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.reschedule(asyncio.get_running_loop().time())

    async def _watch_clock(self) -> None:
        """Reconnect after a suspend, which leaves every connection half dead."""
        async for jumped in detect_suspends(self._clock):
            self._known.shift_clock(max(0.0, jumped))
            self._events.drop()
            self._drop_attempt()
            await self._client.drop_connections()
            self.refresh()

    def _run_in_background(self, work: Coroutine[None, None, None]) -> None:
        if self._tasks is None:
            work.close()
        else:
            self._tasks.create_task(work)

    async def _publish_live(self) -> None:
        now = self._clock.monotonic()
        await self._publish(ConnectionStatus(ConnectionPhase.LIVE, now, self._client.latency))

    async def _publish(
        self, link: ConnectionStatus | None = None, *, changed: bool = False
    ) -> None:
        snapshot = replace(
            self.snapshot,
            connection=link or self.snapshot.connection,
            models=self._known.merge(),
            hues=self._known.hues,
            total_models=self._known.total_models,
            requests=self._known.requests,
            finished=self._known.finished_requests,
            generation_rate=self._known.generation_rate,
            profile=self._known.profile,
            events_flow=self._events.began_at is not None,
            companions=self._known.companions,
            warnings=(*self._warnings, *self._certificate.warnings, *self._event_warnings),
            certificate_expires_at=self._certificate.expires_at,
            swap_rules=self._swap_rules,
            config_note=self._config_note,
            config_doubt=self._config_doubt,
        )
        if snapshot == self.snapshot and not changed:
            return
        self.snapshot = snapshot
        if self._on_change is not None:
            self._on_change(snapshot)
        for queue in self._queues:
            queue.put_nowait(snapshot)
        async with self._changed:
            self._changed.notify_all()
