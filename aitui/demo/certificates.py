"""Throw-away certificates for the demo's mutual TLS."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    import trustme

_VALID = timedelta(days=3650)


class Certificates(Struct, frozen=True):
    """The files of one certificate authority, its server and one client. Keys have mode 0600."""

    root_ca: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path

    def server_context(self, *, require_client_certificate: bool) -> ssl.SSLContext:
        """Return the TLS settings of the server's side."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_cert, self.server_key)
        if require_client_certificate:
            context.load_verify_locations(self.root_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def issue_certificates(folder: Path) -> Certificates:
    """Issue a root CA, a certificate for localhost and 127.0.0.1, and a client certificate."""
    import trustme

    folder.mkdir(parents=True)
    # trustme's keys are on EC curves: one RSA-4096 key would take a second.
    authority = trustme.CA(organization_name="aitui demo")
    root = folder / "root-ca.pem"
    authority.cert_pem.write_to_path(str(root))
    end = datetime.now(UTC) + _VALID
    server = authority.issue_cert("localhost", "127.0.0.1", common_name="localhost", not_after=end)
    client = authority.issue_cert("client@localhost", common_name="Demo Client", not_after=end)
    return Certificates(
        root, *_write(server, folder / "server"), *_write(client, folder / "client")
    )


def _write(issued: trustme.LeafCert, path: Path) -> tuple[Path, Path]:
    certificate, key = path.with_suffix(".pem"), path.with_name(f"{path.name}-key.pem")
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    key.touch(mode=0o600)
    issued.private_key_pem.write_to_path(str(key))
    return certificate, key
