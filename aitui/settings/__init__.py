"""What a person set: defaults, then config.toml, then the environment, then flags."""

from aitui.settings.flags import Flags
from aitui.settings.resolve import (
    Settings,
    missing_certificates,
    read_settings,
    server_at,
)
from aitui.settings.server import DEFAULT_URL

__all__ = [
    "DEFAULT_URL",
    "Flags",
    "Settings",
    "missing_certificates",
    "read_settings",
    "server_at",
]
