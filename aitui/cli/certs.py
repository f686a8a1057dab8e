"""`aitui certs` on the command line."""

import asyncio
import shlex
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from msgspec import to_builtins
from msgspec.structs import replace

from aitui.cli.arguments import Arguments
from aitui.cli.output import print_lines
from aitui.cli.session import read_line
from aitui.domain.certs import WARNING_DAYS, Purpose, common_name, days_left, hosts_of
from aitui.domain.checks import exit_code
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import Server
from aitui.errors import (
    ActionRefused,
    AituiError,
    FilePermissionDenied,
    NoSuchFile,
    SettingsError,
)
from aitui.format.doctor import as_json, as_lines, summary
from aitui.format.report import format_json
from aitui.format.styled import Span
from aitui.host.base import Host, expand_home
from aitui.host.local import LocalHost
from aitui.host.open import LOCAL, open_host
from aitui.services.certs.authority import Authority, HostAuthority, LocalAuthority
from aitui.services.certs.check import check_folder, list_certificates
from aitui.services.certs.folder import (
    CA,
    CLIENT_PAIR,
    GUIDE_PAIR,
    LEGACY_P12,
    SERVER_PAIR,
    CertFolder,
    CertPair,
)
from aitui.services.certs.issue import (
    UNPROTECTED,
    CertChange,
    client_certificate,
    create_authority,
    issue,
    pack,
    pack_there,
    server_certificate,
)
from aitui.services.certs.renew import Renewal, pairs_to_renew, renew, renew_authority
from aitui.services.certs.revoke import caddy_matcher, revoke
from aitui.settings import Settings

_NO_SERVER = Server(url="", identity="")


async def run_certs(arguments: Arguments, settings: Settings | SettingsError) -> int:
    """Run an action of `certs`; return the exit status. Raises AituiError."""
    if arguments.there and not arguments.ca_host:
        raise SettingsError("--there needs a host", remedy="add --on HOST")
    changes = arguments.ca_host and arguments.action not in {"show", "check"}
    if changes and isinstance(settings, Settings):
        settings.server.refuse_if_read_only(f"Changing certificates on {arguments.ca_host}")
    try:
        async with _places(arguments, settings) as places:
            return await _ACTIONS[arguments.action](arguments, places)
    except FilePermissionDenied as error:
        owner = f"--on OWNER@{arguments.ca_host}" if arguments.ca_host else "as the owner"
        remedy = f"run it {owner}, or name another directory"
        raise AituiError(error.what, why=error.why, remedy=remedy) from error


class _Places:
    """Where things are: `folder` of this machine, and `authority` with the CA.

    `ask` returns the password of a client's key: that of the settings, or an answer.
    """

    def __init__(
        self, folder: CertFolder | None, authority: Authority, settings: Settings | SettingsError
    ) -> None:
        self._folder = folder
        self._settings = settings
        self.authority = authority

    async def ask(self, path: str) -> str:
        """Return the password of the client's key."""
        settings = self._settings
        known = settings.server.client_key_password if isinstance(settings, Settings) else None
        return await _ask_password(path) if known is None else known

    @property
    def reload(self) -> str:
        """The command that has the proxy read its config again."""
        settings = self._settings
        server = settings.server if isinstance(settings, Settings) else _NO_SERVER
        return sanitize_line(f"cd {shlex.quote(server.proxy_dir)} && {server.proxy_reload}", 300)

    @property
    def local(self) -> tuple[CertFolder, ...]:
        """The directory of this machine, if there is one."""
        return () if self._folder is None else (self._folder,)

    @property
    def folder(self) -> CertFolder:
        """The directory of this machine. Raises SettingsError if there is none."""
        if self._folder is None:
            raise _no_folder_error()
        return self._folder

    @property
    def target(self) -> CertFolder:
        """The directory that is looked at: the CA's, if that is on a host."""
        return self.authority.folder if self.authority.folder.is_remote else self.folder


@asynccontextmanager
async def _places(
    arguments: Arguments, settings: Settings | SettingsError
) -> AsyncIterator[_Places]:
    host = None if arguments.ca_host == LOCAL else _open_host(arguments.ca_host)
    if host is None:
        folder = authority = _local_folder(arguments, settings)
        if arguments.ca_directory:
            authority = _folder_at(Path(arguments.ca_directory))
        if authority is None:
            raise _no_folder_error()
        yield _Places(folder, LocalAuthority(authority, _ask_password), settings)
        return
    async with host:
        server = settings.server if isinstance(settings, Settings) else _NO_SERVER
        path = await _path_on(host, arguments.ca_directory or f"{server.proxy_dir}/certs")
        there = CertFolder(host, path, is_remote=True)
        yield _Places(_local_folder(arguments, settings), HostAuthority(there), settings)


