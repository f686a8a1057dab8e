"""Each of our own certificate files, checked one thing at a time. Reads files: use a thread."""

import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aitui.domain.checks import Check, Status, failed, left_open, passed
from aitui.domain.server import Server
from aitui.errors import AituiError, CertificateFileError
from aitui.swap.addresses import is_https
from aitui.swap.certificate_files import (
    check_dates,
    check_key,
    check_present,
    date_words,
    how_to_renew,
    name_words,
    path_words,
    read_certificates,
)

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

CA = "certificate authority"
CERTIFICATE = "client certificate"
KEY = "client key"
DATES = "client certificate dates"
ISSUER = "client certificate issuer"
PERMISSIONS = "client key permissions"
BELONGS = "client key belongs"


def certificate_checks(server: Server, wall: float) -> tuple[Check, ...]:
    """What our files are worth at `wall` (Unix time); one check where none is used."""
    if not is_https(server):
        return (left_open("certificate files", "none is used: the URL is http://"),)
    now = datetime.fromtimestamp(wall, UTC)
    authorities, of_ca = _authorities(server, now)
    certificate, of_certificate = _certificate(server)
    checks = [of_ca, of_certificate]
    if certificate is not None and server.client_cert is not None:
        checks.append(_dates(server.client_cert, certificate, now))
        checks.append(_issuer(server, certificate, authorities))
    return (*checks, *_key_checks(server, certificate))


def _authorities(server: Server, now: datetime) -> tuple[list["Certificate"], Check]:
    path = server.ca
    if path is None:
        return [], left_open(CA, "none is set: the system's trust store is used")
    try:
        check_present(CA, path)
        found = read_certificates(CA, path)
        lasting = max(found, key=lambda one: one.not_valid_after_utc)
        check_dates(CA, path, lasting, now)
    except AituiError as error:
        return [], failed(CA, error)
    others = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return found, passed(
        CA,
        f"{path_words(path)}: {name_words(lasting.subject)}{others}, "
        f"valid until {date_words(lasting.not_valid_after_utc)}",
    )


def _certificate(server: Server) -> tuple["Certificate | None", Check]:
    path = server.client_cert
    if path is None:
        return None, left_open(CERTIFICATE, "none is set")
    try:
        check_present(CERTIFICATE, path)
        first = read_certificates(CERTIFICATE, path)[0]
    except AituiError as error:
        return None, failed(CERTIFICATE, error)
    return first, passed(CERTIFICATE, f"{path_words(path)}: {name_words(first.subject)}")


def _dates(path: Path, certificate: "Certificate", now: datetime) -> Check:
    try:
        check_dates(CERTIFICATE, path, certificate, now)
    except AituiError as error:
        return failed(DATES, error)
    days = (certificate.not_valid_after_utc - now).days
    until = f"valid until {date_words(certificate.not_valid_after_utc)}, {days} days left"
    soon = f"renew it: {how_to_renew(path)}; a renewed file is picked up without a restart"
    return passed(DATES, until, soon if days <= 30 else "")


def _issuer(server: Server, certificate: "Certificate", authorities: list["Certificate"]) -> Check:
    issuer = name_words(certificate.issuer)
    if server.ca is None or server.client_cert is None or not authorities:
        return left_open(ISSUER, f"{issuer}: no authority of its own to compare it with")
    ca = path_words(server.ca)
    if any(_issued(certificate, authority) for authority in authorities):
        return passed(ISSUER, f"{issuer}, the authority in {ca}")
    # A server may trust other authorities than the one that issued its own certificate.
    namesake = certificate.issuer in {authority.subject for authority in authorities}
    how = "of the same name as" if namesake else "other than"
    return left_open(
        ISSUER,
        f"{issuer}, an authority {how} the one in {ca}; the server may trust it",
        f"openssl verify -CAfile {ca} {path_words(server.client_cert)}",
    )


def _issued(certificate: "Certificate", authority: "Certificate") -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _key_checks(server: Server, certificate: "Certificate | None") -> tuple[Check, ...]:
    path = server.client_key or server.client_cert
    if path is None:
        return ()
    if server.client_cert is None:
        alone = CertificateFileError(
            "A client key is set, but no client certificate", remedy="set client_cert as well"
        )
        return (failed(KEY, alone),)
    try:
        check_present(KEY, path)
    except AituiError as error:
        return (failed(KEY, error),)
    permissions = _permissions(path)
    if certificate is None:
        return permissions, left_open(BELONGS, "no certificate to compare it with")
    try:
        check_key(server)
    except AituiError as error:
        return permissions, failed(BELONGS, error)
    return permissions, passed(BELONGS, f"{path_words(path)} is the key of the certificate")


def _permissions(path: Path) -> Check:
    mode = stat.S_IMODE(path.expanduser().stat().st_mode)
    if mode & 0o044:
        shown = path_words(path)
        return Check(
            PERMISSIONS,
            Status.FAILED,
            f"others can read {shown} (mode {mode:04o})",
            f"chmod 600 {shown}",
            CertificateFileError.exit_code,
        )
    return passed(PERMISSIONS, f"mode {mode:04o}: nobody else can read it")
