"""What `/v1/models`, `/running` and `modelStatus` say of the models, made one."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter

from aitui.domain.command_line import context_size
from aitui.domain.model import (
    ContextSize,
    ContextSource,
    Evicted,
    FailedLoad,
    Kind,
    ListedModel,
    Model,
    ModelStatus,
    Requests,
    RunningModel,
    RunState,
)
from aitui.domain.reasoning import is_reasoning
from aitui.domain.shards import is_shard_artefact


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything learnt of the models of one server; the mappings are keyed by the model's id.

    `configured_context` is in tokens, `last_used` and `requested` in monotonic seconds,
    `expected_load` in seconds, `rates` in tokens a second. With `running_lists_only_ready` (llama-swap v217) `/running` is
    silent about models that start or stop, and `statuses` are believed there.
    """

    listed: tuple[ListedModel, ...] = ()
    running: tuple[RunningModel, ...] = ()
    statuses: tuple[ModelStatus, ...] = ()
    configured_context: Mapping[str, int] = field(default_factory=dict)
    seen_reasoning: Mapping[str, bool] = field(default_factory=dict)
    failures: Mapping[str, FailedLoad] = field(default_factory=dict)
    requests: Requests = field(default_factory=Requests)
    last_used: Mapping[str, float] = field(default_factory=dict)
    expected_load: Mapping[str, float] = field(default_factory=dict)
    requested: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    evicted: Mapping[str, Evicted] = field(default_factory=dict)
    running_lists_only_ready: bool = False


def merge(facts: Facts, previous: tuple[Model, ...], now: float) -> tuple[Model, ...]:
    """The models in the server's order, unlisted ones last.

    `now` is in monotonic seconds. A model that didn't change is the same object as in `previous`,
    and so is the tuple where nothing changed at all. A model that `/running` doesn't list is
    stopped. Later parts of split models are left out unless they run or are waited for.
    """
    view = _View(facts, previous, now)
    models = tuple(view.model(model_id) for model_id in view.ids())
    if len(models) == len(previous) and all(
        model is before for model, before in zip(models, previous, strict=True)
    ):
        return previous
    return models


class _View:
    """The facts, found by id."""

    def __init__(self, facts: Facts, previous: tuple[Model, ...], now: float) -> None:
        self._facts = facts
        self._now = now
        self._previous = {model.id: model for model in previous}
        # Of an id that is listed twice the first entry counts, as on the server.
        self._listed = {entry.id: entry for entry in reversed(facts.listed)}
        self._running = {entry.id: entry for entry in reversed(facts.running)}
        self._statuses = {entry.id: entry for entry in reversed(facts.statuses)}
        self._own_ids = self._visible_ids()
        self._folded, self._aliases = self._fold()
        owners = {name: owner for owner, names in self._aliases.items() for name in names}
        self._requests = _requests_by_model(facts.requests, owners)
        self._last_used = _latest_by_model(facts.last_used, owners)
        self._rates = {owners.get(name, name): rate for name, rate in facts.rates.items()}

    def ids(self) -> Iterable[str]:
        """The ids of the models, aliases that were folded into theirs left out."""
        return (model_id for model_id in self._own_ids if model_id not in self._folded)

    def model(self, model_id: str) -> Model:
        """The model of that id, made of everything that is known of it."""
        facts = self._facts
        listed = self._listed.get(model_id, _NOT_LISTED)
        running = self._running.get(model_id, _NOT_RUNNING)
        status = self._statuses.get(model_id, _UNTOLD)
        before = self._previous.get(model_id, _NEW)
        state = self._state(model_id)
        since = before.since if before is not _NEW and before.state is state else self._now
        name = listed.name or status.name or running.name
        # In the order of Model's fields: comparing them costs a tenth of making a Model of them.
        values = (
            model_id,
            name,
            listed.description or status.description or running.description,
            Kind.PEER if status.peer and listed.kind is Kind.MODEL else listed.kind,
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
            status = self._statuses.get(model_id, _UNTOLD)
            if status.state in {RunState.STARTING, RunState.STOPPING}:
                return status.state
        return RunState.STOPPED

    def _fold(self) -> tuple[set[str], dict[str, tuple[str, ...]]]:
        """The listed ids that are aliases of another, and every model's aliases.

        With `includeAliasesInList` an alias is an entry of its own. Newer servers mark it; on older
        ones it is an entry that another model's status claims and that has no status itself.
        """
        owners: dict[str, str] = {}
        aliases: dict[str, dict[str, None]] = {}
        for entry_id, names in self._named_aliases():
            aliases.setdefault(entry_id, {}).update(dict.fromkeys(names))
            for name in names:
                owners.setdefault(name, entry_id)
        folded: set[str] = set()
        for name, owner in owners.items():
            if owner in self._own_ids and owner not in folded and self._is_foldable(name, owner):
                folded.add(name)
        return folded, {
            owner: tuple(name for name in names if name in folded or name not in self._own_ids)
            for owner, names in aliases.items()
        }

    def _named_aliases(self) -> Iterable[tuple[str, tuple[str, ...]]]:
        for listed in self._facts.listed:
            if listed.aliases:
                yield listed.id, listed.aliases
        for status in self._facts.statuses:
            if status.aliases:
                yield status.id, status.aliases
        for listed in self._facts.listed:
            if listed.kind is Kind.ALIAS and listed.targets:
                yield listed.targets[0], (listed.id,)

    def _is_foldable(self, name: str, owner: str) -> bool:
        listed = self._listed.get(name)
        return (
            name != owner
            and listed is not None
            and listed.kind in {Kind.MODEL, Kind.ALIAS}
            and name not in self._statuses
            and name not in self._running
        )

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
        if not command and told.source in _FROM_COMMAND:
            return ContextSize(told.tokens, ContextSource.LAST_COMMAND)
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
_UNTOLD = ModelStatus("", RunState.STOPPED, unlisted=True)
_FALLBACK = ContextSize()
_FROM_COMMAND = {ContextSource.RUNNING_COMMAND, ContextSource.LAST_COMMAND}


def _requests_by_model(requests: Requests, owners: Mapping[str, str]) -> dict[str, int] | None:
    if requests.running is None:
        return None
    return Counter(owners.get(request.model, request.model) for request in requests.running)


def _latest_by_model(times: Mapping[str, float], owners: Mapping[str, str]) -> dict[str, float]:
    latest: dict[str, float] = {}
    for name, time in times.items():
        model_id = owners.get(name, name)
        latest[model_id] = max(time, latest.get(model_id, time))
    return latest
