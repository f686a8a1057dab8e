"""The models that follow from everything a server reports, merged on every poll.

`/running` is the truth about what runs; the list, the events and the config file add the rest.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import is_
from typing import TypeVar

from msgspec import Struct, field

from aitui.domain.memory.footprint import Footprint
from aitui.domain.models import (
    MAX_MODELS,
    ActiveRequests,
    ClientUnload,
    ContextSize,
    ContextSource,
    Eviction,
    IdleUnload,
    ListedModel,
    LoadFailure,
    Model,
    ModelKind,
    ModelStatus,
    RunningModel,
    RunState,
    is_later_shard,
    read_command,
)


class ModelFacts(Struct):
    """Everything known about the models of one server, filled in as it becomes known.

    The mappings are keyed by the model's id. `configured` are the blocks of a config file that the
    server may not have read yet, each with its aliases. `configured_context` and `last_context`, with which a
    model ran before aitui was started, are in tokens, `last_used`, `requested` and `queued` in
    monotonic seconds, `expected_loads` in seconds by context size, with 0 for an unknown one, `rates`
    in tokens per second. With `running_lists_only_ready` (llama-swap v217) `/running` omits models
    that start or stop, so `statuses` count for those.
    """

    listed: tuple[ListedModel, ...] = ()
    running: tuple[RunningModel, ...] = ()
    statuses: tuple[ModelStatus, ...] = ()
    configured: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    configured_context: Mapping[str, int] = field(default_factory=dict)
    last_context: Mapping[str, int] = field(default_factory=dict)
    seen_reasoning: Mapping[str, bool] = field(default_factory=dict)
    failures: dict[str, LoadFailure] = field(default_factory=dict)
    requests: ActiveRequests = field(default_factory=ActiveRequests)
    last_used: dict[str, float] = field(default_factory=dict)
    expected_loads: dict[str, Mapping[int, float]] = field(default_factory=dict)
    requested: dict[str, float] = field(default_factory=dict)
    queued: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    evicted: dict[str, Eviction] = field(default_factory=dict)
    timed_out: dict[str, IdleUnload] = field(default_factory=dict)
    unloaded: dict[str, ClientUnload] = field(default_factory=dict)
    memory: Mapping[str, "Footprint"] = field(default_factory=dict)
    running_lists_only_ready: bool = False
    llama_servers: frozenset[str] = frozenset()


def merge_models(facts: ModelFacts, previous: tuple[Model, ...], now: float) -> tuple[Model, ...]:
    """Return the models in the server's order, unlisted ones last.

    `now` is in monotonic seconds. A model that didn't change is the same object as in `previous`,
    and so is the tuple if nothing changed at all. A model that `/running` doesn't list is stopped.
    Later shards of split models are left out unless they run or are waited for. Of more than
    MAX_MODELS the first are kept, and those that run or are waited for.
    """
    # Merging all of 1,000 models takes 5 ms, so finding out which of them changed is not worth it.
    index = _FactIndex(facts)
    before = {model.id: model for model in previous}
    models = tuple(
        _merge_model(model_id, facts, index, before.get(model_id), now)
        for number, model_id in enumerate(index.ids)
        if number < MAX_MODELS or model_id in index.running or model_id in facts.requested
    )
    unchanged = len(models) == len(previous) and all(map(is_, models, previous))
    return previous if unchanged else models


def count_models(facts: ModelFacts) -> int:
    """Return how many models there are, also of those that a merge leaves out."""
    return len(_FactIndex(facts).ids)


_Entry = TypeVar("_Entry", ListedModel, RunningModel, ModelStatus)


def _by_id(entries: Sequence[_Entry]) -> dict[str, _Entry]:
    # Of an id that is listed twice the first entry counts, as on the server.
    return {entry.id: entry for entry in reversed(entries)}


class _FactIndex:
    """The facts by the model's id, those known under an alias by the id of its owner."""

    def __init__(self, facts: ModelFacts) -> None:
        self._facts = facts
        self.listed, self.running = _by_id(facts.listed), _by_id(facts.running)
        self.statuses = _by_id(facts.statuses)
        visible = self._visible_ids()
        self.unread = self._unread_ids(visible)
        visible.update(self.unread)
        folded, self.aliases = self._fold_aliases(visible)
        self.ids = [model_id for model_id in visible if model_id not in folded]
        owners = {name: owner for owner, names in self.aliases.items() for name in names}
        self.last_used: dict[str, float] = {}
        for name, used in facts.last_used.items():
            owner = owners.get(name, name)
            self.last_used[owner] = max(used, self.last_used.get(owner, used))
        self.requests: Mapping[str, int] | None = None
        if facts.requests.running is not None:
            models = (request.model for request in facts.requests.running)
            self.requests = Counter(owners.get(model, model) for model in models)
        self.rates = {owners.get(name, name): rate for name, rate in facts.rates.items()}

    def _visible_ids(self) -> dict[str, None]:
        """Return every id to show, as an ordered set.

        A status that is neither listed nor unlisted is older than the list, or came before it.
        """
        facts = self._facts
        ids = dict.fromkeys(entry.id for entry in facts.listed)
        shown = (one for one in facts.statuses if one.unlisted or not facts.listed)
        ids.update((status.id, None) for status in shown)
        ids.update(dict.fromkeys(self.running))
        for model_id in [each for each in ids if is_later_shard(each)]:
            stopped = self.run_state(model_id) is RunState.STOPPED
            if stopped and model_id not in self.running and model_id not in facts.requested:
                del ids[model_id]
        return ids

    def _unread_ids(self, visible: Collection[str]) -> dict[str, None]:
        """Return the blocks of the config file that the server doesn't know by any of their names.

        They are in the order of the file. Without a list from the server none of them is unread.
        """
        facts = self._facts
        if not (facts.configured and facts.listed):
            return {}
        known = {*visible, *self.statuses}
        known.update(name for _, names in _alias_pairs(facts) for name in names)
        return {
            model_id: None
            for model_id, aliases in facts.configured.items()
            if known.isdisjoint((model_id, *aliases))
        }

    def _fold_aliases(
        self, visible: Collection[str]
    ) -> tuple[set[str], dict[str, tuple[str, ...]]]:
        """Return the visible ids that are aliases of another, and every model's aliases by its id.

        With `includeAliasesInList` an alias is an entry of its own. Newer servers mark it; on older
        ones it is an entry that another model's status claims and that has no status itself.
        """
        owners: dict[str, str] = {}
        aliases: dict[str, dict[str, None]] = {}
        for owner, names in _alias_pairs(self._facts):
            aliases.setdefault(owner, {}).update(dict.fromkeys(names))
            for name in names:
                owners.setdefault(name, owner)
        folded: set[str] = set()
        for name, owner in owners.items():
            entry = self.listed.get(name)
            if (
                entry is not None
                and entry.kind in {ModelKind.MODEL, ModelKind.ALIAS}
                and name != owner
                and owner in visible
                and owner not in folded
                and name not in self.statuses
                and name not in self.running
            ):
                folded.add(name)
        return folded, {
            owner: tuple(name for name in names if name in folded or name not in visible)
            for owner, names in aliases.items()
        }

    def run_state(self, model_id: str) -> RunState:
        """Return the state of a model's process."""
        if (entry := self.running.get(model_id)) is not None:
            return entry.state
        if self._facts.running_lists_only_ready:
            status = self.statuses.get(model_id, _NO_STATUS)
            if status.state in {RunState.STARTING, RunState.STOPPING}:
                return status.state
        return RunState.STOPPED


