"""The URL of a server, its host and port for messages; the User-Agent."""

import getpass
import os
import platform
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from aitui import __version__
from aitui.domain.sanitize import sanitize_line

if TYPE_CHECKING:
    from aitui.domain.server import Server

_UNFIT_FOR_HEADERS = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 64


def host_of(server: "Server") -> str:
    """Return the host name or address of the server's URL, without brackets."""
    return urlsplit(server.url).hostname or ""


def authority_of(server: "Server") -> str:
    """Return host and port, as messages name the server."""
    host, port = host_of(server), server.port
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_https(server: "Server") -> bool:
    """Whether the server is reached over TLS."""
    return urlsplit(server.url).scheme == "https"


def environment_proxy(server: "Server") -> str | None:
    """Return the environment's proxy for a server, with its password; None for none."""
    host = host_of(server)
    if server.is_loopback or proxy_bypass(host):
        return None
    proxies = getproxies()
    found = proxies.get(server.url.partition(":")[0]) or proxies.get("all")
    return found if not found or "://" in found else f"http://{found}"


def proxy_warning(server: "Server") -> str:
    """Warn of a proxy in the environment that reads the server's key or password; "" if none does."""
    proxy = environment_proxy(server)
    if not proxy or is_https(server) or (server.api_key is None and server.basic_auth is None):
        return ""
    secret = "password" if server.api_key is None else "API key"
    return (
        f"The proxy {proxy_authority(proxy)} set in the environment reads the {secret}, because the "
        f"URL is http://. Use https://, or set NO_PROXY={host_of(server)}."
    )


def proxy_authority(proxy: str) -> str:
    """Return host and port of a proxy's URL, without its user and password."""
    return sanitize_line(urlsplit(proxy).netloc.rpartition("@")[2], 200)


def user_agent() -> str:
    """Return `aitui/<version> (<user>@<host>; <process>)` in plain ASCII."""
    who = f"{_sanitize(_user())}@{_sanitize(platform.node())}"
    return f"aitui/{__version__} ({who}; {os.getpid()})"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no entry for this user id: a container
        return ""


def _sanitize(name: str) -> str:
    return _UNFIT_FOR_HEADERS.sub("-", name)[:_LONGEST_NAME].strip("-") or "unknown"
