"""The CA that signs: on this machine with its key, or on a host where openssl does it."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from aitui.domain.certs import (
    OPENSSL_AUTHORITY_CONFIG,
    PrivateKey,
    Terms,
    certificate_pem,
    common_name,
    days_left,
    fingerprint_of,
    have_same_key,
    is_issued_by,
    key_pem,
    new_authority,
    new_key,
    openssl_extensions,
    openssl_key_options,
    openssl_subject,
    sign,
    subject,
)
from aitui.errors import AituiError
from aitui.services.certs.folder import CA_KEY, PRIVATE, CertFolder, CertPair, NewFile

ISSUED, REVOKED = "issued", "revoked"
"""Directories of the CA with a copy of each certificate, for `revoke`."""

AskPassword = Callable[[str], Awaitable[str]]
"""Asks for the password of a file."""

_SIGN = """\
printf '%s' "$1" >"$work/request"; printf '%s' "$2" >"$work/extensions"
openssl x509 -req -in "$work/request" -CA "$5" -CAkey root-ca.key -passin pass: \\
  -set_serial "0x$3" -days "$4" -extfile "$work/extensions"
"""
# A hard link is the move that replaces nothing.
_NEW_CA = """\
printf '%s' "$1" >"$work/config"
openssl genpkey $2 -out "$work/key"
openssl req -new -x509 -utf8 -key "$work/key" -subj "$3" -days "$4" -set_serial "0x$5" \\
  -config "$work/config" -extensions ca -out "$work/certificate"
chmod 644 "$work/certificate"
ln "$work/key" root-ca.key
ln "$work/certificate" root-ca.pem
"""
_RENEW_CA = """\
printf '%s' "$1" >"$work/config"
openssl x509 -in "$2" -signkey root-ca.key -passin pass: -clrext -days "$3" -set_serial "0x$4" \\
  -extfile "$work/config" -extensions ca
"""


class AuthorityKeyMissing(AituiError):
    """The CA's private key isn't where it was looked for."""


class Authority(Protocol):
    """A CA in a folder; its private key never leaves that folder's machine."""

    folder: CertFolder

    async def create(self, name: str, key_type: str, days: int) -> None:
        """Make key and certificate; nothing of these names exists."""

    async def certificate(self) -> x509.Certificate:
        """Read its certificate. Raises AuthorityKeyMissing unless its key is there as well."""

    async def sign(self, request: x509.CertificateSigningRequest, terms: Terms) -> x509.Certificate:
        """Issue a certificate and keep a copy of it."""

    async def renew(self, days: int) -> x509.Certificate:
        """Make its certificate again with the same name and key; nothing is written."""


class LocalAuthority:
    """A CA of this machine; `ask` is for the password of an encrypted key."""

    def __init__(self, folder: CertFolder, ask: AskPassword) -> None:
        self.folder = folder
        self._ask = ask

    async def create(self, name: str, key_type: str, days: int) -> None:
        key = await make_key(key_type)
        certificate = new_authority(subject(name), key, datetime.now(UTC), days)
        await self.folder.write(
            [
                NewFile(CA_KEY, key_pem(key), PRIVATE),
                NewFile(self.folder.ca, certificate_pem(certificate)),
            ]
        )

    async def certificate(self) -> x509.Certificate:
        return await _certificate_with_key(self.folder)

    async def sign(self, request: x509.CertificateSigningRequest, terms: Terms) -> x509.Certificate:
        authority = await self.certificate()
        key = await self._key()
        certificate = sign(request, terms, authority, key, datetime.now(UTC))
        await _record(self.folder, certificate)
        return certificate

    async def renew(self, days: int) -> x509.Certificate:
        old = await self.certificate()
        return new_authority(old.subject, await self._key(), datetime.now(UTC), days)

    async def _key(self) -> PrivateKey:
        pair, remedy = (
            CertPair(self.folder.ca, CA_KEY),
            "pass the directory that has both: --ca-dir DIR",
        )
        return await own_key(self.folder, pair, self._ask, remedy)


