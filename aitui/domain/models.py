"""A model as the server lists it, runs it, and as the screen shows it."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from operator import attrgetter, is_not

from aitui.domain.llama_server import CommandLine, context_size
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


def fold_aliases(
    listed: Sequence[ListedModel],
    statuses: Sequence[ModelStatus],
    running: Collection[str],
    shown: Collection[str],
) -> tuple[set[str], dict[str, tuple[str, ...]]]:
    """The shown ids that are aliases of another, and every model's aliases, all by id.

    With `includeAliasesInList` an alias is an entry of its own. Newer servers mark it; on older
    ones it is an entry that another model's status claims and that has no status itself.
    """
    owners: dict[str, str] = {}
    aliases: dict[str, dict[str, None]] = {}
    for entry_id, names in _alias_pairs(listed, statuses):
        aliases.setdefault(entry_id, {}).update(dict.fromkeys(names))
        for name in names:
            owners.setdefault(name, entry_id)
    if not owners:
        return set(), {}
    # Of an id that is listed twice the first entry counts.
    entries = {entry.id: entry for entry in reversed(listed)}
    told = {status.id for status in statuses}
    folded: set[str] = set()
    for name, owner in owners.items():
        if name == owner or owner not in shown or owner in folded:
            continue
        entry = entries.get(name)
        if (
            entry is not None
            and entry.kind in {ModelKind.MODEL, ModelKind.ALIAS}
            and name not in told
            and name not in running
        ):
            folded.add(name)
    return folded, {
        owner: tuple(name for name in names if name in folded or name not in shown)
        for owner, names in aliases.items()
    }


def _alias_pairs(
    listed: Iterable[ListedModel], statuses: Iterable[ModelStatus]
) -> Iterable[tuple[str, tuple[str, ...]]]:
    for entry in listed:
        if entry.aliases:
            yield entry.id, entry.aliases
    for status in statuses:
        if status.aliases:
            yield status.id, status.aliases
    for entry in listed:
        if entry.kind is ModelKind.ALIAS and entry.targets:
            yield entry.targets[0], (entry.id,)


def state_changes(
    before: tuple[ModelStatus, ...], after: tuple[ModelStatus, ...]
) -> set[str] | None:
    """The ids whose state alone is told to be another; None where more than that differs."""
    if before is after:
        return set()
    if len(before) != len(after):
        return None
    changed: set[str] = set()
    for old, new in zip(before, after, strict=True):
        if old == new:
            continue
        if replace(old, state=new.state) != new:
            return None
        changed.add(new.id)
    return changed


def differing_keys(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    """The keys whose values differ, or that only one of the two has."""
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def seconds_until_unload(model: Model, now: float) -> float | None:
    """Seconds until the TTL fires, inferred from when the model was last known to work.

    llama-swap starts the TTL anew with every request that ends. None where the model has no TTL,
    isn't ready, or is at work.
    """
    if model.state is not RunState.READY or model.ttl <= 0 or model.requests:
        return None
    last_used = model.since if model.last_used is None else max(model.since, model.last_used)
    return max(0.0, model.ttl - (now - last_used))


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """Names that hold `needle` and match `pattern`; the needle alone is quick to look for."""

    needle: str
    pattern: re.Pattern[str] | None = None

    def matches(self, text: str) -> bool:
        """Whether a lower-case text names a model of this family."""
        return self.needle in text and (self.pattern is None or bool(self.pattern.search(text)))


def _build_family(needle: str, pattern: str | None = None) -> ModelFamily:
    return ModelFamily(needle, re.compile(pattern) if pattern is not None else None)


NEVER = (
    _build_family("embed"),
    _build_family("rerank"),
    _build_family("think", r"(?:non|no|not|without)[-_ ]?think"),
    _build_family("reason", r"(?:non|no|not|without)[-_ ]?reason"),
)

ALWAYS = (
    _build_family("think", r"(?<![a-z])(?:open)?think(?:ing|er)?(?![a-z])"),
    _build_family("reason", r"(?<![a-z])(?:open|ace)?reason(?:ing|er)?(?![a-z])"),
    _build_family("qwq"),
    _build_family("qvq"),
    _build_family(
        "qwen",
        r"qwen[-_ ]?3(?![0-9])(?!(?s:.*)(?:instruct|coder|guard|asr|tts|captioner|no_?think))",
    ),
    _build_family("r1", r"(?<![a-z0-9])(?:o?r1)(?![a-z0-9.])|deepseek[-_ ]?r1"),
    _build_family("o1", r"(?<![a-z0-9.])o1(?![a-z0-9.])"),
    _build_family("oss", r"(?:gpt|seed)[-_ ]?oss"),
    _build_family("minimax", r"minimax[-_ ]?m[1-9]"),
    _build_family("glm", r"glm[-_ ]?(?:4\.[5-9]|[5-9](?![0-9])|z1)"),
    _build_family("magistral"),
    _build_family("nemotron", r"nemotron[-_ 0-9.]*(?:h[-_ ])?(?:nano|super|ultra|cascade)"),
    _build_family("exaone", r"exaone[-_ ]?deep"),
    _build_family("kimi", r"kimi[-_ ]?k(?:1\.[5-9]|2\.[5-9]|[3-9])"),
    _build_family("deepseek", r"deepseek[-_ ]?v3\.2[-_ ]?speciale"),
    _build_family("smollm3"),
    _build_family("hunyuan", r"hunyuan[-_ ]?(?:a13b|t1)"),
    _build_family("ring", r"(?<![a-z])ring[-_ ](?:mini|lite|flash|1t|[12]\.)"),
    _build_family("intern", r"intern[-_ ]?s1"),
    _build_family("mimo", r"(?<![a-z])mimo[-_ ]?(?:v[2-9]|7b[-_ ]rl)"),
)


def is_reasoning(
    model_id: str,
    name: str,
    command: str,
    seen: bool | None = None,  # noqa: FBT001 - the verdict itself, not a switch
) -> bool:
    """Whether a model thinks before it answers.

    What was seen in its answers decides, then the flags of its command, then its id and name.
    """
    if seen is not None:
        return seen
    by_flags = CommandLine.read(command).reasoning if command else None
    return _has_reasoning_name(f"{model_id}\n{name}".lower()) if by_flags is None else by_flags


def _has_reasoning_name(text: str) -> bool:
    return any(family.matches(text) for family in ALWAYS) and not any(
        family.matches(text) for family in NEVER
    )


# The pattern of llama.cpp's `llama_split_path`: prefix-%05d-of-%05d.gguf.
_PART = re.compile(r"-([0-9]{5})-of-([0-9]{5})(?:\.gguf)?\Z", re.IGNORECASE)


def is_shard_artefact(model_id: str) -> bool:
    """Whether an id names a later part of a split model, which can't be loaded by itself.

    The first part is none: llama-server loads the whole model by that name.
    """
    part = _PART.search(model_id)
    return part is not None and part[1] != "00001"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Everything learnt of the models of one server; the mappings are keyed by the model's id.

    `configured_context` and `last_context`, with which a model ran before aitui was started, are in
    tokens, `last_used` and `requested` in monotonic seconds, `expected_load` in seconds, `rates` in
    tokens a second. With `running_lists_only_ready` (llama-swap v217) `/running` is silent about
    models that start or stop, and `statuses` are believed there.
    """

    listed: tuple[ListedModel, ...] = ()
    running: tuple[RunningModel, ...] = ()
    statuses: tuple[ModelStatus, ...] = ()
    configured_context: Mapping[str, int] = field(default_factory=dict)
    last_context: Mapping[str, int] = field(default_factory=dict)
    seen_reasoning: Mapping[str, bool] = field(default_factory=dict)
    failures: Mapping[str, LoadFailure] = field(default_factory=dict)
    requests: ActiveRequests = field(default_factory=ActiveRequests)
    last_used: Mapping[str, float] = field(default_factory=dict)
    expected_load: Mapping[str, float] = field(default_factory=dict)
    requested: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    evicted: Mapping[str, Eviction] = field(default_factory=dict)
    memory: Mapping[str, Footprint] = field(default_factory=dict)
    running_lists_only_ready: bool = False


