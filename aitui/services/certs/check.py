"""What is in a directory of certificates, and what is wrong with it."""

import shlex
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from msgspec import Struct
from msgspec.structs import replace

from aitui.domain.certs import (
    WARNING_DAYS,
    common_name,
    days_left,
    fingerprint_of,
    hosts_of,
    is_issued_by,
    old_form,
    p12_form,
    public_der,
)
from aitui.domain.checks import (
    CheckResult,
    defect_check,
    failing_check,
    inconclusive_check,
    passing_check,
)
from aitui.domain.sanitize import sanitize_line
from aitui.errors import AituiError, NoSuchFile
from aitui.services.certs.authority import ISSUED, REVOKED, copies_in
from aitui.services.certs.folder import (
    CA_KEY,
    SERVER_PAIR,
    CertFolder,
    CertPair,
    is_private,
)

_P12_SEEN = {
    "modern": "encrypted with AES, which older browsers call invalid or corrupt",
    "legacy": "encrypted in the old format that every browser reads",
    "none": "not encrypted",
}


class CertRow(Struct, frozen=True):
    """One certificate, as `certs show` lists it. `days` are left, negative after its end."""

    file: str
    name: str
    issuer: str
    hosts: tuple[str, ...]
    ends: str
    days: int
    key: str
    fingerprint: str
    form: str
    is_revoked: bool = False


class _Role(Struct, frozen=True):
    """What a pair of files is: its words, the command that renews it, and whether it is a CA."""

    words: str
    pair: CertPair
    renew: str
    is_authority: bool = False


async def _roles(folder: CertFolder) -> tuple[_Role, ...]:
    at = (
        f"--on {folder.host.label} --there --ca-dir {shlex.quote(folder.path)}"
        if folder.is_remote
        else f"--dir {folder.show_path()}"
    )
    return (
        _Role("CA", CertPair(folder.ca, CA_KEY), f"aitui certs renew ca {at}", is_authority=True),
        _Role("client", await folder.client_pair(), f"aitui certs renew client {at}"),
        _Role("server", SERVER_PAIR, f"aitui certs renew server {at}"),
    )


async def list_certificates(folder: CertFolder, now: datetime) -> tuple[CertRow, ...]:
    """Describe the certificates of CA, client and proxy in a folder, and the copies of its CA."""
    found: list[tuple[str, x509.Certificate]] = []
    for role in await _roles(folder):
        name = role.pair.certificate
        found += [(name, one) for one in await folder.certificates(name)]
    revoked = await copies_in(folder, REVOKED)
    known = set(revoked.values())
    copies = (await copies_in(folder, ISSUED)) | revoked
    listed = {one for _, one in found}
    found += [(path, one) for path, one in copies.items() if one not in listed]
    rows = ((_row(folder.show_path(name), one, now), one in known) for name, one in found)
    return tuple(replace(row, is_revoked=is_revoked) for row, is_revoked in rows)


def _row(shown: str, certificate: x509.Certificate, now: datetime) -> CertRow:
    with_authority = certificate.subject == certificate.issuer
    return CertRow(
        file=shown,
        name=sanitize_line(certificate.subject.rfc4514_string(), 120),
        issuer=sanitize_line(certificate.issuer.rfc4514_string(), 120),
        hosts=tuple(sanitize_line(host, 120) for host in hosts_of(certificate)),
        ends=f"{certificate.not_valid_after_utc:%Y-%m-%d}",
        days=days_left(certificate, now),
        key=_key_words(certificate),
        fingerprint=fingerprint_of(certificate),
        form=old_form(certificate, is_authority=with_authority),
    )