def _open_host(address: str) -> Host | None:
    return open_host(replace(_NO_SERVER, ssh_host=address))


async def _path_on(host: Host, path: str) -> str:
    """Return the absolute path of a directory on a host that may not exist yet."""
    path = path if path.startswith(("/", "~/")) else f"~/{path}"
    try:
        return await host.resolve(path)
    except NoSuchFile:
        return await expand_home(host, path)


def _no_folder_error() -> SettingsError:
    return SettingsError("No server has certificate files", remedy="add --dir DIR")


def _folder_at(path: Path, *, client: CertPair | None = None, ca: str = CA) -> CertFolder:
    # All paths are absolute: a home directory isn't needed.
    host = LocalHost(Path("/"))
    return CertFolder(host, str(_absolute(path)), is_remote=False, client=client, ca=ca)


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _local_folder(arguments: Arguments, settings: Settings | SettingsError) -> CertFolder | None:
    if arguments.directory is not None:
        return _folder_at(arguments.directory)
    if isinstance(settings, SettingsError):
        raise settings
    server = settings.server
    files = [server.client_cert, server.client_key or server.client_cert, server.ca]
    known = [_absolute(one) for one in files if one is not None]
    if not known or (server.is_default and not any(one.exists() for one in known)):
        # Files in the directory of the built-in address would choose that server from then on.
        return None
    folder, client, ca = known[0].parent, None, CA
    if server.client_cert is not None:
        paths = (str(known[0]), str(known[1]))
        if paths != (f"{folder}/{CLIENT_PAIR.certificate}", f"{folder}/{CLIENT_PAIR.key}"):
            client = CertPair(*paths)
    if server.ca is not None and known[-1] != folder / CA:
        ca = str(known[-1])
    return _folder_at(folder, client=client, ca=ca)


async def _new_ca(arguments: Arguments, places: _Places) -> int:
    change = await create_authority(
        places.authority,
        arguments.name,
        arguments.key_type,
        arguments.days,
        force=arguments.force,
    )
    return await _report(change, places.authority.folder)


async def _server(arguments: Arguments, places: _Places) -> int:
    wanted = server_certificate(
        arguments.names, arguments.key_type, arguments.days, force=arguments.force
    )
    folder = places.target
    change = await issue(wanted, places.authority, folder)
    certificate, key, ca = map(
        folder.path_of, (SERVER_PAIR.certificate, SERVER_PAIR.key, folder.ca)
    )
    block = (
        "Add this to the site's block in the Caddyfile. Caddy's user must be able to read the key:",
        f"    tls {certificate} {key} {{",
        "      client_auth {",
        "        mode require_and_verify",
        f"        trusted_ca_cert_file {ca}",
        "      }",
        "    }",
    )
    return await _report(replace(change, notes=(*change.notes, *block)), folder)


async def _client(arguments: Arguments, places: _Places) -> int:
    folder = places.authority.folder if arguments.there else places.folder
    wanted = client_certificate(
        GUIDE_PAIR if arguments.there else await folder.client_pair(),
        arguments.name,
        arguments.key_type,
        arguments.days,
        force=arguments.force,
    )
    if arguments.there and not arguments.force:
        await folder.refuse_existing(LEGACY_P12)
    change = await issue(wanted, places.authority, folder)
    if arguments.there:
        written = (*change.written, await pack_there(folder))
        change = replace(change, written=written, notes=(*change.notes, UNPROTECTED))
    return await _report(change, folder)


async def _p12(arguments: Arguments, places: _Places) -> int:
    password = await _p12_password(arguments)
    change = await pack(
        places.folder, password, places.ask, legacy=arguments.legacy, force=arguments.force
    )
    return await _report(change, places.folder)


async def _show(arguments: Arguments, places: _Places) -> int:
    folders = {one.path: one for one in (places.target, places.authority.folder)}
    rows = [
        row
        for folder in folders.values()
        for row in await list_certificates(folder, datetime.now(UTC))
    ]
    if arguments.json:
        print(format_json([to_builtins(row) for row in rows]))
        return 0
    for row in rows:
        end = f"{row.days} days left" if row.days >= 0 else "expired"
        end = "revoked" if row.is_revoked else end
        is_over = row.is_revoked or row.days < 0
        style = "error" if is_over else "warning" if row.days <= WARNING_DAYS else ""
        hosts = f" for {', '.join(row.hosts)}" if row.hosts else ""
        form = f", old form ({row.form})" if row.form else ""
        print_lines(
            (
                (Span(row.file, "strong"), Span(f"  {row.name}{hosts}")),
                (Span(f"    until {row.ends}, "), Span(end, style), Span(f", {row.key}{form}")),
                (Span(f"    issued by {row.issuer}", "muted"),),
                (Span(f"    sha256 {row.fingerprint}", "muted"),),
            )
        )
    if not rows:
        print(f"There are no certificates in {places.target.show_path()}", file=sys.stderr)
    return 0 if rows else 1


