"""The way to a first server: what answers on this machine, and one that is described step by step."""

import asyncio
import shlex
from collections.abc import AsyncGenerator, Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from aitui.domain.checks import CheckResult, CheckStage
from aitui.domain.sanitize import sanitize_line
from aitui.domain.server import Clock, Server
from aitui.domain.units import count_of
from aitui.errors import (
    AituiError,
    BadResponse,
    CertificateFileError,
    ConnectionLost,
    ServerError,
    SettingsError,
    TimedOut,
    Unauthorized,
    Unreachable,
)
from aitui.paths import abbreviate_home
from aitui.settings import server_at
from aitui.settings.new_server import add_server, check_name, suggest_name
from aitui.settings.table import CERTIFICATES
from aitui.settings.toml import read_config_file
from aitui.store.files import make_private_directory, replace_atomically

if TYPE_CHECKING:
    from aitui.llamaswap.client import LlamaSwapClient

RESPONSE_SECONDS = 1.5
PKCS12_SUFFIXES = (".p12", ".pfx")


class FoundServer(Struct, frozen=True):
    """The answer of a port of this machine, in words; `is_there` says whether there was any."""

    url: str
    words: str
    is_llama_swap: bool = False
    is_there: bool = False


async def ask_usual_ports(report: Callable[[FoundServer], None], ports: tuple[int, ...]) -> None:
    """Ask each port of this machine for `/running`, all at once, and report what answers."""
    # httpx takes as long to import as Textual: in a thread.
    await asyncio.to_thread(import_module, "aitui.llamaswap.client")

    async def ask(port: int) -> None:
        report(await _ask_port(port))

    async with asyncio.TaskGroup() as tasks:
        for port in ports:
            tasks.create_task(ask(port), name=f"port {port}")


async def _ask_port(port: int) -> FoundServer:
    from aitui.llamaswap.client import LlamaSwapClient

    url = f"http://localhost:{port}"
    try:
        async with LlamaSwapClient(Server(url, url)) as client:
            async with asyncio.timeout(RESPONSE_SECONDS):
                await client.running()
            facts = [await _version(client), await _model_count(client)]
            milliseconds = f"{(client.latency or 0) * 1000:.0f} ms"
            words = " · ".join(filter(None, (*facts, milliseconds)))
            return FoundServer(url, words, is_llama_swap=True, is_there=True)
    except (TimeoutError, TimedOut):
        return FoundServer(url, f"no answer within {RESPONSE_SECONDS:g} s")
    except Unauthorized:
        return FoundServer(url, "requires an API key: set api_key in config.toml", is_there=True)
    except (ServerError, BadResponse, ConnectionLost):
        return FoundServer(url, "another program", is_there=True)
    except Unreachable:
        return FoundServer(url, "connection refused")
    except AituiError as error:
        return FoundServer(url, error.what)


async def _version(client: "LlamaSwapClient") -> str:
    try:
        async with asyncio.timeout(RESPONSE_SECONDS):
            version = (await client.version()).version
    except (AituiError, TimeoutError):  # a build before that route
        return "llama-swap"
    return f"llama-swap {'v' * version[:1].isdigit()}{version}"


async def _model_count(client: "LlamaSwapClient") -> str:
    try:
        async with asyncio.timeout(RESPONSE_SECONDS):
            return count_of(len(await client.models()), "model")
    except (AituiError, TimeoutError):  # the dashboard says why
        return ""


class ServerDraft(Struct, frozen=True):
    """A server that is being described, each text as it was typed.

    `certificates` is a directory, a PKCS#12 file, or PEM files in any order; `password` is that of the
    PKCS#12 file, and never written anywhere.
    """

    url: str = ""
    certificates: str = ""
    password: str = ""
    ssh_host: str = ""
    name: str = ""

    def __repr__(self) -> str:
        return f"ServerDraft({self.url!r})"  # without its password

    @property
    def needs_password(self) -> bool:
        """Whether the certificates are in one encrypted file."""
        return self.certificates.strip().lower().endswith(PKCS12_SUFFIXES)


