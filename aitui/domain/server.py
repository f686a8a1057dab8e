"""Which server: its address, what it takes to connect, and the clock that its state is dated by.

Apart from the snapshot, which takes four times as long to import: settings need no more than this.
"""

import shlex
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct, field

from aitui.domain.sanitize import sanitize_line
from aitui.errors import ActionRefused


class Clock(Struct, frozen=True):
    """Seconds: `monotonic` for ages and pauses, `wall` (Unix time) for what people read.

    `boot` goes on while the machine sleeps, as the monotonic clock of Linux doesn't. Where it is None,
    a jump of the wall clock counts as a sleep, although it may have been set.
    """

    monotonic: Callable[[], float]
    wall: Callable[[], float]
    boot: Callable[[], float] | None = None

    @classmethod
    def of_system(cls) -> "Clock":
        """Return the clock of this machine."""
        number = getattr(time, "CLOCK_BOOTTIME", None)
        boot = None if number is None else partial(time.clock_gettime, number)
        return cls(time.monotonic, time.time, boot)


LISTEN_PORT = 8080
"""Where llama-swap listens if nothing else is set."""
USUAL_PORTS = (LISTEN_PORT, 9292, 8090)
"""Where a llama-swap of this machine usually listens."""
_NAMES_WHERE_MADE = {"client.pem": "client.crt", "client-key.pem": "client.key"}
"""What the guide's openssl commands call the files that have other names on the client."""


WHERE_MADE = "PROXY:CERTS"
"""The machine and the directory where certificates are made, in a command that names neither."""


def copy_command(path: Path) -> str:
    """Return the command that copies a certificate file from the machine where it was made."""
    name = _NAMES_WHERE_MADE.get(path.name, path.name)
    return sanitize_line(f"scp {WHERE_MADE}/{shlex.quote(name)} {shlex.quote(str(path))}")


class Endpoints(Struct, frozen=True):
    """Paths below the server's URL; `<id>` stands for the model."""

    models: str = "/v1/models"
    running: str = "/running"
    unload: str = "/api/models/unload/<id>"
    unload_all: str = "/api/models/unload"
    upstream_health: str = "/upstream/<id>/health"


class ActivitySettings(Struct, frozen=True):
    """How long activity is kept, in `days` (0: not at all) and `megabytes`; the price of a kilowatt-hour."""

    days: int = 90
    megabytes: int = 200
    electricity_price: float | None = None


class Server(Struct, frozen=True):
    """Where a server is, how to reach it, and what may be done there.

    `url` has no trailing slash, query or user info; a path in it stays in front of every path.
    `identity` is the name in `config.toml`, else the URL: load times, measurements and the journal
    are stored under it. `ca`, `client_cert` and `client_key` are None if the server needs none:
    without `ca` the system's trust store is used. `unused_certificates` is a directory with a client
    certificate that isn't this server's, if it has none. `basic_auth` is user and password, set or of the
    URL. `timeout` is in seconds. `ssh_host` is empty if the host isn't administered from here,
    "local" for this machine. `ssh_home` is the home directory with the SSH settings, if it isn't
    the user's own. `read_only` refuses loads, unloads, everything on the host, and a chat with a
    model that isn't loaded. `proxy_ssh_host` is the machine of the reverse proxy, in the words of
    `ssh_host`, `proxy_dir` its directory there and `proxy_reload` the command that reloads it, run in that
    directory. `clients` are names of its clients by address, `llama_servers` more
    programs that take llama-server's flags, by path, file name or image. `activity` says how long what it did is kept. `origins`
    maps a setting's name to the place its value came from.
    """

    url: str
    identity: str
    name: str = ""
    is_default: bool = False
    ca: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    client_key_password: str | None = None
    unused_certificates: Path | None = None
    api_key: str | None = None
    basic_auth: tuple[str, str] | None = None
    timeout: float = 300.0
    ssh_host: str = ""
    ssh_home: Path | None = None
    preset_path: str = "~/.config/llama-swap/config.yaml"
    service_unit: str = "llama-swap.service"
    proxy_ssh_host: str = ""
    proxy_dir: str = "/etc/caddy"
    proxy_reload: str = "caddy reload"
    endpoints: Endpoints = field(default_factory=Endpoints)
    color: str = ""
    read_only: bool = False
    clients: Mapping[str, str] = field(default_factory=dict)
    llama_servers: frozenset[str] = frozenset()
    activity: ActivitySettings = ActivitySettings()
    origins: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Server({self.identity!r})"  # without its secrets

    @property
    def label(self) -> str:
        """The server's name in the header, else the host and port of its URL."""
        return self.name or self.identity.split("://", 1)[-1].split("/", 1)[0]

    @property
    def port(self) -> int:
        """The port of its URL, by default that of the scheme."""
        return _port(urlsplit(self.url))

    @property
    def is_loopback(self) -> bool:
        """Whether its URL names this machine itself."""
        # 4 ms, and `aitui --help` needs none of it.
        from ipaddress import ip_address

        host = urlsplit(self.url).hostname or ""
        if host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return False

    def has_url(self, url: str) -> bool:
        """Whether a URL is the server's, however host, port and a slash at the end are written."""
        try:
            return _address(url) == _address(self.url)
        except ValueError:
            return False  # no port, or no IPv6 address

    @property
    def certificate_files(self) -> tuple[tuple[str, Path], ...]:
        """The certificate files that are set, each with the words for what it is."""
        named = (
            ("certificate authority", self.ca),
            ("client certificate", self.client_cert),
            ("client key", self.client_key),
        )
        return tuple((what, path) for what, path in named if path is not None)

    def refuse_if_read_only(self, action: str) -> None:
        """Raise ActionRefused, before anything is sent, if the settings allow no change."""
        if self.read_only:
            raise ActionRefused(
                f"{action} is refused: {self.label} is read-only",
                why=f"set by {self.origins.get('read_only', 'its settings')}",
                remedy="start aitui without it to make changes there",
            )


def _port(parts: SplitResult) -> int:
    return parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)


def _address(url: str) -> tuple[str, str, int, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", _port(parts), parts.path.rstrip("/")
