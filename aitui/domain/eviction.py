"""Predict which models a load will evict."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from aitui.domain.clients import client_name
from aitui.domain.models import ActiveRequest, Model, RunState
from aitui.domain.units import count_of, format_seconds

if TYPE_CHECKING:
    from aitui.domain.config.swap_rules import EvictionPlan
    from aitui.domain.snapshot import Snapshot

WEIGHS_LOADS_SINCE = 251
"""Newer servers may weigh victims by how long their loads took, which no endpoint reports."""

READS_ROUTING_SINCE = 235
"""Version 218 ignores the key `routing`; some later one was the first to obey it."""


class EvictionVictim(Struct, frozen=True):
    """A model that will be unloaded, and how many requests run there.

    `requests` is None if the server doesn't report which model its requests use. `certain` is False
    for a guess, if the rules aren't known.
    """

    model: Model
    requests: int | None
    certain: bool = False


def predict_victims(wanted: Model, snapshot: "Snapshot") -> tuple[EvictionVictim, ...]:
    """Return the models that a request for `wanted` will evict.

    This is certain if the config file that the server runs with was read: by its groups, even a
    request for a ready model may evict others. Else it is a guess: one model at a time, except for
    those that were seen ready at the same time, since no endpoint reports groups and matrix.
    """
    if wanted.state is RunState.STARTING:
        # Its victims are stopping already, and other requests for it share its load.
        return ()
    plan = _plan_by_rules(wanted, snapshot)
    if plan is None:
        return _guess_victims(wanted, snapshot)
    by_the_file = snapshot.release.has(WEIGHS_LOADS_SINCE) is False
    return tuple(
        EvictionVictim(model, request_count(model, snapshot), not plan.by_cost or by_the_file)
        for model in _evictable_models(snapshot)
        if model.id in plan.models
    )


def guess_reason(snapshot: "Snapshot") -> str:
    """Return in a sentence why the victims aren't certain."""
    if snapshot.swap_rules is None:
        return "≈ a guess: aitui has not read the server's config"
    return "≈ a guess: the config file alone does not show what this server will do"


def request_count(model: Model, snapshot: "Snapshot") -> int | None:
    """Return how many requests run at a model, None if that isn't known.

    A bare total says nothing about one model, unless it is zero or the model runs alone.
    """
    if model.requests is not None:
        return model.requests
    total = snapshot.requests.total
    if total == 0 or (total is not None and len(snapshot.resident) == 1):
        return total
    return None


def _plan_by_rules(wanted: Model, snapshot: "Snapshot") -> "EvictionPlan | None":
    rules = snapshot.swap_rules
    if rules is None or any(model.state is RunState.UNKNOWN for model in snapshot.models):
        return None
    if rules.in_routing and not snapshot.release.has(READS_ROUTING_SINCE):
        return None
    # For llama-swap a stopping model counts as running, though nothing has to evict it.
    return rules.eviction_plan(wanted.id, [model.id for model in snapshot.resident])


def _guess_victims(wanted: Model, snapshot: "Snapshot") -> tuple[EvictionVictim, ...]:
    if wanted.resident:
        return ()
    return tuple(
        EvictionVictim(model, request_count(model, snapshot))
        for model in _evictable_models(snapshot)
        if model.id != wanted.id and frozenset((model.id, wanted.id)) not in snapshot.companions
    )


def _evictable_models(snapshot: "Snapshot") -> tuple[Model, ...]:
    # Not by a set of states: the hash of an enum is slow, and the palette asks for a hundred models.
    return tuple(model for model in snapshot.resident if model.state is not RunState.STOPPING)


MOST_CLIENTS_SHOWN = 5
"""Clients that a question names; the others are counted."""


class ClientRequest(Struct, frozen=True):
    """A request under way, with its model; it `waits` if that model isn't ready yet.

    `evicts` are the models that will be unloaded before it is served.
    """

    request: ActiveRequest
    model: Model | None
    waits: bool = False
    evicts: tuple[EvictionVictim, ...] = ()

    @property
    def mark(self) -> str:
        """Return the sign in front of the victims: `≈ ` if they aren't certain."""
        return "" if all(victim.certain for victim in self.evicts) else "≈ "


def list_uses(snapshot: "Snapshot") -> tuple[ClientRequest, ...]:
    """Return which clients use or wait for which model, the oldest first; empty if unknown."""
    running = snapshot.requests.running
    if not running:
        return ()
    wanted = {request.model for request in running}
    by_name: dict[str, Model] = {}
    for model in snapshot.models:
        if model.id in wanted:
            by_name[model.id] = model
        for alias in model.aliases:
            by_name.setdefault(alias, model)
    found = (_build_use(request, by_name.get(request.model), snapshot) for request in running)
    return tuple(sorted(found, key=lambda use: (use.waits, use.request.started)))


def _build_use(request: ActiveRequest, model: Model | None, snapshot: "Snapshot") -> ClientRequest:
    if model is None or not model.loadable or model.state is RunState.READY:
        return ClientRequest(request, model)
    return ClientRequest(request, model, waits=True, evicts=predict_victims(model, snapshot))


