"""Predict which models a load will evict."""

from typing import TYPE_CHECKING

from msgspec import Struct

from aitui.domain.models import Model, RunState

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
