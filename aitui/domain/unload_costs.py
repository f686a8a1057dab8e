"""What an unload ends, and what that costs the clients."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from aitui.domain.client_requests import (
    ClientRequest,
    describe_wait,
    limit_lines,
    list_uses,
    model_label,
)
from aitui.domain.clients import client_name
from aitui.domain.models import Model, RunState
from aitui.domain.units import count_of, format_seconds

if TYPE_CHECKING:
    from aitui.domain.snapshot import Snapshot


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
    waits = [describe_wait(use) for use in uses if use.waits]
    return (*_describe_ends([use for use in uses if not use.waits], snapshot), *limit_lines(waits))


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
            words += f" at {model_label(use)}"
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
