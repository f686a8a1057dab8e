"""The command line and the app in front of the stand-in; this machine, directly and over sshd."""

from cli.conftest import aitui
from host.conftest import host, sshd
from ui.conftest import app

__all__ = ["aitui", "app", "host", "sshd"]
