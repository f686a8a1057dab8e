"""The live state of one server at one moment, frozen."""

from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct, field

from aitui.domain.hues import Hues
from aitui.domain.memory.hardware_state import HardwareState
from aitui.domain.models import MAX_MODELS, ActiveRequests, FinishedRequest, Model, RunState
from aitui.domain.release import UNKNOWN, ServerRelease
from aitui.domain.server import Clock, Endpoints, Server

if TYPE_CHECKING:
    from aitui.domain.config.swap_rules import SwapRules
    from aitui.domain.memory.forecast import FitForecast
    from aitui.errors import AituiError


__all__ = ["Clock", "ConnectionPhase", "ConnectionStatus", "Endpoints", "Server", "Snapshot"]


class ConnectionPhase(Enum):
    """Whether aitui is connected to the server."""

    CONNECTING = "connecting"
    LIVE = "live"
    LOST = "lost"


class ConnectionStatus(Struct, frozen=True):
    """The connection. Times are monotonic seconds, `latency` is that of the last short response.

    `opened_at` is when it was first tried, `last_response_at` when the server last responded, None
    before the first time; `lost_at` is when the first request was sent that failed since then, and
    `retry_at` when the next try is due while the connection is lost.
    """

    phase: ConnectionPhase = ConnectionPhase.CONNECTING
    last_response_at: float | None = None
    latency: float | None = None
    error: "AituiError | None" = None
    attempts: int = 0
    retry_at: float | None = None
    opened_at: float | None = None
    lost_at: float | None = None


_NO_HARDWARE = HardwareState()
_NO_HUES = Hues()


class Snapshot(Struct, frozen=True):
    """What is known about the server.

    `models` keeps the server's order; of a very long list it holds the first, and `total_models`
    counts all of them. `companions` are pairs of ids that were seen ready at the same time: neither
    evicts the other. `finished` are requests that have ended, the newest first.
    `certificate_expires_at` is when our client certificate expires (Unix time), None if that isn't
    known. `hardware` is the memory of its machine. `swap_rules` are None if the config file wasn't
    read, or isn't the one that the server runs with. `version` is what the server says, `release`
    what it can be by its routes. `config_note` says that the file was changed since the server read
    it, `config_doubt` that it may have been. `hues` are those of the models that run or were seen
    running within an hour. `generation_rate` is the tokens per second that all clients together get
    now, None where that isn't known. `profile` is the active one, if any. `restart_by` is set while aitui restarts the server: until
    then (monotonic seconds) that may wait for requests to end.
    """

    connection: ConnectionStatus = field(default_factory=ConnectionStatus)
    models: tuple[Model, ...] = ()
    total_models: int = 0
    requests: ActiveRequests = field(default_factory=ActiveRequests)
    finished: tuple[FinishedRequest, ...] = ()
    version: str = ""
    release: ServerRelease = UNKNOWN
    events_flow: bool = False
    companions: frozenset[frozenset[str]] = frozenset()
    warnings: tuple[str, ...] = ()
    certificate_expires_at: float | None = None
    hardware: HardwareState = _NO_HARDWARE
    swap_rules: "SwapRules | None" = None
    config_note: str = ""
    config_doubt: str = ""
    hues: Hues = _NO_HUES
    generation_rate: float | None = None
    restart_by: float | None = None
    profile: str = ""

    @property
    def models_note(self) -> str:
        """Return which part of a long list `models` holds, "" if all of it."""
        if self.total_models <= MAX_MODELS:
            return ""
        return f"first {MAX_MODELS:,} of {self.total_models:,}"

    @property
    def version_name(self) -> str:
        """The server's version as its releases are named, `v263`: it reports only the number."""
        return f"v{self.version}" if self.version[:1].isdigit() else self.version

    @property
    def resident(self) -> tuple[Model, ...]:
        """The models that have a process."""
        return tuple(model for model in self.models if model.resident)

    @property
    def ready(self) -> tuple[Model, ...]:
        """The models that respond at once."""
        return tuple(model for model in self.models if model.state is RunState.READY)

    def fit_alone(self, model_id: str, context_size: int) -> "FitForecast":
        """Forecast whether a model fits at a context size once everything else is unloaded."""
        return self.hardware.fit(model_id, context_size, [model.id for model in self.resident])

    def model(self, model_id: str) -> Model | None:
        """Return the model of exactly that id."""
        return next((model for model in self.models if model.id == model_id), None)