def _alias_pairs(facts: ModelFacts) -> Iterable[tuple[str, tuple[str, ...]]]:
    every: tuple[ListedModel | ModelStatus, ...] = (*facts.listed, *facts.statuses)
    for known in every:
        if known.aliases:
            yield known.id, known.aliases
    for entry in facts.listed:
        if entry.kind is ModelKind.ALIAS and entry.targets:
            yield entry.targets[0], (entry.id,)


_NOT_LISTED = ListedModel("")
_NOT_RUNNING = RunningModel("", RunState.STOPPED)
_SAME_START = 2.0
"""Seconds that two reports of one start may differ by: polls, and times in whole milliseconds."""
_NO_STATUS = ModelStatus("", RunState.STOPPED, unlisted=True)


def _merge_model(
    model_id: str, facts: ModelFacts, index: _FactIndex, before: Model | None, now: float
) -> Model:
    listed = index.listed.get(model_id, _NOT_LISTED)
    running = index.running.get(model_id, _NOT_RUNNING)
    status = index.statuses.get(model_id, _NO_STATUS)
    state = index.run_state(model_id)
    since, dated = _begin(state, status, before, now)
    loads = state is RunState.STARTING and status.state is RunState.STARTING
    name = listed.name or status.name or running.name
    seen_reasoning = facts.seen_reasoning.get(model_id)
    if (
        seen_reasoning is None
        and before is not None
        and (before.name, before.command) == (name, running.command)
    ):
        # What was seen once stands until the name or the command changes.
        seen_reasoning = before.reasoning
    context = _context_size(model_id, facts, running.command, before, (listed, status))
    model = Model(
        id=model_id,
        name=name,
        description=listed.description or status.description or running.description,
        kind=ModelKind.PEER if status.peer and listed.kind is ModelKind.MODEL else listed.kind,
        aliases=index.aliases.get(model_id, ()),
        peer=listed.peer or status.peer,
        targets=listed.targets,
        unlisted=listed is _NOT_LISTED
        and model_id not in index.unread
        and (bool(facts.listed) or status.unlisted),
        unread=model_id in index.unread,
        state=state,
        since=since,
        dated=dated,
        progress=status.progress if loads else None,
        progress_note=status.progress_note if loads else "",
        context=context,
        command=running.command,
        proxy=running.proxy,
        ttl=running.ttl,
        last_used=index.last_used.get(model_id, since if state is RunState.READY else None),
        requests=None if index.requests is None else index.requests.get(model_id, 0),
        reasoning=is_reasoning(
            model_id, name, running.command, seen_reasoning, named=facts.llama_servers
        ),
        failed=facts.failures.get(model_id) if state is RunState.STOPPED else None,
        requested=facts.requested.get(model_id),
        queued=facts.queued.get(model_id),
        expected_load=facts.expected_loads.get(model_id, _NO_LOADS).get(context.known_tokens),
        rate=index.rates.get(model_id),
        evicted=facts.evicted.get(model_id) if state is RunState.STOPPED else None,
        timed_out=facts.timed_out.get(model_id) if state is RunState.STOPPED else None,
        unloaded=facts.unloaded.get(model_id) if state is RunState.STOPPED else None,
        memory=facts.memory.get(model_id),
        llama_servers=facts.llama_servers,
    )
    return before if before is not None and before == model else model


