"""The live state of one server at one moment, frozen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from aitui.domain.memory.hardware_state import HardwareState
from aitui.domain.models import MAX_MODELS, ActiveRequests, Model, RunState

if TYPE_CHECKING:
    from aitui.domain.config.swap_rules import SwapRules
    from aitui.errors import AituiError


class ConnectionPhase(Enum):
    """Whether aitui is connected to the server."""

    CONNECTING = "connecting"
    LIVE = "live"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """The connection. Times are monotonic seconds, `latency` is that of the last short response.

    `opened_at` is when it was first tried, `last_response_at` when the server last responded, None
    before the first time; `retry_at` is when the next try is due while the connection is lost.
    """

    phase: ConnectionPhase = ConnectionPhase.CONNECTING
    last_response_at: float | None = None
    latency: float | None = None
    error: "AituiError | None" = None
    attempts: int = 0
    retry_at: float | None = None
    opened_at: float | None = None


_NO_HARDWARE = HardwareState()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known about the server.

    `models` keeps the server's order; of a very long list it holds the first, and `total_models`
    counts all of them. `companions` are pairs of ids that were seen ready at the same time: neither
    evicts the other. `certificate_expires_at` is when our client certificate expires (Unix time),
    None if that isn't known. `hardware` is the memory of its machine. `swap_rules` are None if the
    config file wasn't read, or isn't the one that the server runs with.
    """

    connection: ConnectionStatus = field(default_factory=ConnectionStatus)
    models: tuple[Model, ...] = ()
    total_models: int = 0
    requests: ActiveRequests = field(default_factory=ActiveRequests)
    version: str = ""
    events_flow: bool = False
    companions: frozenset[frozenset[str]] = frozenset()
    warnings: tuple[str, ...] = ()
    certificate_expires_at: float | None = None
    hardware: HardwareState = _NO_HARDWARE
    swap_rules: "SwapRules | None" = None

    @property
    def models_note(self) -> str:
        """Return which part of a long list `models` holds, empty if it holds all of them."""
        if self.total_models <= MAX_MODELS:
            return ""
        return f"first {MAX_MODELS:,} of {self.total_models:,}"

    @property
    def resident(self) -> tuple[Model, ...]:
        """The models whose processes exist."""
        return tuple(model for model in self.models if model.resident)

    @property
    def ready(self) -> tuple[Model, ...]:
        """The models that respond at once."""
        return tuple(model for model in self.models if model.state is RunState.READY)

    def model(self, model_id: str) -> Model | None:
        """Return the model of exactly that id."""
        return next((model for model in self.models if model.id == model_id), None)


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds: `monotonic` for ages and pauses, `wall` (Unix time) for what people read."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Paths below the server's URL; `<id>` stands for the model."""

    models: str = "/v1/models"
    running: str = "/running"
    unload: str = "/api/models/unload/<id>"
    unload_all: str = "/api/models/unload"
    upstream_health: str = "/upstream/<id>/health"


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, how to reach it, and what may be done there.

    `url` has no trailing slash, query or user info. `ca`, `client_cert` and `client_key` are None
    if the server needs none: without `ca` the system's trust store is used. `basic_auth` is the
    user and password of the URL. `timeout` is in seconds. `ssh_host` is empty if the host isn't
    administered from here, "local" for this machine. `ssh_home` is the home directory with the SSH
    settings, if it isn't the user's own. `origins` maps a setting's name to the place its value
    came from.
    """

    url: str
    identity: str
    name: str = ""
    is_default: bool = False
    ca: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    client_key_password: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    basic_auth: tuple[str, str] | None = field(default=None, repr=False)
    timeout: float = 300.0
    ssh_host: str = ""
    ssh_home: Path | None = None
    preset_path: str = "~/.config/llama-swap/config.yaml"
    service_unit: str = "llama-swap.service"
    endpoints: Endpoints = field(default_factory=Endpoints)
    color: str = ""
    read_only: bool = False
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The server's name in the header, else the host and port of its URL."""
        return self.name or self.identity.split("://", 1)[-1].split("/", 1)[0]

    @property
    def certificate_files(self) -> tuple[tuple[str, Path], ...]:
        """The certificate files that are set, each with the words for what it is."""
        named = (
            ("certificate authority", self.ca),
            ("client certificate", self.client_cert),
            ("client key", self.client_key),
        )
        return tuple((what, path) for what, path in named if path is not None)
