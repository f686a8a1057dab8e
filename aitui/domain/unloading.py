"""What it means for a model to be unloaded, in words."""

from aitui.domain.amounts import format_seconds
from aitui.domain.model import Model


def unload_words(model: Model) -> str:
    """That it goes, with what it costs to have it back: the seconds that its last loads took."""
    took = "" if model.expected_load is None else f" (loading took {_rounded(model)})"
    return f"unloads {model.id}{took}"


def _rounded(model: Model) -> str:
    return format_seconds(max(1.0, model.expected_load or 0.0))
