"""Which server is meant, and every value of it with its origin.

Defaults, then config.toml, then the environment, then flags; the later wins. Which server:

1. `--server NAME`: that table of config.toml. `--url URL`: the unnamed server, at that URL.
2. Else any AI_SERVER_* variable that is set: the unnamed server. The environment beats config.toml.
3. Else `default = "NAME"` of config.toml, else the unnamed server at the default URL.

A server of config.toml takes everything from there. The environment describes the unnamed server:
AI_SERVER_URL, or else the default URL, unless `--url` names another. Where both AI_SERVER_URL and
`--url` name a server and it isn't the same one, the other variables stay with the first: its keys,
certificates and SSH host are nothing to a second server. Variables that are empty count as unset,
only an empty AI_SERVER_SSH_HOST means: none.

The defaults of certificates and SSH host hold at the default URL and nowhere else. Without TLS no
certificate is used, wherever it was set.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from aitui.domain.snapshot import Endpoints, Server
from aitui.errors import SettingsError
from aitui.settings.address import ServerAddress, read_address
from aitui.settings.raw import CERTIFICATES, IN_ENVIRONMENT, RawValue, SettingsFlags, variable_name
from aitui.settings.toml import SettingsFile, read_config_file
from aitui.settings.values import (
    read_api_key,
    read_bool,
    read_color,
    read_endpoint,
    read_file_path,
    read_fps,
    read_password,
    read_service_unit,
    read_ssh_host,
    read_text,
    read_timeout,
)

DEFAULT_URL = "https://ai.shahondin1624.de"

_CERTS_DIR = ".pi/agent/certs"
_SSH_HOST = "ai-server@192.168.2.3"
_PLAIN = Server(url="", identity="")
_T = TypeVar("_T")


def build_server(
    given: Mapping[str, RawValue],
    address: ServerAddress,
    *,
    home: Path,
    name: str = "",
    read_only: bool = False,
) -> Server:
    """The server at `address`; the defaults of certificates and SSH host hold at DEFAULT_URL only.

    `read_only` is what the command line says, whatever else is `given`. Raises SettingsError.
    """
    is_default = not name and address.url == DEFAULT_URL
    values = _ServerSettingsReader(given, home)
    files = values.certificates(home / _CERTS_DIR if is_default else None)
    if "client_key" in given and "client_cert" not in files:
        raise given["client_key"].error("a client_cert beside it")
    if not address.uses_tls:
        files = {}
    if read_only:
        values.origins["read_only"] = "flag --read-only"
    return Server(
        url=address.url,
        identity=name or address.url,
        name=name,
        is_default=is_default,
        basic_auth=address.user_info,
        ca=files.get("ca"),
        client_cert=files.get("client_cert"),
        client_key=files.get("client_key"),
        client_key_password=values.read("client_key_password", read_password, None),
        api_key=values.read("api_key", read_api_key, None),
        timeout=values.read("timeout_ms", read_timeout, _PLAIN.timeout, field="timeout"),
        ssh_host=values.read("ssh_host", read_ssh_host, _SSH_HOST if is_default else ""),
        preset_path=values.read("preset_path", _read_preset_path, _PLAIN.preset_path),
        service_unit=values.read("service_unit", read_service_unit, _PLAIN.service_unit),
        endpoints=values.endpoints(),
        color=values.read("colour", read_color, _PLAIN.color),
        read_only=read_only or values.read("read_only", read_bool, _PLAIN.read_only),
        origins=values.origins,
    )


class _ServerSettingsReader:
    """Reads the values of one server, and notes where each came from."""

    def __init__(self, given: Mapping[str, RawValue], home: Path) -> None:
        self._raw_values = given
        self._home = home
        self.origins = {"url": given["url"].origin if "url" in given else "default"}

    def read(
        self, setting: str, reader: Callable[[RawValue], _T], default: _T, *, field: str = ""
    ) -> _T:
        given = self._raw_values.get(setting)
        self.origins[field or setting] = "default" if given is None else given.origin
        return default if given is None else reader(given)

    def certificates(self, default_folder: Path | None) -> dict[str, Path]:
        """The certificate files that are set, one by one or by their folder."""
        folder, of_folder = default_folder, "default"
        if (certs_dir := self._raw_values.get("certs_dir")) is not None:
            folder, of_folder = read_file_path(certs_dir, self._home), certs_dir.origin
        files = {}
        for setting, file_name in CERTIFICATES.items():
            given = self._raw_values.get(setting)
            self.origins[setting] = of_folder if given is None else given.origin
            if given is not None:
                files[setting] = read_file_path(given, self._home)
            elif folder is not None:
                files[setting] = folder / file_name
        return files

    def endpoints(self) -> Endpoints:
        plain = _PLAIN.endpoints
        return Endpoints(
            models=self._endpoint("models_path", plain.models),
            running=self._endpoint("running_path", plain.running),
            unload=self._endpoint("unload_path", plain.unload),
            unload_all=self._endpoint("unload_all_path", plain.unload_all),
            upstream_health=self._endpoint("upstream_health_path", plain.upstream_health),
        )

    def _endpoint(self, setting: str, default: str) -> str:
        return self.read(
            setting,
            lambda given: read_endpoint(given, of_model="<id>" in default, example=default),
            default,
        )


def _read_preset_path(given: RawValue) -> str:
    """A path on the server's host: `~` is expanded there, not here."""
    return read_text(given, _PLAIN.preset_path)


