"""A directory with certificates, here or on a host: its files by name, written whole or not at all."""

import asyncio
import secrets
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Struct

from aitui.domain.certs import PrivateKey, public_der
from aitui.domain.sanitize import sanitize_line
from aitui.errors import (
    ActionRefused,
    AituiError,
    FileAlreadyExists,
    FilePermissionDenied,
    HostFileError,
    NoSuchFile,
)
from aitui.host.base import FileInfo, Host
from aitui.llamaswap.certificates import PRIVATE_KEY

CA, CA_KEY = "root-ca.pem", "root-ca.key"
REQUEST = "client.csr"
P12, LEGACY_P12 = "client.p12", "client-legacy.p12"
PRIVATE, PUBLIC = 0o600, 0o644
_KEY_SECONDS = 60.0
# Below the directory itself: what is made is moved or linked, which works within a file system.
_IN_FOLDER = """\
set -eu; umask 077; cd -- "$1"; shift
work=$(mktemp -d ./.aitui-XXXXXX); trap 'rm -rf "$work"' EXIT
"""


class CertPair(Struct, frozen=True):
    """A certificate and its key, by name or by path."""

    certificate: str
    key: str


SERVER_PAIR = CertPair("caddy.pem", "caddy-key.pem")
CLIENT_PAIR = CertPair("client.pem", "client-key.pem")
GUIDE_PAIR = CertPair("client.crt", "client.key")
"""A client's files as the set-up guide names them on the proxy."""


class NewFile(Struct, frozen=True):
    """A file to write."""

    name: str
    content: bytes
    mode: int = PUBLIC


