"""A record of activity made by hand, and the app in front of it: no server, a still clock."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aitui.domain.activity import ActivityKind, ActivityRow
from aitui.domain.capture import Capture
from aitui.domain.snapshot import Clock, Server, Snapshot
from aitui.errors import NotSupported
from aitui.services import session as session_module
from aitui.store.activity_db import FILE_NAME, ActivityStore
from ui.hand_made import WALL, StillClient, StillMonitor, StillSession
from ui.mixture import READY

QWEN, DEEPSEEK = READY.id, "DeepSeek-R1-Distill-Llama-70B-Q4_K_M"
CHAT = "/v1/chat/completions"


def request(number: int, ago: float, **fields: object) -> ActivityRow:
    """The row of a request that ended so many seconds ago."""
    given: dict[str, object] = {
        "model": QWEN,
        "who": "laptop · pi",
        "client": "10.0.0.12",
        "path": CHAT,
        "status": 200,
        "prompt": 1200 + 10 * number,
        "cached": 1000,
        "tokens": 300,
        "prompt_rate": 1900.0,
        "rate": 48.3,
        "seconds": 6.4,
        "has_capture": True,
        **fields,
    }
    return ActivityRow(server="home", at=WALL - ago, id=number, **given)  # type: ignore[arg-type]


def event(kind: ActivityKind, ago: float, model: str = QWEN, **fields: object) -> ActivityRow:
    """The row of what happened to a model so many seconds ago."""
    return ActivityRow(server="home", at=WALL - ago, model=model, kind=kind, **fields)  # type: ignore[arg-type]


NO_FIGURES = dict.fromkeys(("prompt", "cached", "tokens", "prompt_rate", "rate"))
FEW = (
    request(1, 3000, who="desk · Zed", model=DEEPSEEK, rate=17.2, seconds=71.4),
    request(2, 900, status=499, error="client disconnected before response", **NO_FIGURES),
    request(3, 600, who="phone · Open WebUI", seconds=12.1),
    request(4, 60, drafted=100, accepted=75, first_token=0.8),
    event(ActivityKind.START, 3300, DEEPSEEK),
    event(ActivityKind.READY, 3260, DEEPSEEK, seconds=40.0),
    event(ActivityKind.EVICTION, 1800, DEEPSEEK, by=QWEN),
    event(ActivityKind.START, 1800),
    event(ActivityKind.READY, 1785, seconds=15.0),
)
"""A few requests, a swap, and one of each kind of outcome."""


def many(count: int) -> Iterable[ActivityRow]:
    """That many requests, the last a second ago."""
    for number in range(count):
        yield request(
            number, (count - number) * 5.0, seconds=2.0 + number % 17, rate=40.0 + number % 11
        )


@dataclass
class StillRecorder:
    """The record of a server of which nothing new comes."""

    path: Path
    rows: Sequence[ActivityRow] = ()
    joules: Mapping[tuple[int, str], float] = field(default_factory=dict)
    revision: int = 1
    opened: list[ActivityStore] = field(default_factory=list)

    async def store(self) -> ActivityStore:
        """Open it, with its rows."""
        if not self.opened:
            store = await ActivityStore.open(self.path)
            await store.add(self.rows, WALL)
            await store.watch("home", WALL - 3600, WALL)
            await store.add_energy("home", dict(self.joules))
            self.opened.append(store)
        return self.opened[0]

    async def wait_for_change(self, _: int) -> int:
        """Wait for ever."""
        await asyncio.Event().wait()
        return 0


@dataclass
class KeepingClient(StillClient):
    """A server that has kept this of every request."""

    capture_kept: Capture | None = None

    async def capture(self, _: int) -> Capture:
        """Return it."""
        if self.capture_kept is None:
            raise NotSupported("The server has kept nothing of this request", status=404)
        return self.capture_kept


@dataclass
class RecordedSession(StillSession):
    """A session with a record."""

    recorder: StillRecorder | None = None

    def activity(self) -> StillRecorder:
        """Return the recorder."""
        assert self.recorder is not None
        return self.recorder


def show_record(
    monkeypatch: pytest.MonkeyPatch,
    snapshot: Snapshot,
    folder: Path,
    rows: Iterable[ActivityRow] = FEW,
    capture: Capture | None = None,
    joules: Mapping[tuple[int, str], float] | None = None,
) -> None:
    """Let the app open this snapshot and this record wherever it would open a server."""
    recorder = StillRecorder(folder / FILE_NAME, tuple(rows), joules or {})

    @asynccontextmanager
    async def session(
        server: Server,
        paths: object,
        clock: Clock,
        random: object,
        on_change: Callable[[Snapshot], None],
        on_notice: object = None,
    ) -> AsyncIterator[RecordedSession]:
        on_change(snapshot)
        shown = RecordedSession(server, StillMonitor(snapshot), recorder=recorder)
        shown.client = KeepingClient(capture)
        try:
            yield shown
        finally:
            for store in recorder.opened:
                await store.close()

    monkeypatch.setattr(session_module, "open_session", session)
