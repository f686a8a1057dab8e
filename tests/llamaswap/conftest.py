"""Servers as settings see them, and certificates made once."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from aitui.domain.snapshot import Server
from certificates import Authority, Issued


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def server_certificate(authority: Authority) -> Issued:
    return authority.issue("server", hosts=("localhost", "127.0.0.1"))


@pytest.fixture(scope="session")
def client_certificate(authority: Authority) -> Issued:
    return authority.issue("Example Client")


@pytest.fixture
def mutual_tls(authority: Authority, server_certificate: Issued) -> ssl.SSLContext:
    """The server's side: requires a client certificate of the authority."""
    return server_context(server_certificate, client_ca=authority.root)


def server_context(issued: Issued, client_ca: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


def server_at(url: str, timeout: float = 5.0, **settings: Any) -> Server:
    return Server(url=url, identity=url, timeout=timeout, **settings)
