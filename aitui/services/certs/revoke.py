"""A client locked out: which of its certificates the proxy has to refuse, and how it does that."""

from datetime import UTC, datetime

from cryptography import x509
from msgspec import Struct

from aitui.domain.certs import certificate_pem, common_name, days_left, fingerprint_of, hosts_of
from aitui.domain.sanitize import sanitize_line
from aitui.errors import AituiError
from aitui.services.certs.authority import ISSUED, REVOKED, copies_in, record_name
from aitui.services.certs.folder import CertFolder, NewFile


class Revocation(Struct, frozen=True):
    """What is revoked now: the client's `name`, and the `fingerprints` of all that are revoked."""

    name: str
    fingerprints: tuple[str, ...]


async def revoke(
    name: str,
    authority: CertFolder,
    others: tuple[CertFolder, ...],
    given: x509.Certificate | None = None,
) -> Revocation:
    """Record a client's certificates, or the `given` one, as revoked by their CA.

    The proxy isn't changed. Certificates of the other folders count as well. Raises AituiError if
    there is none.
    """
    found = [given] if given is not None else []
    if given is None:
        known = await _known(authority, others)
        found = [one for one in known if common_name(one) == name.strip()]
        if not found:
            raise _unknown_error(name, authority, known)
    await authority.make(REVOKED)
    for certificate in found:
        record = record_name(certificate)
        new = NewFile(f"{REVOKED}/{record}", certificate_pem(certificate))
        await authority.write([new], replace=True)
        if await authority.exists(f"{ISSUED}/{record}"):
            await authority.host.remove(authority.path_of(f"{ISSUED}/{record}"))
    now = datetime.now(UTC)
    revoked = [
        one for one in (await copies_in(authority, REVOKED)).values() if days_left(one, now) >= 0
    ]
    fingerprints = sorted(map(fingerprint_of, revoked))
    return Revocation(common_name(found[0]), tuple(fingerprints))


def caddy_matcher(fingerprints: tuple[str, ...]) -> str:
    """Return the lines of a Caddyfile that refuse these certificates with status 403."""
    values = " ".join(fingerprints)
    return f'@revoked vars {{tls_client_fingerprint}} {values}\nrespond @revoked "revoked" 403'


async def _known(
    authority: CertFolder, others: tuple[CertFolder, ...]
) -> tuple[x509.Certificate, ...]:
    """Return the client certificates that are known of, none twice; those of proxies have hosts."""
    found = [*(await copies_in(authority, ISSUED)).values()]
    found += (await copies_in(authority, REVOKED)).values()
    for folder in (authority, *others):
        pair = await folder.client_pair()
        found += await folder.certificates(pair.certificate)
    return tuple({fingerprint_of(one): one for one in found if not hosts_of(one)}.values())


def _unknown_error(
    name: str, authority: CertFolder, known: tuple[x509.Certificate, ...]
) -> AituiError:
    names = sorted({sanitize_line(common_name(one), 80) for one in known})
    return AituiError(
        f"There is no certificate of {sanitize_line(name, 80)}",
        why=f"known in {authority.show_path()}: {', '.join(names) or 'none'}",
        remedy="give the path of its certificate, or start over with another CA: "
        "aitui certs new-ca --dir DIR",
    )
