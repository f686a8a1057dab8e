"""A model as the server lists it, runs it, and as the screen shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from aitui.domain.memory.footprint import Footprint

FALLBACK_CONTEXT_SIZE = 32768


class RunState(Enum):
    """States of a model's process; llama-swap has no state for a load that failed."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    UNKNOWN = "unknown"


class ModelKind(Enum):
    """What an id in the server's list stands for."""

    MODEL = "model"
    ALIAS = "alias"
    PEER = "peer"
    SELECTOR = "selector"
    PROFILE = "profile"


class ContextSource(Enum):
    """Where the figure of a context size comes from, the most trusted first."""

    RUNNING_COMMAND = "the running command"
    CONFIG_FILE = "the config file"
    LAST_COMMAND = "the command it last ran with"
    SERVER_METADATA = "the server's metadata"
    FALLBACK = "the fallback"


@dataclass(frozen=True, slots=True)
class ContextSize:
    """Tokens that fit into the context, and where the figure comes from."""

    tokens: int = FALLBACK_CONTEXT_SIZE
    source: ContextSource = ContextSource.FALLBACK


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One entry of `/v1/models`."""

    id: str
    name: str = ""
    description: str = ""
    kind: ModelKind = ModelKind.MODEL
    aliases: tuple[str, ...] = ()
    peer: str = ""
    targets: tuple[str, ...] = ()
    context_length: int | None = None


@dataclass(frozen=True, slots=True)
class RunningModel:
    """One entry of `/running`; `ttl` in seconds, 0 where it never unloads by itself."""

    id: str
    state: RunState
    command: str = ""
    proxy: str = ""
    ttl: int = 0
    name: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One entry of a `modelStatus` event: every model, with its state, listed or not."""

    id: str
    state: RunState
    name: str = ""
    description: str = ""
    aliases: tuple[str, ...] = ()
    unlisted: bool = False
    peer: str = ""
    context_length: int | None = None


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """A load that vanished: Unix time, the reason in words, the log lines that say so."""

    at: float
    reason: str
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Eviction:
    """A ready model that had to go: Unix time, the model it went for, and whose load that was.

    `whom` is empty where the server doesn't tell.
    """

    at: float
    by: str
    requester: str = ""


@dataclass(frozen=True, slots=True)
class FinishedRequest:
    """A request that ended: Unix time, tokens of the answer and tokens a second, where known."""

    model: str
    at: float | None = None
    tokens: int | None = None
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """Everything known of one model, merged.

    `since` and `last_used` are monotonic seconds: when the present state was first seen, and when
    the model was last known to work. `last_used` is what a TTL counts from; llama-swap doesn't
    report it, so a countdown made of it is an inference. `requested` (monotonic seconds) is set
    while aitui itself waits for it to come up. `expected_load` is in seconds, `rate` in tokens a
    second, as of the last request that ended there, whoever's it was. `memory` is what it takes, or would.
    """

    id: str
    name: str = ""
    description: str = ""
    kind: ModelKind = ModelKind.MODEL
    aliases: tuple[str, ...] = ()
    peer: str = ""
    targets: tuple[str, ...] = ()
    unlisted: bool = False
    state: RunState = RunState.STOPPED
    since: float = 0.0
    context: ContextSize = field(default_factory=ContextSize)
    command: str = ""
    proxy: str = ""
    ttl: int = 0
    last_used: float | None = None
    requests: int | None = None
    reasoning: bool = False
    failed: LoadFailure | None = None
    requested: float | None = None
    expected_load: float | None = None
    rate: float | None = None
    evicted: Eviction | None = None
    memory: Footprint | None = None

    @property
    def resident(self) -> bool:
        """Whether its process exists and holds memory."""
        return self.state is not RunState.STOPPED and self.state is not RunState.UNKNOWN

    @property
    def in_transit(self) -> bool:
        """Whether its state is about to change by itself."""
        return self.state is RunState.STARTING or self.state is RunState.STOPPING

    @property
    def loadable(self) -> bool:
        """Whether this server can start and stop it: peers and selectors run elsewhere."""
        return self.kind is ModelKind.MODEL


@dataclass(frozen=True, slots=True)
class ActiveRequest:
    """One request under way, told by servers from v235 on.

    `started` is monotonic seconds, derived from the age that the server reported.
    """

    id: str
    model: str
    path: str = ""
    client: str = ""
    user_agent: str = ""
    started: float = 0.0
    received_bytes: int = 0
    response_headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ActiveRequests:
    """Requests under way: their number, and who they are where the server tells."""

    total: int | None = None
    running: tuple[ActiveRequest, ...] | None = None
