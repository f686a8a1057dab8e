"""Messages about models that changed without a key pressed here."""

from collections.abc import Iterator

from textual.notifications import SeverityLevel

from aitui.domain.models import Model, RunState
from aitui.domain.snapshot import Snapshot
from aitui.domain.units import format_bytes, format_elapsed, format_seconds


def describe_changes(
    before: Snapshot, after: Snapshot, now: float
) -> Iterator[tuple[str, SeverityLevel]]:
    """Yield a sentence for the profile, and each model, that others changed, and its severity.

    `now` is monotonic seconds.
    """
    if after.profile != before.profile:
        words = (
            f"The profile {after.profile} is active" if after.profile else "No profile is active"
        )
        yield words, "information"
    known = {model.id: model for model in before.models}
    for model in after.models:
        earlier = known.get(model.id)
        if earlier is None or earlier is model:
            continue
        if model.timed_out is not None and model.timed_out != earlier.timed_out:
            ttl = model.timed_out.ttl
            idle = f"{ttl / 60:.0f} min" if ttl and ttl % 60 == 0 else format_seconds(ttl)
            yield f"{model.id} unloaded after {idle} idle{_freed(earlier)}", "information"
        if model.unloaded is not None and model.unloaded != earlier.unloaded:
            client = f" ({model.unloaded.client})" if model.unloaded.client else ""
            yield f"{model.id} unloaded by another client{client}{_freed(earlier)}", "information"
        if model.evicted is not None and model.evicted != earlier.evicted:
            client = f" ({model.evicted.requester})" if model.evicted.requester else ""
            words = f"{model.id} unloaded to make room for {model.evicted.by}{client}"
            yield words, "information"
        if earlier.requested is not None:
            # Of what was asked for here its controller says how it ended.
            continue
        failed = model.failed
        if failed is not None and failed != earlier.failed:
            verb = "crashed" if failed.crashed else "could not be loaded"
            yield f"{model.id} {verb}: {failed.reason}", "warning"
        if (earlier.state, model.state) == (RunState.STARTING, RunState.READY):
            took = f" after {format_elapsed(now - earlier.since)}" if earlier.dated else ""
            yield f"{model.id} is ready{took}", "information"


def _freed(model: Model) -> str:
    memory = model.memory
    known = memory is not None and not memory.approximate and memory.gpu
    return f", {format_bytes(memory.gpu)} freed" if memory is not None and known else ""
