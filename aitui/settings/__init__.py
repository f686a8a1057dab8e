"""What a person set: defaults, then config.toml, then the environment, then flags."""

from aitui.settings.flags import SettingsFlags
from aitui.settings.resolve import (
    Settings,
    missing_certificates,
    read_settings,
    server_at,
)
from aitui.settings.server import DEFAULT_URL

__all__ = [
    "DEFAULT_URL",
    "SettingsFlags",
    "Settings",
    "missing_certificates",
    "read_settings",
    "server_at",
]
