"""Certificates renewed: the same key, names and issuer, new dates, and today's form."""

import re
import shlex

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Struct

from aitui.domain.certs import (
    CA_DAYS,
    CLIENT_DAYS,
    SERVER_DAYS,
    Purpose,
    Terms,
    certificate_pem,
    fingerprint_of,
    have_same_key,
    hosts_of,
    is_issued_by,
    new_request,
    openssl_extensions,
)
from aitui.errors import ActionRefused, AituiError
from aitui.services.certs.authority import (
    REVOKED,
    AskPassword,
    Authority,
    AuthorityKeyMissing,
    own_key,
    record_name,
)
from aitui.services.certs.folder import (
    GUIDE_PAIR,
    LEGACY_P12,
    REQUEST,
    SERVER_PAIR,
    CertFolder,
    CertPair,
    NewFile,
)
from aitui.services.certs.issue import NEW_CLIENT, CertChange, pack_there

_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----(?:[^-]++|-(?!----BEGIN ))*?-----END CERTIFICATE-----\r?\n?"
)
_REQUEST_AGAIN = 'openssl x509 -x509toreq -in "$1" -signkey "$2" -passin pass:'


class Renewal(Struct, frozen=True):
    """What to renew: a pair of files of one purpose, for how long, and whether by any CA."""

    pair: CertPair
    purpose: Purpose
    days: int | None = None
    force: bool = False

    def terms(self, old: x509.Certificate) -> Terms:
        """Return what the new certificate is for: what the old one is for."""
        if self.purpose is Purpose.CLIENT:
            return Terms(self.purpose, (), self.days or CLIENT_DAYS)
        return Terms(self.purpose, hosts_of(old), self.days or SERVER_DAYS)


async def pairs_to_renew(folder: CertFolder, pair: str) -> tuple[tuple[CertPair, Purpose], ...]:
    """Return the pairs that are in a folder: all, or the "client" or "server" one.

    Raises AituiError if there is none.
    """
    client = await folder.client_pair()
    known = {"client": (client, Purpose.CLIENT), "server": (SERVER_PAIR, Purpose.SERVER)}
    wanted = [known[pair]] if pair else list(known.values())
    found = [one for one in wanted if await folder.exists(one[0].certificate)]
    if not found:
        missing = " and no ".join(one.certificate for one, _ in wanted)
        raise AituiError(
            f"There is nothing to renew in {folder.show_path()}",
            why=f"there is no {missing}",
            remedy="pass the directory: --dir DIR",
        )
    return tuple(found)


async def renew(
    renewal: Renewal, authority: Authority, folder: CertFolder, ask: AskPassword
) -> CertChange:
    """Renew a certificate in one step, or write a request if the CA's key isn't there."""
    pair = renewal.pair
    old = await folder.certificate(pair.certificate)
    if folder.is_remote:
        output = await folder.openssl(_REQUEST_AGAIN, pair.certificate, pair.key)
        request = x509.load_pem_x509_csr(output[output.index(b"-----BEGIN") :])
    else:
        request = new_request(old.subject, await own_key(folder, pair, ask, NEW_CLIENT))
    try:
        root = await authority.certificate()
    except AuthorityKeyMissing:
        return await _write_request(request, renewal, old, folder)
    await _refuse_another_authority(renewal, old, root, authority, folder)
    certificate = await authority.sign(request, renewal.terms(old))
    # What else is in the file stays: intermediates, or the key.
    content = await folder.read(pair.certificate) or b""
    content = _CERTIFICATE.sub(lambda _: certificate_pem(certificate), content, count=1)
    mode = await folder.mode(pair.certificate)
    await folder.write([NewFile(pair.certificate, content, mode)], replace=True)
    written = [folder.show_path(pair.certificate)]
    if authority.folder.is_remote and renewal.purpose is Purpose.CLIENT:
        written += await _update_copy(authority.folder, certificate)
    return CertChange(tuple(written), (), certificate)


