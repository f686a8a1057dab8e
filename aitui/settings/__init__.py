"""The settings: defaults, then config.toml, then the environment, then flags."""

from aitui.settings.load import (
    Settings,
    missing_certificates,
    read_settings,
    require_certificates,
    require_server,
    server_at,
)
from aitui.settings.raw import SettingsFlags
from aitui.settings.table import DEFAULT_URL

__all__ = [
    "DEFAULT_URL",
    "Settings",
    "SettingsFlags",
    "missing_certificates",
    "read_settings",
    "require_certificates",
    "require_server",
    "server_at",
]