def merge_models(facts: ModelFacts, previous: tuple[Model, ...], now: float) -> tuple[Model, ...]:
    """The models in the server's order, unlisted ones last.

    `now` is in monotonic seconds. A model that didn't change is the same object as in `previous`,
    and so is the tuple where nothing changed at all. A model that `/running` doesn't list is
    stopped. Later parts of split models are left out unless they run or are waited for.
    """
    return ModelMerger(previous).merge(facts, now)


class ModelMerger:
    """Merges one server's facts again and again, at a cost that goes by what changed.

    `models` are the last ones. The facts that were merged must not be changed afterwards.
    """

    def __init__(self, models: tuple[Model, ...] = ()) -> None:
        self.models = models
        self._view: _FactIndex | None = None
        self._places: dict[str, int] = {}

    def start_from(self, models: tuple[Model, ...]) -> None:
        """Take these for the models that there were before."""
        self.models, self._view = models, None

    def merge(self, facts: ModelFacts, now: float) -> tuple[Model, ...]:
        """The models that follow from the facts, as `merge` has it."""
        changed = None if self._view is None else self._view.models_affected_by(facts)
        if self._view is None or changed is None:
            return self._merge_all(facts, now)
        if not all(model_id in self._places for model_id in changed):
            return self._merge_all(facts, now)
        self._view.update(facts, now)
        models: list[Model] | None = None
        for model_id in changed:
            place = self._places[model_id]
            model = self._view.model(model_id)
            if model is not self.models[place]:
                models = list(self.models) if models is None else models
                models[place] = model
                self._view.remember(model)
        if models is not None:
            self.models = tuple(models)
        return self.models

    def _merge_all(self, facts: ModelFacts, now: float) -> tuple[Model, ...]:
        previous = self.models
        self._view = _FactIndex(facts, previous, now)
        models = tuple(self._view.model(model_id) for model_id in self._view.ids())
        if len(models) != len(previous) or any(map(is_not, models, previous)):
            self.models = models
        for model in models:
            self._view.remember(model)
        self._places = {model.id: place for place, model in enumerate(models)}
        return self.models