class ServerSetup:
    """Checks a draft field by field, and writes it to config.toml.

    `template` has what every server has; relative paths start at `base`.
    """

    def __init__(self, config: Path, home: Path, template: Server, clock: Clock) -> None:
        self.config = config
        self._home = home
        self._base = Path.cwd()
        self._template = template
        self.clock = clock

    def describe_field(self, field: str, draft: ServerDraft) -> str:
        """Return what a typed field means. Reads the disk. Raises AituiError if it can't be used."""
        if field == "url":
            return self._url(draft) if draft.url else ""
        if field == "certificates":
            return self._describe_certificates(draft)
        if field == "password":
            return self._describe_password(draft)
        if field == "ssh_host":
            host = self._server(draft, {}).ssh_host
            return host and ("this machine" if host == "local" else f"ssh {host}")
        name = self.name_of(draft)
        check_name(name)
        return f"[servers.{name}] in {self.show_path(self.config)}"

    def name_of(self, draft: ServerDraft) -> str:
        """Return the name that was typed, else one that is free."""
        return draft.name.strip() or suggest_name(
            self._url(draft), read_config_file(self.config, required=False).servers
        )

    def server(self, draft: ServerDraft, *, unpack: bool = True) -> Server:
        """Build the server that the draft describes, its PKCS#12 file unpacked.

        Blocks on the disk. Raises SettingsError, CertificateFileError.
        """
        return self._server(draft, self._certificate_settings(draft, unpack=unpack))

    def save(self, draft: ServerDraft, *, force: bool = False) -> Server:
        """Write the server to config.toml and return it; no password, no key. Blocks.

        Raises SettingsError, ActionRefused if there is one of that name, AituiError if the file can't
        be written.
        """
        server, name = self.server(draft), self.name_of(draft)
        check_name(name)
        values = {
            "url": server.url,
            **self._certificate_settings(draft, unpack=False),
            "ssh_host": draft.ssh_host.strip(),
        }
        path = self.config.resolve()
        read_config_file(path, required=False)
        try:
            old = path.read_bytes() if path.exists() else b""
            mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
            new = add_server(old.decode(), name, values, replace=force)
            make_private_directory(path.parent)
            replace_atomically(path, new.encode(), mode)
        except OSError as error:
            raise AituiError(
                f"{self.show_path(path)} can't be written",
                why=sanitize_line(error.strerror or str(error)),
                remedy=f"make it writable, or use aitui --url {shlex.quote(server.url)}",
            ) from error
        return replace(server, name=name, identity=name)

    def show_path(self, path: Path) -> str:
        """Write a path as in config.toml: `~` for the home directory."""
        return abbreviate_home(path, self._home)

    def _url(self, draft: ServerDraft) -> str:
        return server_at(draft.url, self._home, self._template).url

    def _server(self, draft: ServerDraft, files: Mapping[str, str]) -> Server:
        ssh_host = draft.ssh_host.strip()
        return server_at(draft.url, self._home, self._template, ssh_host=ssh_host, **files)

    def _certificate_settings(self, draft: ServerDraft, *, unpack: bool) -> dict[str, str]:
        """Return the settings that name the certificate files, as they are written to config.toml."""
        if not draft.certificates.strip():
            return {}
        paths = self._paths(draft.certificates)
        if draft.needs_password:
            folder = self._unpacked_folder(draft)
            if unpack:
                self._unpack(paths[0], draft.password, folder)
            paths = [folder]
        from aitui.llamaswap.certificate_import import find_certificates

        files = find_certificates(paths)
        folder = next(iter(files.values())).parent
        if files == {setting.name: folder / setting.shown for setting in CERTIFICATES}:
            return {"certs_dir": self.show_path(folder)}
        return {name: self.show_path(path) for name, path in files.items()}

    def _paths(self, text: str) -> list[Path]:
        """Return the paths in a typed text: one with blanks if there is such a file, else several."""
        whole = self._path(text.strip())
        if whole.exists():
            return [whole]
        try:
            return [self._path(word) for word in shlex.split(text)] or [whole]
        except ValueError:  # a quote that is still open
            return [whole]

    def _path(self, text: str) -> Path:
        if text == "~" or text.startswith("~/"):
            return self._home / text[2:]
        return (self._base / text).absolute()

    def _unpacked_folder(self, draft: ServerDraft) -> Path:
        host = self._url(draft).partition("://")[2].replace("/", "-").replace(":", "-")
        return self.config.parent / "certs" / host

    def _unpack(self, path: Path, password: str, folder: Path) -> None:
        from aitui.llamaswap.certificate_import import unpack_pkcs12

        contents = unpack_pkcs12(path, password)
        make_private_directory(folder)
        for setting in CERTIFICATES:
            target, content = folder / setting.shown, contents.get(setting.name)
            if content is None or (target.exists() and target.read_bytes() == content):
                continue
            if target.exists():
                raise CertificateFileError(
                    f"{self.show_path(target)} already exists, with other content",
                    remedy=f"move it away: mv {shlex.quote(str(target))} "
                    f"{shlex.quote(f'{target}.old')}",
                )
            replace_atomically(target, content)

    def _describe_certificates(self, draft: ServerDraft) -> str:
        from aitui.llamaswap.certificate_import import find_certificates

        if not draft.certificates.strip():
            return ""
        if draft.url and not self._url(draft).startswith("https"):
            raise SettingsError("No certificate is used: the URL is http://")
        paths = self._paths(draft.certificates)
        if draft.needs_password:
            if not paths[0].is_file():
                raise CertificateFileError(f"{self.show_path(paths[0])} does not exist")
            return (
                f"unpacked into {self.show_path(self._unpacked_folder(draft))}" if draft.url else ""
            )
        return ", ".join(sanitize_line(path.name, 60) for path in find_certificates(paths).values())

    def _describe_password(self, draft: ServerDraft) -> str:
        from aitui.llamaswap.certificate_import import unpack_pkcs12

        if not draft.needs_password:
            return "" if not draft.password else "not needed: only a PKCS#12 file has one"
        found = unpack_pkcs12(self._paths(draft.certificates)[0], draft.password)
        without = "" if "ca" in found else "; no authority in it: the system's trust store is used"
        return f"opens the file{without}"


STEPS = ("url", "certificates", "ssh_host")
"""The steps that the doctor's checks follow."""


def check_step(
    step: str, server: Server, clock: Clock
) -> AsyncGenerator[CheckResult | CheckStage, None]:
    """Return the doctor's checks of what a step has described."""
    from aitui.services.doctor.run import examine_server

    return examine_server(
        server, clock, ("machine",) if step == "ssh_host" else ("network", "answers")
    )
