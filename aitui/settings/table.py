"""Every setting, once: its key, its variable, its default, how it is read, and what it means."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from msgspec import Struct

from aitui.domain.server import Server
from aitui.settings import values
from aitui.settings.address import ServerAddress, read_address
from aitui.settings.raw import RawValue

DEFAULT_URL = "https://ai.shahondin1624.de"

_PLAIN = Server(url="", identity="")
T = TypeVar("T")


class Setting(Struct, Generic[T], frozen=True):
    """One setting: `name` is its key in config.toml, `aliases` are other spellings of the key.

    `default` holds wherever nothing sets it, `at_default_url` in its place for the built-in server.
    `shown` is the default in words, empty for `default` itself. `field` is that of Server, empty
    for `name`. `takes_empty` says that an empty text means none instead of unset.
    """

    name: str
    words: str
    default: T
    read: Callable[[RawValue, Path], T]
    at_default_url: T | None = None
    shown: str = ""
    field: str = ""
    aliases: tuple[str, ...] = ()
    in_environment: bool = True
    takes_empty: bool = False

    @property
    def variable(self) -> str:
        """Return the environment variable, "" if there is none."""
        return f"AI_SERVER_{self.name.upper()}" if self.in_environment else ""

    @property
    def default_text(self) -> str:
        """Return the default as it would be written."""
        return self.shown or str(self.at_default_url or self.default)


def _value(read: Callable[[RawValue], T]) -> Callable[[RawValue, Path], T]:
    """Read what needs no home directory."""
    return lambda given, _: read(given)


def _text(name: str, words: str, *, example: str = "") -> Setting[str]:
    default: str = getattr(_PLAIN, name)
    return Setting(
        name, words, default, lambda given, _: values.read_text(given, example or default)
    )


def _ssh_host(
    name: str, words: str, *, at_default_url: str | None = None, shown: str = ""
) -> Setting[str]:
    return Setting(
        name, words, "", _value(values.read_ssh_host), at_default_url, shown, takes_empty=True
    )


def _endpoint(name: str, words: str) -> Setting[str]:
    default: str = getattr(_PLAIN.endpoints, name)

    def read(given: RawValue, _: Path) -> str:
        return values.read_endpoint(given, of_model="<id>" in default, example=default)

    return Setting(f"{name}_path", words, default, read)


def _file(name: str, words: str, *, shown: str) -> Setting[Path | None]:
    return Setting(name, words, None, values.read_file_path, shown=shown)


URL = Setting(
    "url", "the server's URL", ServerAddress(DEFAULT_URL), _value(read_address), shown=DEFAULT_URL
)
CERTS_DIR: Setting[Path | None] = Setting(
    "certs_dir",
    "the directory that holds the next three",
    None,
    lambda given, home: None if given.value == "" else values.read_file_path(given, home),
    at_default_url=Path(".pi/agent/certs"),
    shown="~/.pi/agent/certs",
    takes_empty=True,
)
CA = _file("ca", "the authority that signed the server's certificate", shown="root-ca.pem")
CLIENT_CERT = _file("client_cert", "this client's certificate", shown="client.pem")
CLIENT_KEY = _file("client_key", "its private key", shown="client-key.pem")
CLIENT_KEY_PASSWORD: Setting[str | None] = Setting(
    "client_key_password",
    "the password of an encrypted key",
    None,
    _value(values.read_password),
    shown="none",
)
API_KEY: Setting[str | None] = Setting(
    "api_key",
    "the API key, if llama-swap requires one",
    None,
    _value(values.read_api_key),
    shown="none",
)
USERNAME: Setting[str | None] = Setting(
    "username",
    "the user name, if a proxy requires Basic authentication",
    None,
    _value(values.read_username),
    shown="none",
)
PASSWORD: Setting[str | None] = Setting(
    "password", "that user's password", None, _value(values.read_password), shown="none"
)
TIMEOUT = Setting(
    "timeout_ms",
    "the time limit for a load without progress, and for a pause in a reply",
    _PLAIN.timeout,
    _value(values.read_timeout),
    shown="300000",
    field="timeout",
)
SSH_HOST = _ssh_host(
    "ssh_host",
    "the SSH host of the server; `local` for this machine",
    at_default_url="ai-server@192.168.2.3",
)
# `~` is expanded on the server's machine, not here.
PRESET_PATH = _text("preset_path", "llama-swap's config file on that machine")
SERVICE_UNIT = Setting(
    "service_unit",
    "the systemd user unit that runs llama-swap",
    _PLAIN.service_unit,
    _value(values.read_service_unit),
)
PROXY_SSH_HOST = _ssh_host(
    "proxy_ssh_host", "the SSH host of the reverse proxy; `local` for this machine", shown="none"
)
PROXY_DIR = _text("proxy_dir", "the directory with Caddyfile and certs/ on that machine")
PROXY_RELOAD = _text(
    "proxy_reload",
    "the command that reloads the proxy, run in that directory",
    example="docker compose exec -T caddy caddy reload",
)
ENDPOINTS = tuple(
    _endpoint(name, words)
    for name, words in (
        ("models", "the path that lists the models"),
        ("running", "the path that lists running models"),
        ("unload", "the path that unloads one model"),
        ("unload_all", "the path that unloads all models"),
        ("upstream_health", "the path that reports whether a model is ready"),
    )
)
COLOR = Setting(
    "color",
    "a color for this server",
    _PLAIN.color,
    _value(values.read_color),
    shown="none",
    aliases=("colour",),
    in_environment=False,
)
READ_ONLY = Setting(
    "read_only",
    "do not load, unload or change anything",
    _PLAIN.read_only,
    _value(values.read_bool),
    shown="false",
    in_environment=False,
)

CERTIFICATES = (CA, CLIENT_CERT, CLIENT_KEY)
"""The certificate files; `shown` is the name of each in `certs_dir`."""

SERVER_SETTINGS: tuple[Setting[Any], ...] = (
    URL, CERTS_DIR, *CERTIFICATES, CLIENT_KEY_PASSWORD, API_KEY, USERNAME, PASSWORD, TIMEOUT, SSH_HOST,
    PRESET_PATH, SERVICE_UNIT, PROXY_SSH_HOST, PROXY_DIR, PROXY_RELOAD, *ENDPOINTS, COLOR, READ_ONLY,
)  # fmt: skip
"""The settings of a `[servers.NAME]`; those with a variable can be set in the environment too."""

DEFAULT_SERVER = Setting(
    "default",
    "the name of the server to open",
    "",
    lambda given, _: values.read_text(given, "home"),
    shown="none",
    in_environment=False,
)
# A paused screen of Textual 8.2.8 draws at once, but what isn't mounted by then waits for one or two
# whole frames: at 20 a second that was half of the 200 ms that the chat took to open. A stream
# is drawn 20 times a second whatever this is, so 60 costs it no CPU, and 16 % more bytes.
FPS = Setting(
    "fps",
    "the maximum frames per second; `--fps N` overrides it",
    60,
    _value(values.read_fps),
    in_environment=False,
)
NOTIFICATIONS = Setting(
    "notifications",
    "ring the bell and send OSC 9 when a load ends while the terminal is out of focus",
    True,
    _value(values.read_bool),
    shown="true",
    in_environment=False,
)
LLAMA_SERVER_PROGRAMS: Setting[tuple[str, ...]] = Setting(
    "llama_server_programs",
    "scripts and images that accept llama-server's flags",
    (),
    _value(values.read_programs),
    shown="none",
    in_environment=False,
)
CLIENTS: Setting[Mapping[str, str]] = Setting(
    "clients",
    "a table of client names by address",
    MappingProxyType({}),
    _value(values.read_clients),
    shown="none",
    in_environment=False,
)
ACTIVITY_DAYS = Setting(
    "activity_days",
    "the days that activity is kept on this machine; 0 records none",
    _PLAIN.activity.days,
    _value(values.read_activity_days),
    in_environment=False,
)
ACTIVITY_MEGABYTES = Setting(
    "activity_megabytes",
    "the size that the record of activity may grow to",
    _PLAIN.activity.megabytes,
    _value(values.read_activity_megabytes),
    in_environment=False,
)
ELECTRICITY_PRICE: Setting[float | None] = Setting(
    "electricity_price",
    "the price of a kilowatt-hour, for the estimated cost of models",
    None,
    _value(values.read_price),
    shown="none",
    in_environment=False,
)

TOP_SETTINGS: tuple[Setting[Any], ...] = (
    DEFAULT_SERVER, FPS, NOTIFICATIONS, LLAMA_SERVER_PROGRAMS, CLIENTS, ACTIVITY_DAYS,
    ACTIVITY_MEGABYTES, ELECTRICITY_PRICE,
)  # fmt: skip
"""The top-level settings of config.toml."""
