"""Other programs at the same server, as people would name them."""

import re
from dataclasses import dataclass

from aitui.domain.eviction import Victim, victims
from aitui.domain.model import Model, RunningRequest, RunState
from aitui.domain.snapshot import Snapshot

MOST_NAMED = 5
"""Clients that a question names; the others are counted."""

_OWN_AGENT = re.compile(r"aitui/\S+ \((?P<who>[^)]+)\)")
_PRODUCT = re.compile(r"[^\s/(]+")


def client_name(request: RunningRequest) -> str:
    """Address and program of a client: `192.168.2.20 · OpenWebUI`; another aitui by its user."""
    own = _OWN_AGENT.match(request.user_agent)
    if own is not None:
        return f"{own['who']} · aitui"
    product = _PRODUCT.match(request.user_agent)
    parts = (request.client, product.group() if product else "")
    return " · ".join(part for part in parts if part) or "an unnamed client"


@dataclass(frozen=True, slots=True)
class Use:
    """A request under way, with its model; `waits` where that model isn't ready yet.

    `evicts` are the models that will have to go before it is served.
    """

    request: RunningRequest
    model: Model | None
    waits: bool = False
    evicts: tuple[Victim, ...] = ()

    @property
    def guess(self) -> str:
        """The sign in front of those who have to go: `≈ ` where they aren't certain."""
        return "" if all(victim.certain for victim in self.evicts) else "≈ "


def uses(snapshot: Snapshot) -> tuple[Use, ...]:
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
    found = (_use(request, by_name.get(request.model), snapshot) for request in running)
    return tuple(sorted(found, key=lambda use: (use.waits, use.request.started)))


def _use(request: RunningRequest, model: Model | None, snapshot: Snapshot) -> Use:
    if model is None or not model.loadable or model.state is RunState.READY:
        return Use(request, model)
    return Use(request, model, waits=True, evicts=victims(model, snapshot))


def users_of(model: Model, snapshot: Snapshot) -> tuple[str, ...]:
    """Whose requests a model serves now, a line each; empty where the server won't say."""
    return _few([_at(use) for use in uses(snapshot) if use.model is model and not use.waits])


def all_users(snapshot: Snapshot) -> tuple[str, ...]:
    """Whose requests the server has, and at which model, a line each."""
    found = uses(snapshot)
    return _few([_waiting(use) if use.waits else f"{_at(use)}: {_model(use)}" for use in found])


def those_who_wait(snapshot: Snapshot) -> tuple[str, ...]:
    """Who waits for which model, and whom that will evict, a line each."""
    return _few([_waiting(use) for use in uses(snapshot) if use.waits])


def _at(use: Use) -> str:
    return f"in use by {client_name(use.request)}"


def _waiting(use: Use) -> str:
    evicts = ", ".join(victim.model.id for victim in use.evicts)
    after = f", which evicts {use.guess}{evicts}" if evicts else ""
    return f"{client_name(use.request)} waits for {_model(use)}{after}"


def _model(use: Use) -> str:
    return use.model.id if use.model is not None else use.request.model or "no model"


def _few(lines: list[str]) -> tuple[str, ...]:
    """Each line once, and no more than a dialog has room for."""
    different = list(dict.fromkeys(lines))
    if len(different) <= MOST_NAMED:
        return tuple(different)
    return (*different[:MOST_NAMED], f"and {len(different) - MOST_NAMED} more")
