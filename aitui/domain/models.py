"""Models as the server lists and runs them, and as the screen shows them."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct, field

from aitui.domain.memory.footprint import Footprint
from aitui.domain.units import format_tokens

if TYPE_CHECKING:
    from aitui.domain.llama_server import CommandLine

FALLBACK_CONTEXT_SIZE = 32768
MAX_MODELS = 5000
"""The maximum of models that a merge keeps, besides those that run: each poll merges all, 1,000 in 5 ms."""
MOST_REQUESTS = 500
MOST_REQUESTS_COUNTED = 20_000


class RunState(Enum):
    """States of a model's process; llama-swap has no state for a load that failed."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    UNKNOWN = "unknown"


class ModelKind(Enum):
    """The kinds of entries in the server's list."""

    MODEL = "model"
    ALIAS = "alias"
    PEER = "peer"
    SELECTOR = "selector"
    PROFILE = "profile"


class ContextSource(Enum):
    """The origins of a context size, the most trusted first."""

    RUNNING_COMMAND = "from the running command"
    CONFIG_FILE = "from the config file"
    LAST_COMMAND = "from its last command"
    SERVER_METADATA = "from the server's metadata"
    FALLBACK = "assumed (not reported by the server)"


class ContextSize(Struct, frozen=True):
    """Tokens that fit into the context, and where the figure comes from."""

    tokens: int = FALLBACK_CONTEXT_SIZE
    source: ContextSource = ContextSource.FALLBACK

    @property
    def label(self) -> str:
        """As a table shows it: "128k", or "32k?" if it is assumed."""
        return format_tokens(self.tokens) + "?" * (self.source is ContextSource.FALLBACK)

    @property
    def known_tokens(self) -> int:
        """The tokens, 0 if the figure is only assumed."""
        return 0 if self.source is ContextSource.FALLBACK else self.tokens


class ListedModel(Struct, frozen=True):
    """One entry of `/v1/models`."""

    id: str
    name: str = ""
    description: str = ""
    kind: ModelKind = ModelKind.MODEL
    aliases: tuple[str, ...] = ()
    peer: str = ""
    targets: tuple[str, ...] = ()
    context_length: int | None = None


class RunningModel(Struct, frozen=True):
    """One entry of `/running`; a `ttl` of 0 seconds means no idle timeout."""

    id: str
    state: RunState
    command: str = ""
    proxy: str = ""
    ttl: int = 0
    name: str = ""
    description: str = ""


class ModelStatus(Struct, frozen=True):
    """One entry of a `modelStatus` event: every model, with its state, listed or not.

    `ready_at` is monotonic seconds; `progress` of a load goes from 0 to 1, and may go back.
    """

    id: str
    state: RunState
    name: str = ""
    description: str = ""
    aliases: tuple[str, ...] = ()
    unlisted: bool = False
    peer: str = ""
    context_length: int | None = None
    ready_at: float | None = None
    progress: float | None = None
    progress_note: str = ""


class LoadFailure(Struct, frozen=True):
    """A load that failed: Unix time, the reason in words, the log lines that show it.

    `crashed` is set if the model was ready already.
    """

    at: float
    reason: str
    log: tuple[str, ...] = ()
    crashed: bool = False


class Eviction(Struct, frozen=True):
    """A ready model that was unloaded at `at` (Unix time) to make room for the model `by`.

    `requester` is the client that asked for that one, empty if the server doesn't report clients.
    """

    at: float
    by: str
    requester: str = ""


class IdleUnload(Struct, frozen=True):
    """A ready model that llama-swap unloaded at `at` (Unix time): its timeout of `ttl` seconds was over.

    `unused` is set if it had not been ready for that long: no request had ever been answered.
    """

    at: float
    ttl: float
    unused: bool = False


class ClientUnload(Struct, frozen=True):
    """A ready model that another client had unloaded at `at` (Unix time); `client` as it is shown."""

    at: float
    client: str = ""


class FinishedRequest(Struct, frozen=True):
    """A request that ended at `at` (Unix time); what is None or empty isn't known.

    `tokens` are those of the reply, `prompt` those of the prompt with the `cached` ones, `rate` and
    `prompt_rate` tokens per second; of the `drafted` tokens some were `accepted`. `client` is an
    address, `who` the client as shown, `agent` its User-Agent, `session` the id that it sent. `status`
    is that of the response. `first_token` is how many seconds after the request the reply was seen to
    begin.
    """

    model: str
    at: float | None = None
    tokens: int | None = None
    rate: float | None = None
    id: int | None = None
    client: str = ""
    who: str = ""
    path: str = ""
    status: int | None = None
    error: str = ""
    prompt: int | None = None
    cached: int | None = None
    prompt_rate: float | None = None
    seconds: float | None = None
    drafted: int | None = None
    accepted: int | None = None
    agent: str = ""
    session: str = ""
    first_token: float | None = None
    has_capture: bool = False


@lru_cache(32)
def read_command(command: str, named: frozenset[str]) -> "CommandLine":
    """Read the arguments of a running command; `named` are more programs that count as llama-servers."""
    # With the first command: a list of models that don't run needs none of it (14 ms).
    from aitui.domain.llama_server import CommandLine

    return CommandLine.read(command, named)


