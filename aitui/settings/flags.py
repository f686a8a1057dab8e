"""What the command line said about settings."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SettingsFlags:
    """The settings among the options. None, or False for `read_only`, where one wasn't given."""

    config: Path | None = None
    server: str | None = None
    url: str | None = None
    read_only: bool = False
    fps: int | None = None