def _key_words(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return {"secp256r1": "P-256", "secp384r1": "P-384"}.get(key.curve.name, key.curve.name)
    return type(key).__name__.removesuffix("PublicKey")


async def check_folder(
    folder: CertFolder, authorities: CertFolder, now: datetime
) -> AsyncIterator[CheckResult]:
    """Check each certificate, key and p12 of a folder; `authorities` has the CA's certificate."""
    roots: list[x509.Certificate] = []
    with suppress(AituiError):  # its own check reports it
        roots = await authorities.certificates(authorities.ca)
    any_there = False
    for role in await _roles(folder):
        if role.is_authority:
            place = authorities
        elif await folder.exists(role.pair.certificate) or await folder.exists(role.pair.key):
            place = folder
        else:
            continue
        if not await place.exists(role.pair.certificate) and role.is_authority:
            yield inconclusive_check("CA certificate", f"there is no {place.show_path(place.ca)}")
            continue
        any_there = True
        async for check in _check_role(role, place, roots, now):
            yield check
    if not any_there:
        yield defect_check("certificates", f"there are none in {folder.show_path()}", "--dir DIR")
    places = {folder.path: folder, authorities.path: authorities}
    for place in places.values():
        async for check in _check_private_files(place):
            yield check


async def _check_role(
    role: _Role, folder: CertFolder, roots: list[x509.Certificate], now: datetime
) -> AsyncIterator[CheckResult]:
    name, shown = f"{role.words} certificate", folder.show_path(role.pair.certificate)
    try:
        certificate = await folder.certificate(role.pair.certificate)
    except AituiError as error:
        yield failing_check(name, error)
        return
    yield _check_dates(name, shown, certificate, now, role.renew)
    form = old_form(certificate, is_authority=role.is_authority)
    if form:
        remedy = f"renew it in the current form: {role.renew}"
        yield passing_check(f"{role.words} form", f"{shown}: works, old form ({form})", remedy)
    if not role.is_authority:
        yield _check_issuer(f"{role.words} issuer", shown, certificate, roots)
    async for check in _check_key(role, folder, certificate):
        yield check


def _check_dates(
    name: str, shown: str, certificate: x509.Certificate, now: datetime, renew: str
) -> CheckResult:
    days, ends = (
        days_left(certificate, now),
        f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
    )
    if now < certificate.not_valid_before_utc:
        begins = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        return defect_check(name, f"{shown} is valid from {begins}", "check the clock: timedatectl")
    if days < 0:
        return defect_check(name, f"{shown} has expired: it was valid until {ends}", renew)
    subject = sanitize_line(common_name(certificate), 80) or "no name"
    hosts = ", ".join(sanitize_line(host, 80) for host in hosts_of(certificate))
    seen = f"{shown}: {subject}{f' for {hosts}' if hosts else ''}, until {ends}, {days} days left"
    return passing_check(name, seen, renew if days <= WARNING_DAYS else "")


def _check_issuer(
    name: str, shown: str, certificate: x509.Certificate, roots: list[x509.Certificate]
) -> CheckResult:
    issuer = sanitize_line(certificate.issuer.rfc4514_string(), 120)
    if not roots:
        return inconclusive_check(name, f"{issuer}: there is no CA to compare it with")
    if any(is_issued_by(certificate, root) for root in roots):
        return passing_check(name, f"{issuer}, the CA there")
    namesake = any(certificate.issuer == root.subject for root in roots)
    which = "a CA of the same name with another key" if namesake else "another CA"
    return defect_check(
        name,
        f"{shown} was issued by {issuer}, and root-ca.pem is {which}",
        "copy the CA that the proxy trusts there, or have this CA issue it again",
    )


async def _check_key(
    role: _Role, folder: CertFolder, certificate: x509.Certificate
) -> AsyncIterator[CheckResult]:
    name, key = f"{role.words} key", role.pair.key
    if not await folder.exists(key):
        if not role.is_authority:  # a CA's key is best elsewhere
            yield defect_check(name, f"there is no {folder.show_path(key)}", "copy it there")
        return
    public = await folder.public_key(key)
    if public is None:
        yield inconclusive_check(
            name, f"{folder.show_path(key)} is locked with a password or unreadable"
        )
    elif public == public_der(certificate.public_key()):
        yield passing_check(name, f"{folder.show_path(key)} is the key of the certificate")
    else:
        yield defect_check(
            name,
            f"{folder.show_path(key)} is not the key of {folder.show_path(role.pair.certificate)}",
            "copy the right key there, or create both again with --force",
        )
    if not is_private(key):  # the others are checked by their names
        yield await _check_mode(folder, key)


async def _check_private_files(folder: CertFolder) -> AsyncIterator[CheckResult]:
    private = [name for name in await folder.files() if is_private(name)]
    for name in private:
        yield await _check_mode(folder, name)
        if name.endswith((".p12", ".pfx")):
            form = p12_form(await folder.read(name) or b"")
            remedy = "for browsers: aitui certs p12 --legacy" if form == "modern" else ""
            yield passing_check("p12", f"{folder.show_path(name)}: {_P12_SEEN[form]}", remedy)
    exposed = await folder.names_in_git(private)
    if exposed:
        yield defect_check(
            "git",
            f"{folder.show_path()} is in a git repository that does not ignore {', '.join(exposed)}",
            f"move it, or make git ignore it: echo '*' > {folder.show_path('.gitignore')}",
        )


async def _check_mode(folder: CertFolder, name: str) -> CheckResult:
    shown = folder.show_path(name)
    try:
        mode = await folder.mode(name)
    except NoSuchFile as error:
        return failing_check("permissions", error)
    if mode & 0o044:
        seen = f"others can read {shown} (mode {mode:04o})"
        return defect_check("permissions", seen, folder.chmod(name))
    return passing_check("permissions", f"{shown}: mode {mode:04o}")