def describe_users(model: Model, snapshot: "Snapshot") -> tuple[str, ...]:
    """Describe the requests that a model serves now, one per line; empty if unknown."""
    own = (use for use in list_uses(snapshot) if use.model is model and not use.waits)
    return _limit_lines(map(_describe_use, own))


def describe_waiting_clients(snapshot: "Snapshot") -> tuple[str, ...]:
    """Describe which clients wait for which model, and what that will evict, one per line."""
    return _limit_lines(_describe_wait(use) for use in list_uses(snapshot) if use.waits)


def _describe_use(use: ClientRequest) -> str:
    return f"in use by {client_name(use.request)}"


def _describe_wait(use: ClientRequest) -> str:
    evicts = ", ".join(victim.model.id for victim in use.evicts)
    after = f", which evicts {use.mark}{evicts}" if evicts else ""
    return f"{client_name(use.request)} waits for {_model_label(use)}{after}"


def _model_label(use: ClientRequest) -> str:
    return use.model.id if use.model is not None else use.request.model or "no model"


def _limit_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """Return each line once, and no more than a dialog has space for."""
    different = list(dict.fromkeys(lines))
    if len(different) <= MOST_CLIENTS_SHOWN:
        return tuple(different)
    return (*different[:MOST_CLIENTS_SHOWN], f"and {len(different) - MOST_CLIENTS_SHOWN} more")


class ModelCost(Struct, frozen=True):
    """What becomes of a model that runs, and what that costs others, a line each.

    `outcome` stands beside its id; `sentence` says the same where it has a line of its own.
    """

    model: str
    outcome: str
    sentence: str
    costs: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """The sentence, and what it costs."""
        return self.sentence, *self.costs


AGE_STEPS = (3600, 1800, 600, 300, 120, 60, 30, 10)
"""Seconds: the age of a request that grows second by second would disarm the dialog that shows it."""


def unload_costs(snapshot: "Snapshot") -> tuple[ModelCost, ...]:
    """Return every model that runs, as something that unloads all of them ends it, with its requests."""
    uses = list_uses(snapshot)
    return tuple(
        ModelCost(
            model.id,
            unload_outcome(model),
            describe_unload(model),
            _describe_ends([use for use in uses if use.model is model], snapshot)
            or ((f"cuts off {count_of(model.requests, 'request')}",) if model.requests else ()),
        )
        for model in snapshot.resident
    )


def describe_other_uses(snapshot: "Snapshot") -> tuple[str, ...]:
    """Describe the requests that no model serves that runs here, one per line."""
    uses = [use for use in list_uses(snapshot) if use.model is None or not use.model.resident]
    waits = [_describe_wait(use) for use in uses if use.waits]
    return (*_describe_ends([use for use in uses if not use.waits], snapshot), *_limit_lines(waits))


def describe_free_memory(snapshot: "Snapshot") -> tuple[str, ...]:
    """Say how much of the cards' memory is free when nothing is loaded; empty if that is unknown."""
    usage = snapshot.hardware.usage
    total, used = usage.total_bytes, usage.used_bytes
    if not usage.on_cards or not total or used is None or not snapshot.resident:
        return ()
    loaded = sum(share.used_bytes for card in usage.cards for share in card.models)
    free = min(total, total - used + loaded) / (1 << 30)
    return (f"{free:.0f} GB of GPU memory are free when nothing is loaded.",)


def unload_outcome(model: Model) -> str:
    """Say in a few words what becomes of a model that is unloaded: "unloads, 41.2 GB"."""
    if model.state is RunState.STARTING:
        return "load aborted"
    memory = model.memory
    if memory is None or not memory.needed:
        return "unloads"
    return f"unloads, {memory.label}"


def _describe_ends(uses: Iterable[ClientRequest], snapshot: "Snapshot") -> tuple[str, ...]:
    """Say which requests are cut off, those of one client and age in one line."""
    now = snapshot.connection.last_response_at
    found: dict[tuple[bool, str], int] = {}
    for use in uses:
        words = client_name(use.request)
        if use.model is None or not use.model.loadable:
            words += f" at {_model_label(use)}"
        age = 0.0 if now is None else now - use.request.started
        if (step := next((one for one in AGE_STEPS if one <= age), None)) and not use.waits:
            words += f", running for {format_seconds(step)} or more"
        found[use.waits, words] = found.get((use.waits, words), 0) + 1
    return tuple(
        f"{count_of(count, 'waiting request')} gets an error: {words}"
        if waits
        else f"cuts off {count_of(count, 'request')}: {words}"
        for (waits, words), count in found.items()
    )


def describe_unload(model: Model) -> str:
    """Say that a model is unloaded, and how long its last loads took."""
    if model.expected_load is None:
        return f"unloads {model.id}"
    return f"unloads {model.id} (loading took {format_seconds(max(1.0, model.expected_load))})"
