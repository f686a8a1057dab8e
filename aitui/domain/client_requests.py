"""Which clients use which model now, and which of them wait for it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from aitui.domain.clients import client_name
from aitui.domain.models import ActiveRequest, Model, RunState

if TYPE_CHECKING:
    from aitui.domain.eviction import EvictionVictim
    from aitui.domain.snapshot import Snapshot

MOST_CLIENTS_SHOWN = 5
"""Clients that a question names; the others are counted."""


class ClientRequest(Struct, frozen=True):
    """A request under way, with its model; it `waits` if that model isn't ready yet.

    `evicts` are the models that will be unloaded before it is served.
    """

    request: ActiveRequest
    model: Model | None
    waits: bool = False
    evicts: "tuple[EvictionVictim, ...]" = ()

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
    from aitui.domain.eviction import predict_victims  # an idle server evicts nothing

    return ClientRequest(request, model, waits=True, evicts=predict_victims(model, snapshot))


def describe_users(model: Model, snapshot: "Snapshot") -> tuple[str, ...]:
    """Describe the requests that a model serves now, one per line; empty if unknown."""
    own = (use for use in list_uses(snapshot) if use.model is model and not use.waits)
    return limit_lines(map(_describe_use, own))


def describe_waiting_clients(snapshot: "Snapshot") -> tuple[str, ...]:
    """Describe which clients wait for which model, and what that will evict, one per line."""
    return limit_lines(describe_wait(use) for use in list_uses(snapshot) if use.waits)


def _describe_use(use: ClientRequest) -> str:
    return f"in use by {client_name(use.request)}"


def describe_wait(use: ClientRequest) -> str:
    """Say for which model a client waits, and what that evicts."""
    evicts = ", ".join(victim.model.id for victim in use.evicts)
    after = f", which evicts {use.mark}{evicts}" if evicts else ""
    return f"{client_name(use.request)} waits for {model_label(use)}{after}"


def model_label(use: ClientRequest) -> str:
    """Return the model that a request asks for, or the words for none."""
    return use.model.id if use.model is not None else use.request.model or "no model"


def limit_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """Return each line once, and no more than a dialog has space for."""
    different = list(dict.fromkeys(lines))
    if len(different) <= MOST_CLIENTS_SHOWN:
        return tuple(different)
    return (*different[:MOST_CLIENTS_SHOWN], f"and {len(different) - MOST_CLIENTS_SHOWN} more")
