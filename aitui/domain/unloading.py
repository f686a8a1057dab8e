"""What it means for a model to be unloaded, in words."""

from aitui.domain.amounts import format_seconds
from aitui.domain.model import Model


def describe_unload(model: Model) -> str:
    """That it goes, with what it costs to have it back: the seconds that its last loads took."""
    if model.expected_load is None:
        return f"unloads {model.id}"
    return f"unloads {model.id} (loading took {format_seconds(max(1.0, model.expected_load))})"
