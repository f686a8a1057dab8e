"""Whom a load will push out of memory, as far as that can be told."""

from dataclasses import dataclass

from aitui.domain.config.leaving import EvictionPlan
from aitui.domain.model import Model, RunState
from aitui.domain.server_version import version_number
from aitui.domain.snapshot import Snapshot

LAST_VERSION_WITH_FILE_COSTS = 250
"""Later ones may weigh what they evict by how long its loads took, which no endpoint tells."""

READS_ROUTING_SINCE = 235
"""218 ignores the key `routing`, and some version after it was the first that doesn't."""


@dataclass(frozen=True, slots=True)
class EvictionVictim:
    """A model that will be unloaded, and how many requests run there.

    `requests` is None where the server doesn't tell which model its requests are at. `certain` is
    False where it is a guess, since the rules aren't known.
    """

    model: Model
    requests: int | None
    certain: bool = False


def predict_victims(wanted: Model, snapshot: Snapshot) -> tuple[EvictionVictim, ...]:
    """The models that a request for `wanted` will evict.

    Certain where the config file was read that the server runs: by its groups, a request for a
    model that is ready may evict others as well. Else a guess: one model at a time, but for those
    that were once seen ready side by side, since no endpoint tells of groups and matrix.
    """
    if wanted.state is RunState.STARTING:
        # Whoever had to go for it is going already, and others who ask share its load.
        return ()
    leaving = _plan_by_rules(wanted, snapshot)
    if leaving is None:
        return _guess_victims(wanted, snapshot)
    version = version_number(snapshot.version)
    by_the_file = version is not None and version <= LAST_VERSION_WITH_FILE_COSTS
    return tuple(
        EvictionVictim(model, request_count(model, snapshot), not leaving.by_cost or by_the_file)
        for model in _evictable_models(snapshot)
        if model.id in leaving.models
    )


def guess_reason(snapshot: Snapshot) -> str:
    """Why victims that aren't certain are not, in a sentence."""
    if snapshot.swap_rules is None:
        return "≈ a guess: groups stand in the server's config alone"
    return "≈ a guess: the config file alone doesn't tell what this server will do"


def request_count(model: Model, snapshot: Snapshot) -> int | None:
    """How many requests run at a model, None where that can't be known.

    A bare total tells nothing about one model, unless it is zero or the model runs alone.
    """
    if model.requests is not None:
        return model.requests
    total = snapshot.requests.total
    if total == 0 or (total is not None and len(snapshot.resident) == 1):
        return total
    return None


def _plan_by_rules(wanted: Model, snapshot: Snapshot) -> EvictionPlan | None:
    rules = snapshot.swap_rules
    if rules is None or any(model.state is RunState.UNKNOWN for model in snapshot.models):
        return None
    version = version_number(snapshot.version)
    if rules.in_routing and (
        not snapshot.version or (version is not None and version < READS_ROUTING_SINCE)
    ):
        return None
    # One that stops counts as running for llama-swap, though it needs nobody to send it away.
    return rules.eviction_plan(wanted.id, [model.id for model in snapshot.resident])


def _guess_victims(wanted: Model, snapshot: Snapshot) -> tuple[EvictionVictim, ...]:
    if wanted.resident:
        return ()
    return tuple(
        EvictionVictim(model, request_count(model, snapshot))
        for model in _evictable_models(snapshot)
        if model.id != wanted.id and frozenset((model.id, wanted.id)) not in snapshot.companions
    )


def _evictable_models(snapshot: Snapshot) -> tuple[Model, ...]:
    """The models that run, and don't end already."""
    return tuple(
        model for model in snapshot.models if model.state in {RunState.READY, RunState.STARTING}
    )