class HostAuthority:
    """A CA on another machine, where openssl makes keys and signs."""

    def __init__(self, folder: CertFolder) -> None:
        self.folder = folder

    async def create(self, name: str, key_type: str, days: int) -> None:
        await self.folder.make()
        await self.folder.openssl(
            _NEW_CA,
            OPENSSL_AUTHORITY_CONFIG,
            openssl_key_options(key_type),
            openssl_subject(name),
            str(days),
            _new_serial(),
        )

    async def certificate(self) -> x509.Certificate:
        return await _certificate_with_key(self.folder)

    async def sign(self, request: x509.CertificateSigningRequest, terms: Terms) -> x509.Certificate:
        authority = await self.certificate()
        pem = request.public_bytes(Encoding.PEM).decode()
        extensions = "".join(
            f"{line}\n" for line in openssl_extensions(terms, request.public_key())
        )
        days = max(1, min(terms.days, days_left(authority, datetime.now(UTC))))
        certificate = await self._run(
            authority, request, _SIGN, pem, extensions, _new_serial(), str(days), self.folder.ca
        )
        await _record(self.folder, certificate)
        return certificate

    async def renew(self, days: int) -> x509.Certificate:
        old = await self.certificate()
        words = (OPENSSL_AUTHORITY_CONFIG, self.folder.ca, str(days), _new_serial())
        return await self._run(old, old, _RENEW_CA, *words)

    async def _run(
        self,
        issuer: x509.Certificate,
        holder: x509.CertificateSigningRequest | x509.Certificate,
        script: str,
        *words: str,
    ) -> x509.Certificate:
        """Have openssl sign something for the holder's key."""
        output = await self.folder.openssl(script, *words)
        try:
            certificate = x509.load_pem_x509_certificate(output)
        except ValueError as error:
            raise AituiError(
                f"openssl returned no certificate in {self.folder.show_path()}"
            ) from error
        if not (have_same_key(certificate, holder) and is_issued_by(certificate, issuer)):
            raise AituiError(
                f"{self.folder.show_path()} returned a certificate for another request"
            )
        return certificate


async def make_key(kind: str) -> PrivateKey:
    """Make a key in a thread: RSA takes a second."""
    return await asyncio.to_thread(new_key, kind)


async def own_key(folder: CertFolder, pair: CertPair, ask: AskPassword, remedy: str) -> PrivateKey:
    """Read the key of a pair on this machine. Raises AituiError if it is another certificate's."""
    certificate = await folder.certificate(pair.certificate)
    try:
        key = await folder.private_key(pair.key)
    except TypeError:
        key = await folder.private_key(pair.key, await ask(folder.show_path(pair.key)))
    if not have_same_key(key, certificate):
        what = (
            f"{folder.show_path(pair.key)} is not the key of {folder.show_path(pair.certificate)}"
        )
        raise AituiError(what, remedy=remedy)
    return key


async def copies_in(folder: CertFolder, name: str) -> dict[str, x509.Certificate]:
    """Return the copies that a CA keeps in `issued` or `revoked`, by their paths."""
    path = folder.path_of(name)
    place = CertFolder(folder.host, path, is_remote=folder.is_remote)
    copies = {}
    for file in await place.files():
        if file.endswith(".pem") and not file.startswith("."):
            copies[f"{path}/{file}"] = await place.certificate(file)
    return copies


def record_name(certificate: x509.Certificate) -> str:
    """Return the name of the copy that a CA keeps of a certificate."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", common_name(certificate))[:40].strip(".-")
    return f"{name or 'certificate'}-{fingerprint_of(certificate)[:8]}.pem"


async def _record(folder: CertFolder, certificate: x509.Certificate) -> None:
    await folder.make(ISSUED)
    name = f"{ISSUED}/{record_name(certificate)}"
    await folder.write([NewFile(name, certificate_pem(certificate))], replace=True)


async def _certificate_with_key(folder: CertFolder) -> x509.Certificate:
    missing = [name for name in (CA_KEY, folder.ca) if not await folder.exists(name)]
    if missing:
        raise AuthorityKeyMissing(
            f"There is no CA in {folder.show_path()}",
            why=f"{missing[0]} is missing",
            remedy="pass its directory with --ca-dir or its host with --on, or create one: "
            "aitui certs new-ca",
        )
    return await folder.certificate(folder.ca)


def _new_serial() -> str:
    """Return a positive serial number of 127 bits in hexadecimal digits."""
    return f"{secrets.randbits(126) | 1 << 126:x}"