def _begin(
    state: RunState, status: ModelStatus, before: Model | None, now: float
) -> tuple[float, bool]:
    """Return when a state began (monotonic seconds), and whether that is known."""
    same = before is not None and before.state is state
    ready_at = status.ready_at if state is RunState.READY is status.state else None
    if before is not None and (not same or before.dated):
        since = before.since if same else now
        # A status that came before the last start is about an older run.
        newer = same and ready_at is not None and ready_at > since + _SAME_START
        return (ready_at if newer and ready_at is not None else since), True
    if ready_at is not None:
        return ready_at, True
    return (now if before is None else before.since), False


_FALLBACK = ContextSize()
_NO_LOADS: Mapping[int, float] = {}


def _context_size(
    model_id: str,
    facts: ModelFacts,
    command: str,
    before: Model | None,
    entries: Iterable[ListedModel | ModelStatus],
) -> ContextSize:
    known = _FALLBACK if before is None else before.context
    if command:
        tokens, _ = _read_command(command, facts.llama_servers)
        if tokens:
            return ContextSize(tokens, ContextSource.RUNNING_COMMAND)
    configured = facts.configured_context.get(model_id, 0)
    if configured > 0:
        return ContextSize(configured, ContextSource.CONFIG_FILE)
    last = facts.last_context.get(model_id)
    if known.source is ContextSource.RUNNING_COMMAND or known.source is ContextSource.LAST_COMMAND:
        last = known.tokens
    if last and not command:
        return ContextSize(last, ContextSource.LAST_COMMAND)
    for entry in entries:
        if entry.context_length is not None and entry.context_length > 0:
            return ContextSize(entry.context_length, ContextSource.SERVER_METADATA)
    return _FALLBACK


