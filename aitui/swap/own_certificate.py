"""Until when our client certificate is valid, for whoever wants to warn in time."""

import asyncio

from aitui.domain.server import Server
from aitui.errors import CertificateFileError
from aitui.swap.addresses import is_https
from aitui.swap.certificate_files import read_certificates
from aitui.swap.tls import Fingerprint, fingerprint


class OwnCertificate:
    """The end of one server's client certificate; read again only when a file has changed."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._read_from: Fingerprint | None = None
        self._ends: float | None = None

    async def ends(self) -> float | None:
        """Unix time; None without a certificate, or where its file can't be read."""
        found = await fingerprint(self._server)
        if found != self._read_from:
            self._ends = await asyncio.to_thread(_read, self._server)
            self._read_from = found
        return self._ends


def _read(server: Server) -> float | None:
    if not is_https(server) or server.client_cert is None:
        return None
    try:
        first = read_certificates("client certificate", server.client_cert)[0]
    except CertificateFileError:  # said where the file is used
        return None
    return first.not_valid_after_utc.timestamp()
