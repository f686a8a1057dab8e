"""What differs between two times that the same was told."""

from collections.abc import Mapping
from dataclasses import replace

from aitui.domain.model import ModelStatus


def state_changes(
    before: tuple[ModelStatus, ...], after: tuple[ModelStatus, ...]
) -> set[str] | None:
    """The ids whose state alone is told to be another; None where more than that differs."""
    if before is after:
        return set()
    if len(before) != len(after):
        return None
    changed: set[str] = set()
    for old, new in zip(before, after, strict=True):
        if old == new:
            continue
        if replace(old, state=new.state) != new:
            return None
        changed.add(new.id)
    return changed


def differing_keys(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    """The keys whose values differ, or that only one of the two has."""
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