async def renew_authority(
    authority: Authority, folders: tuple[CertFolder, ...], days: int | None
) -> CertChange:
    """Renew the CA's own certificate, also the copies of it in other folders.

    Its key and name stay, so everything that it issued stays valid, with the old copy as well.
    """
    old = await authority.certificate()
    certificate = await authority.renew(days or CA_DAYS)
    written = []
    for folder in (authority.folder, *folders):
        found = await folder.certificates(folder.ca)
        if len(found) == 1 and have_same_key(found[0], old):
            new = NewFile(folder.ca, certificate_pem(certificate))
            await folder.write([new], replace=True)
            written.append(folder.show_path(folder.ca))
    note = (
        f"No client is locked out: old copies of it work until {old.not_valid_after_utc:%Y-%m-%d}"
    )
    return CertChange(tuple(written), (note,), certificate)


async def _refuse_another_authority(
    renewal: Renewal,
    old: x509.Certificate,
    root: x509.Certificate,
    authority: Authority,
    folder: CertFolder,
) -> None:
    shown = folder.show_path(renewal.pair.certificate)
    if await authority.folder.exists(f"{REVOKED}/{record_name(old)}"):
        raise ActionRefused(
            f"{shown} is revoked",
            remedy="create a new key and certificate: aitui certs client NAME --force",
        )
    if not renewal.force and not is_issued_by(old, root):
        raise ActionRefused(
            f"{shown} was not issued by the CA in {authority.folder.show_path()}",
            why="the proxy may reject a certificate from another CA",
            remedy="pass the right CA with --ca-dir or --on, or add --force",
        )


async def _update_copy(folder: CertFolder, certificate: x509.Certificate) -> list[str]:
    """Write a renewed client certificate and its p12 over the proxy's copies of the old one."""
    found = await folder.certificates(GUIDE_PAIR.certificate)
    written: list[str] = []
    if not found or not have_same_key(found[0], certificate):
        return written
    if fingerprint_of(found[0]) != fingerprint_of(certificate):
        new = NewFile(GUIDE_PAIR.certificate, certificate_pem(certificate))
        await folder.write([new], replace=True)
        written.append(folder.show_path(GUIDE_PAIR.certificate))
    if await folder.exists(LEGACY_P12) and await folder.exists(GUIDE_PAIR.key):
        written.append(await pack_there(folder))
    return written


async def _write_request(
    request: x509.CertificateSigningRequest,
    renewal: Renewal,
    old: x509.Certificate,
    folder: CertFolder,
) -> CertChange:
    """Write a request, and explain how the CA's machine signs it."""
    pair = renewal.pair
    is_client = renewal.purpose is Purpose.CLIENT
    name, signed = (REQUEST, "client.crt") if is_client else ("caddy.csr", "caddy.pem")
    await folder.write([NewFile(name, request.public_bytes(Encoding.PEM))], replace=True)
    terms = renewal.terms(old)
    lines = shlex.join(openssl_extensions(terms, request.public_key()))
    # A file with the key must not be overwritten: then its certificate is replaced by hand.
    onto = signed if pair.key == pair.certificate else pair.certificate
    command = (
        f"printf '%s\\n' {lines} | openssl x509 -req -in ~/{name} -CA root-ca.pem -CAkey root-ca.key "
        f"-CAcreateserial -days {terms.days} -extfile /dev/stdin -out ~/{signed}"
    )
    steps = (
        "The CA's key is not here. Sign the request on the machine that has it:",
        f"  scp {folder.show_path(name)} CA-HOST:{name}",
        "There, in the directory of root-ca.key:",
        f"  {command}",
        "Then here:",
        f"  scp CA-HOST:{signed} {folder.show_path(onto)}",
        "With SSH to that machine, one command is enough: aitui certs renew --on CA-HOST --ca-dir DIR",
    )
    return CertChange((folder.show_path(name),), steps)
