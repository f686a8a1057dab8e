"""What the doctor says of our own certificate files, one check each. Call it in a thread."""

import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aitui.domain.checks import CheckResult, failing_check, inconclusive_check, passing_check
from aitui.domain.server import Server
from aitui.errors import AituiError, CertificateFileError
from aitui.llamaswap.certificates import (
    CA,
    CERTIFICATE,
    KEY,
    check_dates,
    check_key,
    check_present,
    format_date,
    format_name,
    read_certificates,
    renewal_command,
)
from aitui.llamaswap.urls import is_https
from aitui.paths import format_path

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

DATES = "client certificate dates"
ISSUER = "client certificate issuer"
PERMISSIONS = "client key permissions"
KEY_MATCH = "client key belongs"


def certificate_checks(server: Server, wall: float) -> tuple[CheckResult, ...]:
    """Check our files at `wall` (Unix time); one inconclusive check if none is used."""
    if not is_https(server):
        return (inconclusive_check("certificate files", "none is used: the URL is http://"),)
    now = datetime.fromtimestamp(wall, UTC)
    authorities, ca_check = _authorities_check(server, now)
    certificate, certificate_check = _certificate_check(server)
    checks = [ca_check, certificate_check]
    if certificate is not None and server.client_cert is not None:
        checks.append(_dates_check(server.client_cert, certificate, now))
        checks.append(_issuer_check(server, certificate, authorities))
    return (*checks, *_key_checks(server, certificate))


def _authorities_check(server: Server, now: datetime) -> tuple[list["Certificate"], CheckResult]:
    path = server.ca
    if path is None:
        return [], inconclusive_check(CA, "none is set: the system's trust store is used")
    try:
        check_present(CA, path)
        found = read_certificates(CA, path)
        lasting = max(found, key=lambda one: one.not_valid_after_utc)
        check_dates(CA, path, lasting, now)
    except AituiError as error:
        return [], failing_check(CA, error)
    others = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return found, passing_check(
        CA,
        f"{format_path(path)}: {format_name(lasting.subject)}{others}, "
        f"valid until {format_date(lasting.not_valid_after_utc)}",
    )


def _certificate_check(server: Server) -> tuple["Certificate | None", CheckResult]:
    path = server.client_cert
    if path is None:
        return None, inconclusive_check(CERTIFICATE, "none is set")
    try:
        check_present(CERTIFICATE, path)
        first = read_certificates(CERTIFICATE, path)[0]
    except AituiError as error:
        return None, failing_check(CERTIFICATE, error)
    return first, passing_check(CERTIFICATE, f"{format_path(path)}: {format_name(first.subject)}")


def _dates_check(path: Path, certificate: "Certificate", now: datetime) -> CheckResult:
    try:
        check_dates(CERTIFICATE, path, certificate, now)
    except AituiError as error:
        return failing_check(DATES, error)
    days = (certificate.not_valid_after_utc - now).days
    until = f"valid until {format_date(certificate.not_valid_after_utc)}, {days} days left"
    soon = f"renew it: {renewal_command(path)}; a renewed file is used without a restart"
    return passing_check(DATES, until, soon if days <= 30 else "")


def _issuer_check(
    server: Server, certificate: "Certificate", authorities: list["Certificate"]
) -> CheckResult:
    from aitui.domain.certs import is_issued_by

    issuer = format_name(certificate.issuer)
    if server.ca is None or server.client_cert is None or not authorities:
        return inconclusive_check(ISSUER, f"{issuer}: no authority is set to compare it with")
    ca = format_path(server.ca)
    if any(is_issued_by(certificate, authority) for authority in authorities):
        return passing_check(ISSUER, f"{issuer}, the authority in {ca}")
    # A server may trust other authorities than the one that issued its own certificate.
    namesake = certificate.issuer in {authority.subject for authority in authorities}
    how = "of the same name as" if namesake else "other than"
    return inconclusive_check(
        ISSUER,
        f"{issuer}, an authority {how} the one in {ca}; the server may trust it",
        f"openssl verify -CAfile {ca} {format_path(server.client_cert)}",
    )


def _key_checks(server: Server, certificate: "Certificate | None") -> tuple[CheckResult, ...]:
    path = server.client_key or server.client_cert
    if path is None:
        return ()
    if server.client_cert is None:
        alone = CertificateFileError(
            "A client key is set, but no client certificate", remedy="set client_cert as well"
        )
        return (failing_check(KEY, alone),)
    try:
        check_present(KEY, path)
    except AituiError as error:
        return (failing_check(KEY, error),)
    permissions = _permissions_check(path)
    if certificate is None:
        return permissions, inconclusive_check(KEY_MATCH, "no certificate to compare it with")
    try:
        check_key(server)
    except AituiError as error:
        return permissions, failing_check(KEY_MATCH, error)
    return permissions, passing_check(
        KEY_MATCH, f"{format_path(path)} is the key of the certificate"
    )


def _permissions_check(path: Path) -> CheckResult:
    mode = stat.S_IMODE(path.expanduser().stat().st_mode)
    if mode & 0o044:
        shown = format_path(path)
        seen = f"others can read {shown} (mode {mode:04o})"
        return failing_check(PERMISSIONS, CertificateFileError(seen, remedy=f"chmod 600 {shown}"))
    return passing_check(PERMISSIONS, f"mode {mode:04o}: no other user can read it")
