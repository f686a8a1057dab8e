"""What is to be said of our own certificate files that are good: their end, and who can read them."""

import asyncio

from aitui.domain.server import Server
from aitui.errors import CertificateFileError
from aitui.swap.addresses import is_https
from aitui.swap.certificate_files import key_warnings, read_certificates
from aitui.swap.tls import FileFingerprint, fingerprint


class ClientCertificate:
    """The end of one server's client certificate; read again only when a file has changed."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._read_from: FileFingerprint | None = None
        self._expiry: float | None = None

    async def expiry(self) -> float | None:
        """Unix time; None without a certificate, or where its file can't be read."""
        found = await fingerprint(self._server)
        if found != self._read_from:
            self._expiry = await asyncio.to_thread(_read_expiry, self._server)
            self._read_from = found
        return self._expiry

    async def warnings(self) -> tuple[str, ...]:
        """A key that others can read. Looked at each time: a mode changes without its file."""
        if not is_https(self._server):
            return ()
        return await asyncio.to_thread(key_warnings, self._server)


def _read_expiry(server: Server) -> float | None:
    if not is_https(server) or server.client_cert is None:
        return None
    try:
        first = read_certificates("client certificate", server.client_cert)[0]
    except CertificateFileError:  # said where the file is used
        return None
    return first.not_valid_after_utc.timestamp()