async def _check(arguments: Arguments, places: _Places) -> int:
    checks = []
    async for check in check_folder(places.target, places.authority.folder, datetime.now(UTC)):
        checks.append(check)
        if not arguments.json:
            print_lines(as_lines(check))
    print(as_json(checks) if arguments.json else summary(checks))
    return exit_code(checks)


async def _renew(arguments: Arguments, places: _Places) -> int:
    there = places.authority.folder.is_remote and (arguments.there or arguments.pair == "server")
    folder = places.authority.folder if there else places.folder
    if arguments.pair == "ca":
        others = tuple(one for one in places.local if one.path != places.authority.folder.path)
        change = await renew_authority(places.authority, others, arguments.days)
        return await _report(change, places.authority.folder)
    for pair, purpose in await pairs_to_renew(folder, arguments.pair):
        renewal = Renewal(pair, purpose, arguments.days, arguments.force)
        change = await renew(renewal, places.authority, folder, places.ask)
        if purpose is Purpose.CLIENT and change.certificate is not None and not there:
            change = replace(change, notes=("A running aitui uses it without a restart",))
        await _report(change, folder)
    return 0


async def _revoke(arguments: Arguments, places: _Places) -> int:
    authority = places.authority.folder
    name, given = arguments.name, None
    if "/" in name or name.endswith((".pem", ".crt")):
        given = await _folder_at(Path()).certificate(str(_absolute(Path(name))))
    revocation = await revoke(name, authority, places.local, given)
    print(f"{sanitize_line(revocation.name, 80)} is marked as revoked in {authority.show_path()}")
    print(
        "The proxy accepts it until its config is changed: Caddy reads no revocation list (CRL).\n"
        "Add this to the site's block in the Caddyfile:\n"
    )
    for line in caddy_matcher(revocation.fingerprints).splitlines():
        print(f"    {line}")
    print(
        f"\nThen reload Caddy: {places.reload}\n"
        "The lines cover all revoked certificates and replace earlier ones.\n"
        "Or trust a new CA for clients only, which locks out all others as well: aitui certs new-ca "
        "--dir DIR,\nits root-ca.pem as trusted_ca_cert_file, and a new certificate for each client."
    )
    return 0


_ACTIONS = {
    "new-ca": _new_ca,
    "server": _server,
    "client": _client,
    "p12": _p12,
    "show": _show,
    "check": _check,
    "renew": _renew,
    "revoke": _revoke,
}


async def _report(change: CertChange, folder: CertFolder) -> int:
    """Print what was written, what it is, and what to know of it."""
    for path in change.written:
        print(f"wrote {path}")
    certificate = change.certificate
    if certificate is not None:
        hosts = ", ".join(sanitize_line(host, 80) for host in hosts_of(certificate))
        name = sanitize_line(common_name(certificate), 80)
        print(
            f"{name}{f' for {hosts}' if hosts else ''}: until "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}, "
            f"{days_left(certificate, datetime.now(UTC))} days left"
        )
    for note in change.notes:
        print(note)
    for warning in await folder.warnings():
        print(f"! {warning}", file=sys.stderr)
    return 0


async def _p12_password(arguments: Arguments) -> str:
    if arguments.password_file:
        return await read_password_file(arguments.password_file)
    if arguments.legacy:
        return ""
    password = await ask_secret("Password for the p12 file: ")
    if password != await ask_secret("Repeat the password: "):
        raise ActionRefused("Not written: the passwords differ")
    return password


async def read_password_file(name: str) -> str:
    def read() -> str:
        with sys.stdin if name == "-" else Path(name).expanduser().open() as file:
            return file.readline().rstrip("\r\n")

    try:
        return await asyncio.to_thread(read)
    except (OSError, UnicodeError) as error:
        raise SettingsError(
            f"--password-file {sanitize_line(shlex.quote(name), 200)} can't be read",
            why=sanitize_line(str(error), 200),
        ) from error


async def _ask_password(path: str) -> str:
    return await ask_secret(f"Password of {path}: ")


async def ask_secret(prompt: str) -> str:
    """Ask for a password on the terminal, which doesn't show it."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ActionRefused(
            f"{prompt.rstrip(': ')} is needed, and this is not a terminal",
            remedy="run it on a terminal, or pass the password of a p12 file with --password-file",
        )
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    try:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, silent)
        print(prompt, end="", file=sys.stderr, flush=True)
        return (await read_line()).rstrip("\r\n")
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
        print(file=sys.stderr)