DEFAULT_FPS = 20


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one run.

    `server` is the chosen one, `servers` all that a key switches between, the unnamed one first.
    `fps` is the most frames a second; `notifications` whether somebody who is elsewhere is called
    when a load ends. `config_file` is None if there is none. `origins` says where these came
    from, and who chose `server`; a server's own values are in its `origins`.
    """

    server: Server
    servers: tuple[Server, ...]
    fps: int = DEFAULT_FPS
    notifications: bool = True
    config_file: Path | None = None
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing_certificates(self) -> tuple[tuple[str, Path], ...]:
        """`missing_certificates` of the chosen server. Looks at the disk each time."""
        return missing_certificates(self.server)


def missing_certificates(server: Server) -> tuple[tuple[str, Path], ...]:
    """The default server's certificate files that aren't there, each with the words for it.

    Empty for every other server, and for files that are there and can't be read: connecting to
    it says what is wrong. Blocks on the disk.
    """
    if not server.is_default:
        return ()
    return tuple((what, path) for what, path in server.certificate_files if _is_missing(path))


def read_settings(
    flags: SettingsFlags, environment: Mapping[str, str], config_dir: Path, home: Path
) -> Settings:
    """Put the settings together. Blocks on the disk.

    Raises SettingsError that names the wrong value, its origin, and what would be right, also
    if the value belongs to a server that wasn't chosen.
    """
    if flags.server is not None and flags.url is not None:
        raise SettingsError("--server and --url: expected one of the two, each chooses a server")
    config = read_config_file(
        flags.config or config_dir / "config.toml", required=flags.config is not None
    )
    described = _environment_settings(environment)
    unnamed = _build_unnamed_server(flags, described, home)
    named = {
        name: build_server(
            given, read_address(given["url"]), home=home, name=name, read_only=flags.read_only
        )
        for name, given in config.servers.items()
    }
    server, why = _choose_server(flags, described, config, unnamed, named)
    fps = RawValue.from_flag("--fps", flags.fps) if flags.fps is not None else config.fps
    return Settings(
        server=server,
        servers=(unnamed, *named.values()),
        fps=DEFAULT_FPS if fps is None else read_fps(fps),
        notifications=config.notifications is None or read_bool(config.notifications),
        config_file=config.path,
        origins={
            "server": why,
            "fps": "default" if fps is None else fps.origin,
            "notifications": config.notifications.origin if config.notifications else "default",
        },
    )


def server_at(url: str, home: Path, *, read_only: bool = False) -> Server:
    """The server at a URL that was typed while aitui runs, with nothing else known about it.

    Raises SettingsError if the URL can't be one.
    """
    given = RawValue(url, prefix="", place="typed", origin="typed")
    return build_server({"url": given}, read_address(given), home=home, read_only=read_only)


def _environment_settings(environment: Mapping[str, str]) -> dict[str, RawValue]:
    """The settings that the environment holds."""
    described = {}
    for setting in IN_ENVIRONMENT:
        text = environment.get(variable_name(setting))
        if text or (text is not None and setting == "ssh_host"):
            described[setting] = RawValue.from_variable(variable_name(setting), text)
    return described


def _build_unnamed_server(
    flags: SettingsFlags, described: Mapping[str, RawValue], home: Path
) -> Server:
    there = read_address(described["url"]) if "url" in described else ServerAddress(DEFAULT_URL)
    if flags.url is None:
        return build_server(described, there, home=home, read_only=flags.read_only)
    url = RawValue.from_flag("--url", flags.url)
    here = read_address(url)
    of_another = "url" in described and there.url != here.url
    given = {"url": url} if of_another else {**described, "url": url}
    return build_server(given, here, home=home, read_only=flags.read_only)


def _choose_server(
    flags: SettingsFlags,
    described: Mapping[str, RawValue],
    config: SettingsFile,
    unnamed: Server,
    named: Mapping[str, Server],
) -> tuple[Server, str]:
    """The server that is meant, and the place that says so."""
    default = "" if config.default is None else read_text(config.default, "home")
    if config.default is not None and default not in named:
        raise config.no_such_server(config.default)
    if flags.server is not None:
        given = RawValue.from_flag("--server", flags.server)
        if flags.server not in named:
            raise config.no_such_server(given)
        return named[flags.server], given.origin
    if flags.url is not None:
        return unnamed, "flag --url"
    if described:
        return unnamed, next(iter(described.values())).origin
    if config.default is not None:
        return named[default], config.default.origin
    return unnamed, "default"


def _is_missing(path: Path) -> bool:
    try:
        return not path.exists()
    except PermissionError:
        return False
