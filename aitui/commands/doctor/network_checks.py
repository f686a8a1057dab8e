"""The way to the server: name, port, TLS, and what it presents of itself."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from aitui.commands.doctor.so_far import ServerFindings
from aitui.domain.checks import CheckResult, failing_check, inconclusive_check, passing_check
from aitui.domain.server import Server
from aitui.errors import AituiError, CertificateFileError
from aitui.swap.addresses import authority_of, host_of, is_https
from aitui.swap.certificate_files import format_date, format_path
from aitui.swap.probe import (
    ServerCertificate,
    TlsHandshake,
    connect_address,
    fetch_unverified_certificate,
    handshake,
    proxy_address,
    resolve_addresses,
)

NAME = "host name"
PORT = "TCP"
TLS = "TLS"
SERVER_CERTIFICATE = "server certificate"


async def network_checks(
    server: Server, so_far: ServerFindings, wall: float
) -> AsyncIterator[CheckResult]:
    """Name, port, TLS and certificate; `wall` is now (Unix time)."""
    proxy = proxy_address(server)
    if proxy:
        for name in (NAME, PORT, TLS, SERVER_CERTIFICATE):
            yield inconclusive_check(name, f"not tried: requests go through the proxy {proxy}")
        return
    try:
        found = await resolve_addresses(server)
    except AituiError as error:
        so_far.blocked = error.what
        yield failing_check(NAME, error)
        for check in so_far.inconclusive_checks(PORT, TLS, SERVER_CERTIFICATE):
            yield check
        return
    yield passing_check(NAME, f"{host_of(server)} is {', '.join(found)}")
    try:
        reached = await connect_address(server)
    except AituiError as error:
        so_far.blocked = error.what
        yield failing_check(PORT, error)
        for check in so_far.inconclusive_checks(TLS, SERVER_CERTIFICATE):
            yield check
        return
    yield passing_check(PORT, f"{reached} takes connections")
    if not is_https(server):
        yield inconclusive_check(TLS, "none: the URL is http://")
        return
    async for check in _tls_checks(server, so_far, datetime.fromtimestamp(wall, UTC)):
        yield check


async def _tls_checks(
    server: Server, so_far: ServerFindings, now: datetime
) -> AsyncIterator[CheckResult]:
    try:
        shaken = await handshake(server)
    except CertificateFileError as error:
        so_far.blocked = error.what
        async for check in _check_without_client_certificate(server, so_far, now):
            yield check
    except AituiError as error:
        so_far.blocked = error.what
        yield failing_check(TLS, error)
        yield await _inspect_certificate(server, now)
    else:
        yield _tls_check(server, shaken)
        yield _server_certificate_check(shaken.certificate, now)


async def _check_without_client_certificate(
    server: Server, so_far: ServerFindings, now: datetime
) -> AsyncIterator[CheckResult]:
    """Our own files are at fault, which is said already: look at the server all the same."""
    try:
        shaken = await handshake(server, present=False)
    except CertificateFileError:
        yield inconclusive_check(TLS, f"not verified: {so_far.blocked}")
        yield await _inspect_certificate(server, now)
    except AituiError as error:
        yield failing_check(TLS, error)
        yield await _inspect_certificate(server, now)
    else:
        yield _tls_check(server, shaken)
        yield _server_certificate_check(shaken.certificate, now)


def _tls_check(server: Server, shaken: TlsHandshake) -> CheckResult:
    trust = format_path(server.ca) if server.ca is not None else "the system's trust store"
    return passing_check(
        TLS, f"{shaken.protocol}, chain and name {host_of(server)} verified with {trust}"
    )


def _server_certificate_check(certificate: ServerCertificate, now: datetime) -> CheckResult:
    days = (certificate.not_after - now).days
    soon = "renew it on the server in time" if days <= 30 else ""
    return passing_check(
        SERVER_CERTIFICATE, f"{_describe_certificate(certificate)}, {days} days left", soon
    )


async def _inspect_certificate(server: Server, now: datetime) -> CheckResult:
    try:
        certificate = await fetch_unverified_certificate(server)
    except AituiError:
        look = f"openssl s_client -connect {authority_of(server)} -showcerts"
        return inconclusive_check(
            SERVER_CERTIFICATE, "not seen: the handshake was broken off", look
        )
    state = ", expired" if certificate.not_after < now else ""
    return inconclusive_check(
        SERVER_CERTIFICATE, f"not trusted: {_describe_certificate(certificate)}{state}"
    )


def _describe_certificate(certificate: ServerCertificate) -> str:
    names = f" for {', '.join(certificate.names)}" if certificate.names else " without host names"
    return (
        f"{certificate.subject}{names}, issued by {certificate.issuer}, valid from "
        f"{format_date(certificate.not_before)} until {format_date(certificate.not_after)}"
    )
