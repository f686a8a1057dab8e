"""The way to the server: name, port, TLS, and what it presents of itself."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from aitui.commands.doctor.so_far import SoFar
from aitui.domain.checks import Check, failed, left_open, passed
from aitui.domain.server import Server
from aitui.errors import AituiError, CertificateFileError
from aitui.swap.addresses import authority_of, host_of, is_https
from aitui.swap.certificate_files import date_words, path_words
from aitui.swap.probe import (
    Handshake,
    ServerCertificate,
    addresses,
    handshake,
    proxy_of,
    reached_address,
    unverified_certificate,
)

NAME = "host name"
PORT = "TCP"
TLS = "TLS"
PRESENTED = "server certificate"


async def network_checks(server: Server, so_far: SoFar, wall: float) -> AsyncIterator[Check]:
    """Name, port, TLS and certificate; `wall` is now (Unix time)."""
    proxy = proxy_of(server)
    if proxy:
        for name in (NAME, PORT, TLS, PRESENTED):
            yield left_open(name, f"not tried: requests go through the proxy {proxy}")
        return
    try:
        found = await addresses(server)
    except AituiError as error:
        so_far.blocked = error.what
        yield failed(NAME, error)
        for check in so_far.not_tried(PORT, TLS, PRESENTED):
            yield check
        return
    yield passed(NAME, f"{host_of(server)} is {', '.join(found)}")
    try:
        reached = await reached_address(server)
    except AituiError as error:
        so_far.blocked = error.what
        yield failed(PORT, error)
        for check in so_far.not_tried(TLS, PRESENTED):
            yield check
        return
    yield passed(PORT, f"{reached} takes connections")
    if not is_https(server):
        yield left_open(TLS, "none: the URL is http://")
        return
    async for check in _tls_checks(server, so_far, datetime.fromtimestamp(wall, UTC)):
        yield check


async def _tls_checks(server: Server, so_far: SoFar, now: datetime) -> AsyncIterator[Check]:
    try:
        shaken = await handshake(server)
    except CertificateFileError as error:
        so_far.blocked = error.what
        async for check in _without_our_certificate(server, so_far, now):
            yield check
    except AituiError as error:
        so_far.blocked = error.what
        yield failed(TLS, error)
        yield await _unverified(server, now)
    else:
        yield _verified(server, shaken)
        yield _presented(shaken.certificate, now)


async def _without_our_certificate(
    server: Server, so_far: SoFar, now: datetime
) -> AsyncIterator[Check]:
    """Our own files are at fault, which is said already: look at the server all the same."""
    try:
        shaken = await handshake(server, present=False)
    except CertificateFileError:
        yield left_open(TLS, f"not verified: {so_far.blocked}")
        yield await _unverified(server, now)
    except AituiError as error:
        yield failed(TLS, error)
        yield await _unverified(server, now)
    else:
        yield _verified(server, shaken)
        yield _presented(shaken.certificate, now)


def _verified(server: Server, shaken: Handshake) -> Check:
    trust = path_words(server.ca) if server.ca is not None else "the system's trust store"
    return passed(TLS, f"{shaken.protocol}, chain and name {host_of(server)} verified with {trust}")


def _presented(certificate: ServerCertificate, now: datetime) -> Check:
    days = (certificate.not_after - now).days
    soon = "renew it on the server in time" if days <= 30 else ""
    return passed(PRESENTED, f"{_words(certificate)}, {days} days left", soon)


async def _unverified(server: Server, now: datetime) -> Check:
    try:
        certificate = await unverified_certificate(server)
    except AituiError:
        look = f"openssl s_client -connect {authority_of(server)} -showcerts"
        return left_open(PRESENTED, "not seen: the handshake was broken off", look)
    state = ", expired" if certificate.not_after < now else ""
    return left_open(PRESENTED, f"not trusted: {_words(certificate)}{state}")


def _words(certificate: ServerCertificate) -> str:
    names = f" for {', '.join(certificate.names)}" if certificate.names else " without host names"
    return (
        f"{certificate.subject}{names}, issued by {certificate.issuer}, valid from "
        f"{date_words(certificate.not_before)} until {date_words(certificate.not_after)}"
    )
