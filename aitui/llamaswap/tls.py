"""The TLS context of one server, built from its certificate files."""

import asyncio
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from aitui.errors import CertificateFileError
from aitui.llamaswap.certificates import (
    CA,
    CERTIFICATE,
    check_files_present,
    find_file_error,
    key_password_error,
    key_warnings,
    read_expiry,
    unreadable_file_error,
)
from aitui.llamaswap.urls import host_of, is_https

if TYPE_CHECKING:
    from aitui.domain.server import Server

_LONGEST_PASSWORD = 1024


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


def _build_context(server: "Server") -> ssl.SSLContext:
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
            raise key_password_error(server)
        return given

    try:
        context.load_cert_chain(
            str(certificate.expanduser()),
            str(key.expanduser()) if key is not None else None,
            password=password,
        )
    except OSError as error:
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