class _FactIndex:
    """The facts, found by id."""

    def __init__(self, facts: ModelFacts, previous: tuple[Model, ...], now: float) -> None:
        self._facts = facts
        self._now = now
        self._previous = {model.id: model for model in previous}
        # Of an id that is listed twice the first entry counts, as on the server.
        self._listed = {entry.id: entry for entry in reversed(facts.listed)}
        self._running = {entry.id: entry for entry in reversed(facts.running)}
        self._statuses = {entry.id: entry for entry in reversed(facts.statuses)}
        self._own_ids = self._visible_ids()
        self._aliases_folded, self._aliases = fold_aliases(
            facts.listed, facts.statuses, self._running, self._own_ids
        )
        self._owners = {name: owner for owner, names in self._aliases.items() for name in names}
        self._index_by_owner()

    def remember(self, model: Model) -> None:
        """What was made of the facts is what there was before, the next time."""
        self._previous[model.id] = model

    def models_affected_by(self, facts: ModelFacts) -> set[str] | None:
        """The ids of models that may differ with other facts; None where any may."""
        old = self._facts
        if (
            facts.listed is not old.listed
            or facts.running_lists_only_ready != old.running_lists_only_ready
            or (facts.requests.running is None) != (old.requests.running is None)
        ):
            return None
        told = state_changes(old.statuses, facts.statuses)
        if told is None:
            return None
        running = {entry.id: entry for entry in reversed(facts.running)}
        came_or_went = told | differing_keys(self._running, running)
        if not all(self._is_always_shown(model_id) for model_id in came_or_went):
            return None
        named: set[str] = set()
        for before, after in (
            (old.failures, facts.failures),
            (old.last_used, facts.last_used),
            (old.requested, facts.requested),
            (old.expected_load, facts.expected_load),
            (old.rates, facts.rates),
            (old.evicted, facts.evicted),
            (old.memory, facts.memory),
            (old.configured_context, facts.configured_context),
            (old.last_context, facts.last_context),
            (old.seen_reasoning, facts.seen_reasoning),
            (_count_requests(old.requests), _count_requests(facts.requests)),
        ):
            named |= differing_keys(before, after)
        if any(is_shard_artefact(model_id) for model_id in named):
            return None
        named |= {self._owners[name] for name in named if name in self._owners}
        return came_or_went | ((named & self._own_ids.keys()) - self._aliases_folded)

    def update(self, facts: ModelFacts, now: float) -> None:
        """Go by other facts, of which `changed_by` said which models they change."""
        if facts.statuses is not self._facts.statuses:
            self._statuses = {entry.id: entry for entry in reversed(facts.statuses)}
        self._facts, self._now = facts, now
        self._running = {entry.id: entry for entry in reversed(facts.running)}
        self._index_by_owner()

    def _index_by_owner(self) -> None:
        facts, owners = self._facts, self._owners
        self._requests = _requests_by_model(facts.requests, owners)
        self._last_used = _latest_by_model(facts.last_used, owners)
        self._rates = {owners.get(name, name): rate for name, rate in facts.rates.items()}

    def _is_always_shown(self, model_id: str) -> bool:
        """Whether it is shown however it runs, and as nobody's alias."""
        return (
            model_id in self._listed
            and model_id not in self._owners
            and not is_shard_artefact(model_id)
        )

    def ids(self) -> Iterable[str]:
        """The ids of the models, aliases that were folded into theirs left out."""
        return (model_id for model_id in self._own_ids if model_id not in self._aliases_folded)

    def model(self, model_id: str) -> Model:
        """The model of that id, made of everything that is known of it."""
        facts = self._facts
        listed = self._listed.get(model_id, _NOT_LISTED)
        running = self._running.get(model_id, _NOT_RUNNING)
        status = self._statuses.get(model_id, _NO_STATUS)
        before = self._previous.get(model_id, _NEW)
        state = self._state(model_id)
        since = before.since if before is not _NEW and before.state is state else self._now
        name = listed.name or status.name or running.name
        # In the order of Model's fields: comparing them costs a tenth of making a Model of them.
        values = (
            model_id,
            name,
            listed.description or status.description or running.description,
            ModelKind.PEER if status.peer and listed.kind is ModelKind.MODEL else listed.kind,
            self._aliases.get(model_id, ()),
            listed.peer or status.peer,
            listed.targets,
            listed is _NOT_LISTED and (bool(facts.listed) or status.unlisted),
            state,
            since,
            self._context(model_id, running.command, before),
            running.command,
            running.proxy,
            running.ttl,
            self._last_used.get(model_id, since if state is RunState.READY else None),
            self._requests.get(model_id, 0) if self._requests is not None else None,
            self._reasoning(model_id, name, running.command, before),
            facts.failures.get(model_id) if state is RunState.STOPPED else None,
            facts.requested.get(model_id),
            facts.expected_load.get(model_id),
            self._rates.get(model_id),
            facts.evicted.get(model_id) if state is RunState.STOPPED else None,
            facts.memory.get(model_id),
        )
        return before if _values_of(before) == values else Model(*values)

    def _visible_ids(self) -> dict[str, None]:
        """Every id to be shown, as an ordered set.

        A status that is neither listed nor unlisted is older than the list, or came before it.
        """
        facts = self._facts
        ids = dict.fromkeys(entry.id for entry in facts.listed)
        for status in facts.statuses:
            if status.unlisted or not facts.listed:
                ids[status.id] = None
        ids.update(dict.fromkeys(entry.id for entry in facts.running))
        hidden = [
            model_id
            for model_id in ids
            if is_shard_artefact(model_id)
            and model_id not in self._running
            and self._state(model_id) is RunState.STOPPED
            and model_id not in facts.requested
        ]
        for model_id in hidden:
            del ids[model_id]
        return ids

    def _state(self, model_id: str) -> RunState:
        running = self._running.get(model_id)
        if running is not None:
            return running.state
        if self._facts.running_lists_only_ready:
            status = self._statuses.get(model_id, _NO_STATUS)
            if status.state in {RunState.STARTING, RunState.STOPPING}:
                return status.state
        return RunState.STOPPED

    def _context(self, model_id: str, command: str, before: Model) -> ContextSize:
        told = before.context
        if command:
            if before.command == command and told.source is ContextSource.RUNNING_COMMAND:
                return told
            tokens = context_size(command)
            if tokens:
                return ContextSize(tokens, ContextSource.RUNNING_COMMAND)
        configured = self._facts.configured_context.get(model_id)
        if configured is not None and configured > 0:
            return ContextSize(configured, ContextSource.CONFIG_FILE)
        ran_with = self._facts.last_context.get(model_id)
        if told.source in _FROM_COMMAND:
            ran_with = told.tokens
        if not command and ran_with:
            return ContextSize(ran_with, ContextSource.LAST_COMMAND)
        for entry in (self._listed.get(model_id), self._statuses.get(model_id)):
            told_by_server = entry.context_length if entry is not None else None
            if told_by_server is not None and told_by_server > 0:
                return ContextSize(told_by_server, ContextSource.SERVER_METADATA)
        return _FALLBACK

    def _reasoning(self, model_id: str, name: str, command: str, before: Model) -> bool:
        """What was seen once stands until the name or the command changes."""
        seen = self._facts.seen_reasoning.get(model_id)
        known = before is not _NEW and before.name == name and before.command == command
        if seen is None and known:
            return before.reasoning
        return is_reasoning(model_id, name, command, seen)


