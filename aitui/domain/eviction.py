"""Whom a load will push out of memory, as far as that can be told."""

from dataclasses import dataclass

from aitui.domain.model import Model, RunState
from aitui.domain.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Victim:
    """A model that will likely be unloaded, and how many requests run there.

    `requests` is None where the server doesn't tell which model its requests are at. `certain` is
    False where it is a guess: groups and matrix stand in the config file alone.
    """

    model: Model
    requests: int | None
    certain: bool = False


def victims(wanted: Model, snapshot: Snapshot) -> tuple[Victim, ...]:
    """The models that loading `wanted` will likely evict.

    llama-swap runs one model at a time unless a group or a matrix says otherwise. Neither is in
    any endpoint, so models that were once seen ready side by side count as companions.
    """
    if wanted.resident:
        return ()
    return tuple(
        Victim(model, requests_at(model, snapshot))
        for model in snapshot.models
        if model.state in {RunState.READY, RunState.STARTING}
        and model.id != wanted.id
        and frozenset((model.id, wanted.id)) not in snapshot.companions
    )


def requests_at(model: Model, snapshot: Snapshot) -> int | None:
    """How many requests run at a model, None where that can't be known.

    A bare total tells nothing about one model, unless it is zero or the model runs alone.
    """
    if model.requests is not None:
        return model.requests
    total = snapshot.requests.total
    if total == 0 or (total is not None and len(snapshot.resident) == 1):
        return total
    return None
