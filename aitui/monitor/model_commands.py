"""What runs each model, ran it last, or would run it, and what that decides about its memory."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from aitui.domain.memory.setup import LaunchProfile, launch_profile
from aitui.domain.model import Model

COMMANDS_KEPT = 2000
NO_ENVIRONMENTS: Mapping[str, Mapping[str, str]] = MappingProxyType({})


class ModelCommands:
    """`configured` are the commands of the config file, by model."""

    def __init__(self) -> None:
        self.configured: Mapping[str, str] = {}
        self._environments: Mapping[str, Mapping[str, str]] = {}
        self._last: dict[str, str] = {}
        self._launch_profiles: dict[tuple[str, str], LaunchProfile] = {}

    def configure(
        self, commands: Mapping[str, str], environments: Mapping[str, Mapping[str, str]]
    ) -> bool:
        """Take in what the config file says, and tell whether that is anything new."""
        if (commands, environments) == (self.configured, self._environments):
            return False
        self.configured, self._environments = commands, environments
        self._launch_profiles = {}
        return True

    def remember(self, resident: Iterable[Model]) -> None:
        """These models run: by that command, they ran last when they have gone."""
        for model in resident:
            if model.command:
                self._last[model.id] = model.command
        while len(self._last) > COMMANDS_KEPT:
            self._last.pop(next(iter(self._last)))

    def command_of(self, model: Model) -> str:
        """The command that counts, "" where nobody told any."""
        return model.command or self.configured.get(model.id) or self._last.get(model.id) or ""

    def launch_profile(self, model_id: str, command: str) -> LaunchProfile:
        """What a command decides, with the environment that the config file gives its model."""
        key = model_id, command
        found = self._launch_profiles.get(key)
        if found is None:
            if len(self._launch_profiles) >= COMMANDS_KEPT:
                self._launch_profiles.clear()
            found = self._launch_profiles[key] = launch_profile(
                command, self._environments.get(model_id, {})
            )
        return found
