"""The TLS context of one server, built from its certificate files, and their end.

What is wrong with a file is found out when it fails: that takes a module of 25 KiB, which no good
connection needs.
"""

import asyncio
import re
import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aitui.errors import CertificateFileError
from aitui.llamaswap.urls import host_of, is_https
from aitui.paths import format_path, read_start

if TYPE_CHECKING:
    from aitui.domain.server import Server

_LONGEST_PASSWORD = 1024
# Up to the next BEGIN: a file of nothing but these lines would take the square of its length.
_CERTIFICATE = r"-----BEGIN CERTIFICATE-----(?:[^-]++|-(?!----BEGIN ))*?-----END CERTIFICATE-----"
_UTC_TIME = 0x17


FileFingerprint = tuple[tuple[int, int, int] | None, ...]
"""Time, inode and size of each file, None if absent: they change when it is renewed."""


async def tls_context(server: "Server") -> ssl.SSLContext | None:
    """Build the context for a server's https URL, None for http. Files are read in a thread.

    Chain and host name are always verified. A CA file replaces the system's trust store.

    Raises CertificateFileError, KeyPasswordNeeded.
    """
    if not is_https(server):
        return None
    return await asyncio.to_thread(_build_context, server)


async def fingerprint(server: "Server") -> FileFingerprint:
    """Read the state of the certificate files in a thread."""
    paths = [path for _, path in server.certificate_files]
    if not paths:
        return ()
    return await asyncio.to_thread(lambda: tuple(map(_file_state, paths)))


def _file_state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.expanduser().stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.expanduser().stat().st_mode)
    except OSError:
        return False


def _build_context(server: "Server") -> ssl.SSLContext:
    if not all(_is_file(path) for _, path in server.certificate_files):
        from aitui.llamaswap.certificates import check_files_present

        check_files_present(server)
    context = _trust_context(server)
    context.minimum_version = max(ssl.TLSVersion.TLSv1_2, context.minimum_version)
    if server.client_cert is not None:
        _load_client_certificate(context, server, server.client_cert)
    elif server.client_key is not None:
        raise CertificateFileError(
            "A client key is set, but no client certificate", remedy="set client_cert as well"
        )
    return context


def _trust_context(server: "Server") -> ssl.SSLContext:
    if server.ca is None:
        return ssl.create_default_context()
    try:
        context = ssl.create_default_context(cafile=str(server.ca.expanduser()))
    except OSError as error:  # ssl.SSLError is one
        from aitui.llamaswap.certificates import CA, find_file_error, unreadable_file_error

        diagnosis = find_file_error(server)
        raise diagnosis or unreadable_file_error(CA, server.ca, error) from error
    # Python 3.13 sets this flag, and it rejects a root CA without the keyUsage extension, which is what
    # `openssl req -new -x509` makes. Nothing else of the verification is loosened.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _load_client_certificate(context: ssl.SSLContext, server: "Server", certificate: Path) -> None:
    key = server.client_key

    # Without a callable OpenSSL asks for the password on the terminal and blocks the program.
    def password() -> bytes:
        given = (server.client_key_password or "").encode("utf-8", "surrogateescape")
        if server.client_key_password is None or len(given) > _LONGEST_PASSWORD:
            from aitui.llamaswap.certificates import key_password_error

            raise key_password_error(server)
        return given

    try:
        context.load_cert_chain(
            str(certificate.expanduser()),
            str(key.expanduser()) if key is not None else None,
            password=password,
        )
    except OSError as error:
        from aitui.llamaswap.certificates import CERTIFICATE, find_file_error, unreadable_file_error

        diagnosis = find_file_error(server)
        raise diagnosis or unreadable_file_error(CERTIFICATE, certificate, error) from error


async def fetch_unverified_chain(server: "Server") -> list[bytes]:
    """Fetch what the server presents of itself, unverified and in DER, to explain it.

    Neither our certificate nor a request is sent over this connection. Raises OSError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    host = host_of(server)
    _, writer = await asyncio.open_connection(host, server.port, ssl=context, server_hostname=host)
    try:
        shaken = writer.get_extra_info("ssl_object")
        # Public from Python 3.13 on.
        chain = shaken._sslobj.get_unverified_chain()  # noqa: SLF001
        return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in chain]
    finally:
        # Aborted: a clean close would raise a refusal that is on its way.
        writer.transport.abort()


def key_warnings(server: "Server") -> tuple[str, ...]:
    """Return a warning for a private key that others can read."""
    path = server.client_key or server.client_cert
    if path is None:
        return ()
    try:
        mode = stat.S_IMODE(path.expanduser().stat().st_mode)
    except OSError:  # reported where the file is used
        return ()
    if not mode & 0o044:
        return ()
    shown = format_path(path)
    return (f"Others can read the key {shown} (mode {mode:04o}): chmod 600 {shown}",)


def read_expiry(path: Path) -> float | None:
    """Return when the first certificate in a PEM file ends (Unix time), None if that can't be read.

    cryptography, which reads the rest, is 9 of the 60 MiB that a connected dashboard would take.
    """
    try:
        block = re.search(_CERTIFICATE, read_start(path).decode("ascii", "replace"))
        return None if block is None else _not_after(ssl.PEM_cert_to_DER_cert(block[0]))
    except (OSError, ValueError, IndexError):
        return None


def _not_after(der: bytes) -> float:
    """Walk to `tbsCertificate.validity.notAfter` (RFC 5280, 4.1). Raises ValueError, IndexError."""
    _, at, _ = _der_element(der, 0)
    _, at, _ = _der_element(der, at)
    tag, _, end = _der_element(der, at)
    if tag == 0xA0:  # the version, which may be left out
        at = end
    for _ in range(3):  # serial number, algorithm, issuer
        _, _, at = _der_element(der, at)
    _, at, _ = _der_element(der, at)
    _, _, at = _der_element(der, at)  # notBefore
    tag, at, end = _der_element(der, at)
    text = der[at:end].decode("ascii").removesuffix("Z")
    if tag == _UTC_TIME:
        text = f"{'19' if text[:2] >= '50' else '20'}{text}"
    fields = [int(text[:4]), *(int(text[place : place + 2]) for place in range(4, 14, 2))]
    return datetime(*fields, tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]


def _der_element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return the tag of the element at a place, where its content begins, and where it ends."""
    tag, length, begin = der[at], der[at + 1], at + 2
    if length & 0x80:
        begin += length & 0x7F
        length = int.from_bytes(der[at + 2 : begin])
    return tag, begin, begin + length


class ClientCertificate:
    """The end of a server's client certificate, read again only when a file has changed."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._read_from: FileFingerprint | None = None
        self._expiry: float | None = None

    async def expiry(self) -> float | None:
        """Return the end (Unix time), None without a certificate or a readable file."""
        path = self._server.client_cert
        if path is None or not is_https(self._server):
            return None
        found = await fingerprint(self._server)
        if found != self._read_from:
            self._expiry = await asyncio.to_thread(read_expiry, path)
            self._read_from = found
        return self._expiry

    async def warnings(self) -> tuple[str, ...]:
        """Return a warning for a key that others can read. The mode is read each time."""
        if not is_https(self._server):
            return ()
        return await asyncio.to_thread(key_warnings, self._server)