# Words that a model's id or name holds, in lower case, and the pattern that must match as well. The
# word alone rules most names out, which is much quicker than searching for every pattern.
_NOT_REASONING = (
    ("embed", ""),
    ("rerank", ""),
    ("think", r"(?:non|no|not|without)[-_ ]?think"),
    ("reason", r"(?:non|no|not|without)[-_ ]?reason"),
)
_REASONING = (
    ("think", r"(?<![a-z])(?:open)?think(?:ing|er)?(?![a-z])"),
    ("reason", r"(?<![a-z])(?:open|ace)?reason(?:ing|er)?(?![a-z])"),
    ("qwq", ""),
    ("qvq", ""),
    (
        "qwen",
        r"qwen[-_ ]?3(?![0-9])(?!(?s:.*)(?:instruct|coder|guard|asr|tts|captioner|no_?think))",
    ),
    ("r1", r"(?<![a-z0-9])(?:o?r1)(?![a-z0-9.])|deepseek[-_ ]?r1"),
    ("o1", r"(?<![a-z0-9.])o1(?![a-z0-9.])"),
    ("oss", r"(?:gpt|seed)[-_ ]?oss"),
    ("minimax", r"minimax[-_ ]?m[1-9]"),
    ("glm", r"glm[-_ ]?(?:4\.[5-9]|[5-9](?![0-9])|z1)"),
    ("magistral", ""),
    ("nemotron", r"nemotron[-_ 0-9.]*(?:h[-_ ])?(?:nano|super|ultra|cascade)"),
    ("exaone", r"exaone[-_ ]?deep"),
    ("kimi", r"kimi[-_ ]?k(?:1\.[5-9]|2\.[5-9]|[3-9])"),
    ("deepseek", r"deepseek[-_ ]?v3\.2[-_ ]?speciale"),
    ("smollm3", ""),
    ("hunyuan", r"hunyuan[-_ ]?(?:a13b|t1)"),
    ("ring", r"(?<![a-z])ring[-_ ](?:mini|lite|flash|1t|[12]\.)"),
    ("intern", r"intern[-_ ]?s1"),
    ("mimo", r"(?<![a-z])mimo[-_ ]?(?:v[2-9]|7b[-_ ]rl)"),
)


def is_reasoning(
    model_id: str,
    name: str,
    command: str,
    seen: bool | None = None,  # noqa: FBT001 - the verdict itself, not a switch
    *,
    named: frozenset[str] = frozenset(),
) -> bool:
    """Whether a model reasons before it replies.

    What was seen in its replies decides, then the flags of its command, then its id and name.
    """
    if seen is not None:
        return seen
    by_flags = _read_command(command, named)[1] if command else None
    if by_flags is not None:
        return by_flags
    text = f"{model_id}\n{name}".lower()
    return _is_in_family(text, _REASONING) and not _is_in_family(text, _NOT_REASONING)


def _is_in_family(text: str, families: Iterable[tuple[str, str]]) -> bool:
    return any(word in text and re.search(pattern, text) for word, pattern in families)


@lru_cache(maxsize=32)
def _read_command(command: str, named: frozenset[str]) -> tuple[int | None, bool | None]:
    """Return its context size, and whether its flags let the model reason; None if it leaves that open."""
    line = read_command(command, named)
    return line.context_size, line.reasoning
