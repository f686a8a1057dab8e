"""The profiles of a server: names that are pinned to models while one of them is active."""

from collections.abc import Iterable

from msgspec import Struct

from aitui.domain.models import Model, ModelKind, find_model

SINCE = 241
"""The release that brought profiles."""


class ServerProfile(Struct, frozen=True):
    """One profile: pairs of a name and the model it leads to, "" for a name that is refused."""

    id: str
    description: str = ""
    pins: tuple[tuple[str, str], ...] = ()

    @property
    def pin_lines(self) -> tuple[str, ...]:
        """Return a line a pin: "coder → Qwen3-Coder"."""
        return tuple(f"{name} → {model or 'refused'}" for name, model in self.pins)


class Profiles(Struct, frozen=True):
    """The profiles of a server; `active` is the id of the active one, "" for none."""

    active: str = ""
    listed: tuple[ServerProfile, ...] = ()

    def find(self, name: str) -> ServerProfile | None:
        """Return the profile of that id."""
        return next((profile for profile in self.listed if profile.id == name), None)

    def changes(self, wanted: str, models: Iterable[Model]) -> tuple[str, ...]:
        """Return a line for each name that leads elsewhere once the profile `wanted` is active.

        Without a pin a name is that of a model, an alias or nothing.
        """
        before, after = (
            dict(profile.pins) if (profile := self.find(name)) else {}
            for name in (self.active, wanted)
        )
        # The server lists the pins of an active profile as well.
        models = tuple(model for model in models if model.kind is not ModelKind.PROFILE)
        lines: list[str] = []
        for name in sorted(before.keys() | after.keys()):
            model = find_model(name, models)
            unpinned = "unknown" if model is None else model.id
            old, new = (
                (pins[name] or "refused") if name in pins else unpinned for pins in (before, after)
            )
            if old != new:
                lines.append(f"{name}: {old} → {new}")
        return tuple(lines)
