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

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aitui.domain.server import Server
from aitui.errors import SettingsError
from aitui.settings.address import ServerAddress, read_address
from aitui.settings.config_file import SettingsFile, read_config_file
from aitui.settings.flags import SettingsFlags
from aitui.settings.given import RawValue
from aitui.settings.names import IN_ENVIRONMENT, variable_name
from aitui.settings.server import DEFAULT_URL, build_server
from aitui.settings.values import read_bool, read_fps, read_text

DEFAULT_FPS = 20


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one run.

    `server` is the chosen one, `servers` all that a key switches between, the unnamed one first.
    `fps` is the most frames a second; `notifications` whether somebody who is elsewhere is called
    when a load ends. `config_file` is None where there is none. `origins` says where these came
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
    where the value belongs to a server that wasn't chosen.
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

    Raises SettingsError where the URL can't be one.
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
