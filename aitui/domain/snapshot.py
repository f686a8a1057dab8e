"""The live state of one server at one moment, frozen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from aitui.domain.config.swap_rules import SwapRules
from aitui.domain.memory.forecast import HardwareState
from aitui.domain.models import ActiveRequests, Model, RunState
from aitui.errors import AituiError


class ConnectionPhase(Enum):
    """How things stand between aitui and the server."""

    CONNECTING = "connecting"
    LIVE = "live"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """The connection: monotonic seconds, `latency` in seconds of the last short answer.

    `opened` is when it was first tried, `heard` when the server last answered, None before the first
    time; `retry_at` when the next try is due while the server is lost.
    """

    phase: ConnectionPhase = ConnectionPhase.CONNECTING
    last_response_at: float | None = None
    latency: float | None = None
    error: AituiError | None = None
    attempts: int = 0
    retry_at: float | None = None
    opened_at: float | None = None


_NO_HARDWARE = HardwareState()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of the server. `models` keeps the server's order.

    `companions` are pairs of ids that were seen ready side by side: neither evicts the other.
    `certificate_ends` is until when our client certificate is valid (Unix time), None while that
    isn't known. `hardware` is the memory of its machine. `swap_rules` are those by which it runs, None
    where the config file wasn't read, or isn't the one that it runs. `config_note` says that the file
    was changed since the server read it.
    """

    connection: ConnectionStatus = field(default_factory=ConnectionStatus)
    models: tuple[Model, ...] = ()
    requests: ActiveRequests = field(default_factory=ActiveRequests)
    version: str = ""
    events_flow: bool = False
    companions: frozenset[frozenset[str]] = frozenset()
    warnings: tuple[str, ...] = ()
    certificate_expires_at: float | None = None
    hardware: HardwareState = _NO_HARDWARE
    swap_rules: SwapRules | None = None
    config_note: str = ""

    @property
    def resident(self) -> tuple[Model, ...]:
        """The models whose processes exist."""
        return tuple(model for model in self.models if model.resident)

    @property
    def ready(self) -> tuple[Model, ...]:
        """The models that answer at once."""
        return tuple(model for model in self.models if model.state is RunState.READY)

    def model(self, model_id: str) -> Model | None:
        """The model of exactly that id."""
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
    """Where one server is, how to reach it, and what may be done there.

    `url` has no trailing slash, query or user info. `ca`, `client_cert` and `client_key` are None
    where the server needs none: without `ca` the system's trust store is used. `basic_auth` is the
    user and password that stood in the URL. `timeout` is in seconds. `ssh_host` is empty where
    nobody administers the host from here, "local" for this machine. `ssh_home` is the home whose SSH
    set-up is used in the place of the user's own. `origins` maps a setting's
    name to the place its value came from.
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
        """What the header calls it: its name, else the host and port of its URL."""
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
