"""Who asks, as the server's log shows it."""

import getpass
import platform
import re

from aitui import __version__

_UNFIT_FOR_HEADERS = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 64


def user_agent() -> str:
    """`aitui/<version> (<user>@<host>)` in plain ASCII."""
    return f"aitui/{__version__} ({_sanitize(_user())}@{_sanitize(platform.node())})"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no entry for this user id: a container
        return ""


def _sanitize(name: str) -> str:
    return _UNFIT_FOR_HEADERS.sub("-", name)[:_LONGEST_NAME].strip("-") or "unknown"
