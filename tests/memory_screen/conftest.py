"""The command line and the app, in front of the stand-in."""

from commands.conftest import aitui
from ui.conftest import app

__all__ = ["aitui", "app"]