class CertFolder:
    """A directory on a host; a name may be a path as well. The directory is made when it is written."""

    def __init__(
        self,
        host: Host,
        path: str,
        *,
        is_remote: bool,
        client: CertPair | None = None,
        ca: str = CA,
    ) -> None:
        self.host, self.path, self.is_remote, self.ca = host, path, is_remote, ca
        self._client = client

    def path_of(self, name: str) -> str:
        """Return the path of a file on its host."""
        return name if name.startswith("/") else f"{self.path}/{name}"

    def show_path(self, name: str = "") -> str:
        """Return the path of a file as a shell takes it, after its host if that is another one."""
        path = sanitize_line(shlex.quote(self.path_of(name) if name else self.path), 300)
        return f"{self.host.label}:{path}" if self.is_remote else path

    async def files(self) -> dict[str, FileInfo]:
        """Return what is in it; nothing if there is no such directory."""
        try:
            return {info.name: info for info in await self.host.list(self.path)}
        except NoSuchFile:
            return {}

    async def client_pair(self) -> CertPair:
        """Return the client's files: those of the settings, else of the names that are there."""
        if self._client is not None:
            return self._client
        found = set(await self.files())
        usual = (GUIDE_PAIR, CLIENT_PAIR) if self.is_remote else (CLIENT_PAIR, GUIDE_PAIR)
        there = (pair for pair in (CLIENT_PAIR, GUIDE_PAIR) if found & {pair.certificate, pair.key})
        return next(there, usual[0])

    async def read(self, name: str) -> bytes | None:
        """Read a file, None if there is none."""
        try:
            return await self.host.read(self.path_of(name))
        except NoSuchFile:
            return None

    async def mode(self, name: str) -> int:
        """Return the mode of a file, behind symbolic links. Raises NoSuchFile."""
        path = await self.host.resolve(self.path_of(name))
        return (await self.host.facts(path)).mode

    async def exists(self, name: str) -> bool:
        """Whether there is something of that name, also a link that leads nowhere."""
        try:
            await self.host.facts(self.path_of(name))
        except NoSuchFile:
            return False
        return True

    async def certificates(self, name: str) -> list[x509.Certificate]:
        """Read the certificates in a file, none if there is no file. Raises AituiError."""
        content = await self.read(name)
        if content is None:
            return []
        try:
            return x509.load_pem_x509_certificates(content)
        except ValueError as error:
            raise AituiError(
                f"{self.show_path(name)} holds no readable certificate",
                why=sanitize_line(str(error), 200),
                remedy=f"inspect it: openssl x509 -noout -text -in {shlex.quote(self.path_of(name))}",
            ) from error

    async def certificate(self, name: str) -> x509.Certificate:
        """Read the first certificate in a file. Raises AituiError, also if there is no file."""
        found = await self.certificates(name)
        if not found:
            raise AituiError(f"There is no {self.show_path(name)}")
        return found[0]

    async def private_key(self, name: str, password: str | None = None) -> PrivateKey:
        """Read a private key of this machine. Raises AituiError, TypeError if it needs a password."""
        content = await self.read(name)
        if content is None:
            raise AituiError(f"There is no {self.show_path(name)}")
        try:
            secret = None if password is None else password.encode("utf-8", "surrogateescape")
            # The file may hold the certificate as well.
            block = PRIVATE_KEY.search(content)
            key = load_pem_private_key(content if block is None else block[0], secret)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise AituiError(
                f"The private key {self.show_path(name)} can't be read",
                why="the password is wrong" if password else sanitize_line(str(error), 200),
            ) from error
        if not isinstance(key, PrivateKey):
            raise AituiError(
                f"The private key {self.show_path(name)} can't be used",
                why="expected an RSA, DSA, EC or Ed25519 key",
            )
        return key

    async def public_key(self, name: str) -> bytes | None:
        """Return the public half of a private key in DER, None if that is locked or unreadable.

        The private half of a key on another host stays there.
        """
        if not self.is_remote:
            with suppress(AituiError, TypeError):
                return public_der((await self.private_key(name)).public_key())
            return None
        path = self.path_of(name)
        words = ("openssl", "pkey", "-in", path, "-passin", "pass:", "-pubout", "-outform", "DER")
        result = await self.host.run(words)
        return result.stdout if result.status == 0 else None

    async def openssl(self, script: str, *words: str) -> bytes:
        """Run a script that uses openssl in the directory, and return its output.

        Its words are `$1`, `$2`, …; `$work` is a directory that is removed at the end. Raises AituiError
        if it fails.
        """
        result = await self.host.run(
            ("sh", "-c", f"{_IN_FOLDER}{script}", "sh", self.path, *words), seconds=_KEY_SECONDS
        )
        if result.status == 0:
            return result.stdout
        lines = [line for line in result.stderr.decode(errors="replace").splitlines() if line]
        missing = result.status == 127
        raise AituiError(
            f"openssl failed in {self.show_path()}",
            why=sanitize_line("; ".join(lines[-3:]), 400),
            remedy="install openssl there" if missing else "",
        )

    async def refuse_existing(self, *names: str) -> None:
        """Raise ActionRefused if one of these files exists."""
        for name in names:
            if await self.exists(name):
                raise _exists_error(self.show_path(name))

    async def make(self, folder: str = "") -> None:
        """Make the directory, or one in it, that its owner alone can enter."""
        path = self.path_of(folder) if folder else self.path
        script = 'umask 077; mkdir -p -- "$1"'
        result = await self.host.run(("sh", "-c", script, "sh", path))
        if result.status:
            what = f"Can't make the directory {self.show_path(folder)}"
            raise HostFileError(what, why=result.last_line)

    async def write(self, files: Sequence[NewFile], *, replace: bool = False) -> None:
        """Write files: all new, or each in the place of an old one. Raises ActionRefused."""
        await self.make()
        if not replace:
            await self.refuse_existing(*(file.name for file in files))
        done: list[str] = []
        try:
            paths = [await self._path_behind_links(file.name) for file in files]
            for path, file in zip(paths, files, strict=True):
                target = _temporary(path) if replace else path
                await self._create(path, target, file)
                done.append(target)
        except BaseException as error:
            for path in done:
                with suppress(NoSuchFile):
                    await self.host.remove(path)
            if isinstance(error, FileAlreadyExists):
                raise _exists_error(self.show_path(files[len(done)].name)) from error
            raise
        if replace:
            for temporary, path in zip(done, paths, strict=True):
                await self.host.rename(temporary, path)

    async def _path_behind_links(self, name: str) -> str:
        try:
            return await self.host.resolve(self.path_of(name))
        except NoSuchFile:
            return self.path_of(name)

    async def _create(self, path: str, target: str, file: NewFile) -> None:
        """Write a file; one in the place of another belongs to its owner, like Caddy's user."""
        if target != path and await self.exists(path):
            old = await self.host.facts(path)
            with suppress(FilePermissionDenied):
                await self.host.create(
                    target, file.content, mode=file.mode, belongs_to=(old.owner, old.group)
                )
                return
        await self.host.create(target, file.content, mode=file.mode)

    async def set_aside(self, names: Sequence[str], stamp: str) -> tuple[str, ...]:
        """Rename what exists of these, and return the new paths as they are shown."""
        moved = []
        for name in names:
            if await self.exists(name):
                path = Path(self.path_of(name))
                aside = path.with_name(f"{path.stem}-{stamp}{path.suffix}")
                await self.host.rename(str(path), str(aside))
                moved.append(self.show_path(str(aside)))
        return tuple(moved)

    async def warnings(self) -> tuple[str, ...]:
        """Return a warning for each private file that git would publish or that others can read."""
        found = await self.files()
        private = [name for name in found if is_private(name)]
        warnings = []
        for name in private:
            with suppress(NoSuchFile):
                mode = await self.mode(name)
                if mode & 0o044:
                    seen = f"others can read {self.show_path(name)} (mode {mode:04o})"
                    warnings.append(f"{seen}: {self.chmod(name)}")
        exposed = await self.names_in_git(private)
        if exposed:
            warnings.append(
                f"{self.show_path()} is in a git repository that doesn't ignore {', '.join(exposed)}"
            )
        return tuple(warnings)

    def chmod(self, name: str) -> str:
        """Return the command that makes a file private, on its host."""
        return f"chmod 600 {shlex.quote(self.path_of(name))}"

    async def names_in_git(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return which of these files a git repository around them would take."""
        if self.is_remote or not names:
            return ()
        folder = Path(self.path)
        is_inside = await asyncio.to_thread(
            lambda: any((up / ".git").exists() for up in (folder, *folder.parents))
        )
        if not is_inside:
            return ()
        git = ("env", "-u", "GIT_DIR", "-u", "GIT_WORK_TREE", "git", "-C", self.path)
        result = await self.host.run((*git, "check-ignore", "--", *names))
        ignored = result.stdout.decode(errors="surrogateescape").splitlines()
        # 128: the repository is none, or another user's.
        return tuple(name for name in names if name not in ignored)


def is_private(name: str) -> bool:
    """Whether a file of that name holds a private key."""
    return name.endswith((".key", "-key.pem", ".p12", ".pfx"))


def _temporary(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.{secrets.token_hex(4)}"


def _exists_error(shown: str) -> ActionRefused:
    return ActionRefused(
        f"{shown} exists already", remedy="keep it, use another --dir, or add --force"
    )