class Model(Struct, frozen=True):
    """Everything known about one model, merged.

    `since` and `last_used` are monotonic seconds: when the present state began, and when the model
    was last known to work. `dated` is False if the state is older than what aitui saw of it.
    `progress` from 0 to 1 and `progress_note` are reported by few loads. `requested` (monotonic
    seconds) is set while aitui itself waits for the model to become ready, `queued` while a request
    that aitui gave up may still be in the server's queue. `expected_load` is in seconds, `rate` is
    the tokens per second of the last request that ended. `memory` is what the model takes, or would
    take. `unread` is set for a block of the config file that the server hasn't read yet.
    """

    id: str
    name: str = ""
    description: str = ""
    kind: ModelKind = ModelKind.MODEL
    aliases: tuple[str, ...] = ()
    peer: str = ""
    targets: tuple[str, ...] = ()
    unlisted: bool = False
    unread: bool = False
    state: RunState = RunState.STOPPED
    since: float = 0.0
    dated: bool = True
    progress: float | None = None
    progress_note: str = ""
    context: ContextSize = field(default_factory=ContextSize)
    command: str = ""
    proxy: str = ""
    ttl: int = 0
    last_used: float | None = None
    requests: int | None = None
    reasoning: bool = False
    failed: LoadFailure | None = None
    requested: float | None = None
    queued: float | None = None
    expected_load: float | None = None
    rate: float | None = None
    evicted: Eviction | None = None
    timed_out: IdleUnload | None = None
    unloaded: ClientUnload | None = None
    memory: "Footprint | None" = None
    llama_servers: frozenset[str] = frozenset()

    @property
    def command_line(self) -> "CommandLine":
        """Return the arguments of its llama-server, none if it runs another program."""
        return read_command(self.command, self.llama_servers)

    @property
    def resident(self) -> bool:
        """Whether its process exists and holds memory."""
        return self.state is not RunState.STOPPED and self.state is not RunState.UNKNOWN

    @property
    def is_awaited(self) -> bool:
        """Whether aitui waits for it, or left a request for it in the server's queue."""
        return self.requested is not None or self.queued is not None

    def uptime(self, now: float) -> float | None:
        """Return for how many seconds it has been ready, None if it isn't or that is unknown."""
        ready = self.state is RunState.READY and self.dated
        return max(0.0, now - self.since) if ready else None

    @property
    def in_transit(self) -> bool:
        """Whether its state is about to change by itself."""
        return self.state is RunState.STARTING or self.state is RunState.STOPPING

    @property
    def loadable(self) -> bool:
        """Whether this server can start and stop it: peers and selectors run elsewhere."""
        return self.kind is ModelKind.MODEL and not self.unread


class ActiveRequest(Struct, frozen=True):
    """One request under way; servers report these from v235 on.

    `started` is monotonic seconds, derived from the age that the server reported. `who` is its
    client as shown, empty if that wasn't found out yet. `replied` is when the first of its reply was
    seen (monotonic seconds), `tokens` and `rate` (a second) are those of the reply: estimated from
    bytes unless `exact`, None if that isn't possible.
    """

    id: str
    model: str
    path: str = ""
    client: str = ""
    user_agent: str = ""
    started: float = 0.0
    received_bytes: int = 0
    who: str = ""
    response_headers: Mapping[str, str] = field(default_factory=dict)
    replied: float | None = None
    tokens: int | None = None
    rate: float | None = None
    exact: bool = False
    session: str = ""


class ActiveRequests(Struct, frozen=True):
    """The requests under way: how many, and the first MOST_REQUESTS, if the server reports them."""

    total: int | None = None
    running: tuple[ActiveRequest, ...] | None = None

    @property
    def unlisted(self) -> int:
        """Return how many requests `running` leaves out."""
        return 0 if self.running is None else (self.total or 0) - len(self.running)


def seconds_until_unload(model: Model, now: float) -> float | None:
    """Seconds until the idle timeout, None if the model has none, isn't ready, or is at work.

    This is an inference: llama-swap restarts the timeout whenever a request ends, and doesn't
    report when that was.
    """
    if model.state is not RunState.READY or model.ttl <= 0 or model.requests:
        return None
    last_used = model.since if model.last_used is None else max(model.since, model.last_used)
    return max(0.0, model.ttl - (now - last_used))


def find_model(wanted: str, models: Iterable[Model]) -> Model | None:
    """Return the model of exactly that id, else the one with exactly that alias."""
    by_alias: Model | None = None
    for model in models:
        if model.id == wanted:
            return model
        if by_alias is None and wanted in model.aliases:
            by_alias = model
    return by_alias


# llama.cpp's `llama_split_path` names the files of a split model prefix-%05d-of-%05d.gguf, and
# llama-server loads all of them by the name of the first.
_SHARD = r"(?i)-([0-9]{5})-of-([0-9]{5})(?:\.gguf)?\Z"


class Shard(Struct, frozen=True):
    """One file of a split model: what its name begins with, its number and how many there are."""

    prefix: str
    number: int
    count: int


def parse_shard(name: str) -> Shard | None:
    """Read the name of a shard, with or without `.gguf`; None for any other name."""
    found = re.search(_SHARD, name)
    return Shard(name[: found.start()], int(found[1]), int(found[2])) if found else None


def is_later_shard(name: str) -> bool:
    """Whether a name is of a shard that can't be loaded by itself: any but the first."""
    shard = parse_shard(name)
    return shard is not None and shard.number != 1


_COUNTED = ("ready", "loading", "stopping", "waiting", "failed", "crashed")


def state_counts(models: Iterable[Model]) -> tuple[str, ...]:
    """Count the models by what they do: "2 ready", "1 loading", "1 failed"."""
    counts = Counter(map(_counted_state, models))
    return tuple(f"{counts[word]} {word}" for word in _COUNTED if counts[word])


def _counted_state(model: Model) -> str:
    match model.state:
        case RunState.READY:
            return "ready"
        case RunState.STARTING:
            return "loading"
        case RunState.STOPPING:
            return "stopping"
    if model.is_awaited:
        return "waiting"
    return "" if model.failed is None else "crashed" if model.failed.crashed else "failed"