_values_of = attrgetter(*(each.name for each in fields(Model)))
_NEW = Model("")
_NOT_LISTED = ListedModel("")
_NOT_RUNNING = RunningModel("", RunState.STOPPED)
_NO_STATUS = ModelStatus("", RunState.STOPPED, unlisted=True)
_FALLBACK = ContextSize()
_FROM_COMMAND = {ContextSource.RUNNING_COMMAND, ContextSource.LAST_COMMAND}


def _count_requests(requests: ActiveRequests) -> Counter[str]:
    return Counter(request.model for request in requests.running or ())


def _requests_by_model(
    requests: ActiveRequests, owners: Mapping[str, str]
) -> dict[str, int] | None:
    if requests.running is None:
        return None
    return Counter(owners.get(request.model, request.model) for request in requests.running)


def _latest_by_model(times: Mapping[str, float], owners: Mapping[str, str]) -> dict[str, float]:
    latest: dict[str, float] = {}
    for name, time in times.items():
        model_id = owners.get(name, name)
        latest[model_id] = max(time, latest.get(model_id, time))
    return latest


def version_number(version: str) -> int | None:
    """218 of `218`, `v218` and `218-dirty`; None for a build of somebody's own."""
    number = version.removeprefix("v").split("-")[0].split(".")[0]
    return int(number) if number.isdecimal() and len(number) < 10 else None
