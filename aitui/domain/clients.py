"""Other programs at the same server, as people would name them."""

import re
from dataclasses import dataclass

from aitui.domain.eviction import EvictionVictim, predict_victims
from aitui.domain.model import ActiveRequest, Model, RunState
from aitui.domain.snapshot import Snapshot

MOST_CLIENTS_SHOWN = 5
"""Clients that a question names; the others are counted."""

_OWN_AGENT = re.compile(r"aitui/\S+ \((?P<who>[^)]+)\)")
_PRODUCT = re.compile(r"[^\s/(]+")


def client_name(request: ActiveRequest) -> str:
    """Address and program of a client: `192.168.2.20 · OpenWebUI`; another aitui by its user."""
    own = _OWN_AGENT.match(request.user_agent)
    if own is not None:
        return f"{own['who']} · aitui"
    product = _PRODUCT.match(request.user_agent)
    parts = (request.client, product.group() if product else "")
    return " · ".join(part for part in parts if part) or "an unnamed client"


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A request under way, with its model; `waits` where that model isn't ready yet.

    `evicts` are the models that will have to go before it is served.
    """

    request: ActiveRequest
    model: Model | None
    waits: bool = False
    evicts: tuple[EvictionVictim, ...] = ()

    @property
    def mark(self) -> str:
        """The sign in front of those who have to go: `≈ ` where they aren't certain."""
        return "" if all(victim.certain for victim in self.evicts) else "≈ "


def list_uses(snapshot: Snapshot) -> tuple[ClientRequest, ...]:
    """Who uses what and who waits for what, the oldest first; empty where the server won't say."""
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


def _build_use(request: ActiveRequest, model: Model | None, snapshot: Snapshot) -> ClientRequest:
    if model is None or not model.loadable or model.state is RunState.READY:
        return ClientRequest(request, model)
    return ClientRequest(request, model, waits=True, evicts=predict_victims(model, snapshot))


def describe_users(model: Model, snapshot: Snapshot) -> tuple[str, ...]:
    """Whose requests a model serves now, a line each; empty where the server won't say."""
    return _limit_lines(
        [_describe_use(use) for use in list_uses(snapshot) if use.model is model and not use.waits]
    )


def describe_all_users(snapshot: Snapshot) -> tuple[str, ...]:
    """Whose requests the server has, and at which model, a line each."""
    found = list_uses(snapshot)
    return _limit_lines(
        [
            _describe_wait(use) if use.waits else f"{_describe_use(use)}: {_model_label(use)}"
            for use in found
        ]
    )


def describe_waiting_clients(snapshot: Snapshot) -> tuple[str, ...]:
    """Who waits for which model, and whom that will evict, a line each."""
    return _limit_lines([_describe_wait(use) for use in list_uses(snapshot) if use.waits])


def _describe_use(use: ClientRequest) -> str:
    return f"in use by {client_name(use.request)}"


def _describe_wait(use: ClientRequest) -> str:
    evicts = ", ".join(victim.model.id for victim in use.evicts)
    after = f", which evicts {use.mark}{evicts}" if evicts else ""
    return f"{client_name(use.request)} waits for {_model_label(use)}{after}"


def _model_label(use: ClientRequest) -> str:
    return use.model.id if use.model is not None else use.request.model or "no model"


def _limit_lines(lines: list[str]) -> tuple[str, ...]:
    """Each line once, and no more than a dialog has room for."""
    different = list(dict.fromkeys(lines))
    if len(different) <= MOST_CLIENTS_SHOWN:
        return tuple(different)
    return (*different[:MOST_CLIENTS_SHOWN], f"and {len(different) - MOST_CLIENTS_SHOWN} more")
