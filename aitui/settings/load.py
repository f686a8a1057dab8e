"""The chosen server, and every setting with its origin.

Defaults, then config.toml, then the environment, then flags; the later wins. Which server:

1. `--server NAME`: that table of config.toml. `--url URL`: the unnamed server, at that URL.
2. Else AI_SERVER_URL: the unnamed server. The other variables describe it and choose nothing.
3. Else `default = "NAME"` of config.toml.
4. Else the unnamed server at the default URL, if one of its certificate files exists.
5. Else none: the unnamed server is neither contacted nor listed.

A server of config.toml takes everything from there. The environment describes the unnamed server:
AI_SERVER_URL, or else the default URL, unless `--url` names another. If AI_SERVER_URL and `--url`
name different servers, the other variables belong to the first: its keys, certificates and SSH host
are not sent to a second server. Empty variables count as unset; only an empty AI_SERVER_SSH_HOST
or AI_SERVER_CERTS_DIR means none.

The defaults of certificates and SSH host hold at the default URL. The directory of the certificates
holds for an https AI_SERVER_URL as well, if it has the files: `--url` and config.toml don't inherit
it, so no certificate goes to a server that it wasn't meant for. Such a server knows only where they
are, to say so if it asks for one. Without TLS none is used, wherever it was set.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from aitui.domain.server import ActivitySettings, Endpoints, Server, copy_command
from aitui.errors import Action, CertificateFileError, SettingsError
from aitui.settings import table
from aitui.settings.address import ServerAddress, read_address, with_scheme
from aitui.settings.raw import RawValue, SettingsFlags
from aitui.settings.table import DEFAULT_URL, Setting
from aitui.settings.toml import SettingsFile, read_config_file

T = TypeVar("T")


def build_server(
    given: Mapping[str, RawValue],
    address: ServerAddress,
    *,
    home: Path,
    name: str = "",
    read_only: bool = False,
    finds_certificates: bool = False,
    other_certificates: RawValue | None = None,
) -> Server:
    """Build the server at `address`; certificates and SSH host have defaults at DEFAULT_URL.

    `read_only` is what the command line says, whatever else is `given`. `finds_certificates` takes
    those in the default directory, if they are there; `other_certificates` is a directory that
    belongs to another server. Raises SettingsError.
    """
    is_default = not name and address.url == DEFAULT_URL
    values = _SettingsReader(given, home, at_default_url=is_default)
    files = values.certificates(find=finds_certificates and address.uses_tls)
    if "client_key" in given and "client_cert" not in files:
        raise given["client_key"].error("a client_cert with it")
    if not address.uses_tls:
        files = {}
    unused = None
    if address.uses_tls and "client_cert" not in files:
        unused = values.unused_certificates(other_certificates)
    values.origins["url"] = given["url"].origin if "url" in given else "default"
    if read_only:
        values.origins["read_only"] = "flag --read-only"
    return Server(
        url=address.url,
        identity=name or address.url,
        name=name,
        is_default=is_default,
        basic_auth=values.basic_auth() or address.user_info,
        ca=files.get("ca"),
        client_cert=files.get("client_cert"),
        client_key=files.get("client_key"),
        client_key_password=values.read(table.CLIENT_KEY_PASSWORD),
        unused_certificates=unused,
        api_key=values.read(table.API_KEY),
        timeout=values.read(table.TIMEOUT),
        ssh_host=values.read(table.SSH_HOST),
        preset_path=values.read(table.PRESET_PATH),
        service_unit=values.read(table.SERVICE_UNIT),
        proxy_ssh_host=values.read(table.PROXY_SSH_HOST),
        proxy_dir=values.read(table.PROXY_DIR),
        proxy_reload=values.read(table.PROXY_RELOAD),
        endpoints=Endpoints(*(values.read(setting) for setting in table.ENDPOINTS)),
        color=values.read(table.COLOR),
        read_only=read_only or values.read(table.READ_ONLY),
        origins=values.origins,
    )


class _SettingsReader:
    """Reads values, and notes where each came from."""

    def __init__(
        self, given: Mapping[str, RawValue], home: Path, *, at_default_url: bool = False
    ) -> None:
        self._raw_values = given
        self._home = home
        self._at_default_url = at_default_url
        self.origins: dict[str, str] = {}

    def basic_auth(self) -> tuple[str, str] | None:
        """Read user and password, None if neither is set."""
        user, password = self.read(table.USERNAME), self.read(table.PASSWORD)
        return None if user is None and password is None else (user or "", password or "")

    def read(self, setting: Setting[T]) -> T:
        """Return the given value, else the default."""
        given = self._raw_values.get(setting.name)
        self.origins[setting.field or setting.name] = "default" if given is None else given.origin
        return self._default(setting) if given is None else setting.read(given, self._home)

    def _default(self, setting: Setting[T]) -> T:
        if self._at_default_url and setting.at_default_url is not None:
            return setting.at_default_url
        return setting.default

    def certificates(self, *, find: bool = False) -> dict[str, Path]:
        """Return the configured certificate files, set one by one or by their folder.

        `find` takes the default folder if it has all of them.
        """
        default = self._default(table.CERTS_DIR)
        if default is None and find and _has_files(self._usual_folder, table.CERTIFICATES):
            default = self._usual_folder
        folder = None if default is None else self._home / default
        of_folder = "default"
        if (certs_dir := self._raw_values.get(table.CERTS_DIR.name)) is not None:
            folder, of_folder = table.CERTS_DIR.read(certs_dir, self._home), certs_dir.origin
        files = {}
        for setting in table.CERTIFICATES:
            given = self._raw_values.get(setting.name)
            self.origins[setting.name] = of_folder if given is None else given.origin
            file = None if folder is None else folder / setting.shown
            if given is not None:
                file = setting.read(given, self._home)
            if file is not None:
                files[setting.name] = file
        return files

    def unused_certificates(self, other: RawValue | None) -> Path | None:
        """Return the folder with a client certificate that isn't this server's, if there is one."""
        named = [] if other is None else [table.CERTS_DIR.read(other, self._home)]
        return next(
            (
                folder
                for folder in (*named, self._usual_folder)
                if folder is not None and _has_files(folder, (table.CLIENT_CERT, table.CLIENT_KEY))
            ),
            None,
        )

    @property
    def _usual_folder(self) -> Path:
        return self._home / (table.CERTS_DIR.at_default_url or "")


class Settings(Struct, frozen=True):
    """All settings of one run.

    `server` is the chosen one, `servers` all that a key switches between, the unnamed one first.
    Where nothing names a server `has_server` is False: `server` is then only what the variables
    describe, isn't in `servers`, and must be neither contacted nor shown.
    `fps` is the most frames a second; `notifications` says whether a load that ends while another
    window or view is in front rings the bell. `llama_server_programs` take llama-server's flags,
    whatever they are called. `config_file` is None if there is none. `origins` says
    where these came from, and who chose `server`; a server's own values are in its `origins`.
    `ignored` are the variables that describe the unnamed server while another one is chosen, or none.
    `template` has what every server at a URL typed later has.
    """

    server: Server
    servers: tuple[Server, ...]
    has_server: bool = True
    fps: int = table.FPS.default
    notifications: bool = table.NOTIFICATIONS.default
    config_file: Path | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    template: Server = Server(url="", identity="")

    @property
    def missing_certificates(self) -> tuple[tuple[str, Path], ...]:
        """`missing_certificates` of the chosen server. Reads the disk each time."""
        return missing_certificates(self.server)


def missing_certificates(server: Server) -> tuple[tuple[str, Path], ...]:
    """Return the default server's missing certificate files, each with its description.

    Empty for every other server, and for unreadable files: connecting says what is wrong with
    them. Blocks on the disk.
    """
    if not server.is_default:
        return ()
    return tuple((what, path) for what, path in server.certificate_files if _is_missing(path))


async def require_certificates(server: Server) -> None:
    """Raise CertificateFileError if certificate files are set and missing."""
    # Reading the command line must not pay for asyncio and ssl: `aitui --help` ends before it.
    import asyncio

    missing = await asyncio.to_thread(missing_certificates, server)
    if missing:
        gone = {path for _, path in missing}
        found = [
            f"{'missing' if path in gone else 'there'}: {path} ({what})"
            for what, path in server.certificate_files
        ]
        commands = [copy_command(path) for _, path in missing]
        raise CertificateFileError(
            "The default server requires a client certificate, and files are missing",
            why="\n".join((*found, "", *commands)),
            remedy="copy them from where they were made, or choose another server with --url or "
            "AI_SERVER_URL",
        )


def require_server(settings: Settings) -> Server:
    """Return the chosen server. Raises SettingsError if nothing names one."""
    if settings.has_server:
        return settings.server
    why = "neither config.toml nor AI_SERVER_URL names one"
    if settings.servers:
        names = ", ".join(server.name for server in settings.servers)
        why = f"config.toml has {names}, and no default"
    raise SettingsError(
        "There is no server yet",
        why=why,
        remedy="add one, set default in config.toml, or pass a URL like --url http://localhost:8080",
        action=Action.ADD_SERVER,
    )


def read_settings(
    flags: SettingsFlags, environment: Mapping[str, str], config_dir: Path, home: Path
) -> Settings:
    """Read all settings. Blocks on the disk.

    Raises SettingsError that names the wrong value, its origin, and what is expected, also for a
    server that wasn't chosen.
    """
    if flags.server is not None and flags.url is not None:
        raise SettingsError(
            "--server and --url: expected only one of them, as each chooses a server"
        )
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
    given = dict(config.top)
    if flags.fps is not None:
        given[table.FPS.name] = RawValue.from_flag("--fps", flags.fps)
    values = _SettingsReader(given, home)
    default = values.read(table.DEFAULT_SERVER)
    variables = (known.variable for known in table.SERVER_SETTINGS if known.name in described)
    server, why = _choose_server(flags, described, config, default, {"": unnamed, **named})
    clients = values.read(table.CLIENTS)
    programs = values.read(table.LLAMA_SERVER_PROGRAMS)
    activity = ActivitySettings(
        values.read(table.ACTIVITY_DAYS),
        values.read(table.ACTIVITY_MEGABYTES),
        values.read(table.ELECTRICITY_PRICE),
    )
    template = Server("", "", read_only=flags.read_only)
    is_unnamed_known = flags.url is not None or "url" in described or has_certificates(unnamed)
    listed = (unnamed, *named.values()) if is_unnamed_known else (*named.values(),)
    template, server, *servers = (
        replace(one, clients=clients, llama_servers=frozenset(programs), activity=activity)
        for one in (template, server, *listed)
    )
    has_server = bool(server.name) or is_unnamed_known
    return Settings(
        server=server,
        servers=tuple(servers),
        has_server=has_server,
        fps=values.read(table.FPS),
        notifications=values.read(table.NOTIFICATIONS),
        config_file=config.path,
        origins={**values.origins, "server": why},
        ignored=tuple(variables) if server.name or not has_server else (),
        template=template,
    )


def server_at(
    url: str,
    home: Path,
    template: Server,
    *,
    name: str = "",
    **typed: str,
) -> Server:
    """Build the server at a URL that was typed at run time, with other settings by their keys.

    Empty texts are left out; what isn't of one server is that of `template`. Raises SettingsError.
    """
    texts = {"url": with_scheme(url.strip()), **typed}
    given = {
        key: RawValue(text, prefix="", place="typed", origin="typed", base=Path.cwd())
        for key, text in texts.items()
        if text
    }
    url_given = given.get("url") or RawValue("", prefix="", place="typed", origin="typed")
    server = build_server(
        given, read_address(url_given), home=home, name=name, read_only=template.read_only
    )
    return replace(
        server,
        clients=template.clients,
        llama_servers=template.llama_servers,
        activity=template.activity,
    )


def _environment_settings(environment: Mapping[str, str]) -> dict[str, RawValue]:
    described = {}
    for setting in table.SERVER_SETTINGS:
        text = environment.get(setting.variable) if setting.variable else None
        if text or (text is not None and setting.takes_empty):
            described[setting.name] = RawValue.from_variable(setting.variable, text)
    return described


def _build_unnamed_server(
    flags: SettingsFlags, described: Mapping[str, RawValue], home: Path
) -> Server:
    there = read_address(described["url"]) if "url" in described else ServerAddress(DEFAULT_URL)
    if flags.url is None:
        return build_server(
            described,
            there,
            home=home,
            read_only=flags.read_only,
            finds_certificates="url" in described,
        )
    url = RawValue.from_flag("--url", flags.url)
    here = read_address(url)
    of_another = "url" in described and there.url != here.url
    given = {"url": url} if of_another else {**described, "url": url}
    return build_server(
        given,
        here,
        home=home,
        read_only=flags.read_only,
        other_certificates=described.get(table.CERTS_DIR.name) if of_another else None,
    )


def _choose_server(
    flags: SettingsFlags,
    described: Mapping[str, RawValue],
    config: SettingsFile,
    default: str,
    servers: Mapping[str, Server],
) -> tuple[Server, str]:
    """Return the chosen server and where it was chosen; the unnamed one has an empty name."""
    by_default = config.top.get(table.DEFAULT_SERVER.name)
    if default not in servers and by_default is not None:
        raise config.no_such_server(by_default)
    if flags.server is not None:
        given = RawValue.from_flag("--server", flags.server)
        if flags.server not in config.servers:
            raise config.no_such_server(given)
        return servers[flags.server], given.origin
    if flags.url is not None:
        return servers[""], "flag --url"
    if "url" in described:
        return servers[""], described["url"].origin
    if by_default is not None:
        return servers[default], by_default.origin
    return servers[""], "its certificate files" if has_certificates(servers[""]) else "default"


def has_certificates(server: Server) -> bool:
    """Whether at least one of the certificate files that are set is there. Blocks on the disk."""
    return any(not _is_missing(path) for _, path in server.certificate_files)


def _has_files(folder: Path, certificates: Iterable[Setting[Path | None]]) -> bool:
    return not any(_is_missing(folder / setting.shown) for setting in certificates)


def _is_missing(path: Path) -> bool:
    try:
        return not path.exists()
    except PermissionError:
        return False
