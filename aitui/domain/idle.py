"""When a model will unload by itself."""

from aitui.domain.model import Model, RunState


def seconds_until_unload(model: Model, now: float) -> float | None:
    """Seconds until the TTL fires, inferred from when the model was last known to work.

    llama-swap starts the TTL anew with every request that ends. None where the model has no TTL,
    isn't ready, or is at work.
    """
    if model.state is not RunState.READY or model.ttl <= 0 or model.requests:
        return None
    last_used = model.since if model.last_used is None else max(model.since, model.last_used)
    return max(0.0, model.ttl - (now - last_used))
