"""Certificates for the proxy and its clients: made, renewed, packed for a browser."""

from datetime import UTC, datetime

from cryptography import x509
from msgspec import Struct

from aitui.domain.certs import (
    CA_DAYS,
    CLIENT_DAYS,
    SERVER_DAYS,
    Purpose,
    Terms,
    certificate_pem,
    check_common_name,
    common_name,
    have_same_key,
    host_name,
    key_pem,
    new_request,
    openssl_key_options,
    openssl_subject,
    server_subject,
    subject,
    to_p12,
)
from aitui.errors import ActionRefused
from aitui.services.certs.authority import (
    ISSUED,
    REVOKED,
    AskPassword,
    Authority,
    make_key,
    own_key,
)
from aitui.services.certs.folder import (
    CA_KEY,
    GUIDE_PAIR,
    LEGACY_P12,
    P12,
    PRIVATE,
    SERVER_PAIR,
    CertFolder,
    CertPair,
    NewFile,
)

_REQUEST = """\
printf '[req]\\ndistinguished_name=dn\\nprompt=no\\n[dn]\\n' >"$work/config"
openssl genpkey $1 -out "$work/key"
openssl req -new -utf8 -key "$work/key" -subj "$2" -config "$work/config"
if [ "$4" ]; then mv -f "$work/key" "$3"; else ln "$work/key" "$3"; fi
"""
# Without -legacy: OpenSSL 3 has 3DES in its default provider, and versions before 3 lack the option.
_LEGACY_P12 = """\
openssl pkcs12 -export -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1 \\
  -inkey client.key -in client.crt -certfile root-ca.pem -name "$1" \\
  -passin pass: -passout pass: -out "$work/p12"
mv -f "$work/p12" client-legacy.p12
"""
UNPROTECTED = "It has no password: delete it after the import"
NEW_CLIENT = "create both again: aitui certs client NAME --force"


class CertChange(Struct, frozen=True):
    """What was written, by its path, and what to know or to do next."""

    written: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    certificate: x509.Certificate | None = None


async def create_authority(
    authority: Authority, name: str, key_type: str, days: int | None, *, force: bool
) -> CertChange:
    """Make a new CA. With `force` an old one is moved aside. Raises ActionRefused."""
    folder, now = authority.folder, datetime.now(UTC)
    name = check_common_name(name or f"Root CA {now:%Y-%m-%d %H:%M}")
    moved: tuple[str, ...] = ()
    if force:
        old = (CA_KEY, folder.ca, "root-ca.srl", ISSUED, REVOKED)
        moved = await folder.set_aside(old, f"{now:%Y%m%d-%H%M%S}")
    elif await folder.exists(CA_KEY) or await folder.exists(folder.ca):
        raise ActionRefused(
            f"{folder.show_path()} already has a CA",
            why="a new one locks out every client of the old one",
            remedy="keep it, or use another --dir; --force moves the old one aside",
        )
    await authority.create(name, key_type, days or CA_DAYS)
    notes = [f"the old CA is now {path}" for path in moved]
    if moved:
        notes.append(
            "Every client is locked out as soon as the proxy trusts the new CA: make a new "
            "certificate for the proxy and for each client (--force), and copy root-ca.pem to them"
        )
    certificate = await folder.certificate(folder.ca)
    return CertChange(
        (folder.show_path(CA_KEY), folder.show_path(folder.ca)), tuple(notes), certificate
    )


class CertPlan(Struct, frozen=True):
    """A certificate to make: for which pair of files, of what name, on what terms."""

    pair: CertPair
    name: str
    terms: Terms
    key_type: str
    force: bool = False


def server_certificate(
    names: tuple[str, ...], key_type: str, days: int | None, *, force: bool
) -> CertPlan:
    """Describe the proxy's certificate. Raises SettingsError for a wrong name."""
    for name in names:
        host_name(name)
    terms = Terms(Purpose.SERVER, names, days or SERVER_DAYS)
    return CertPlan(SERVER_PAIR, server_subject(names), terms, key_type, force)


def client_certificate(
    pair: CertPair, name: str, key_type: str, days: int | None, *, force: bool
) -> CertPlan:
    """Describe a client's certificate. Raises SettingsError for a wrong name."""
    terms = Terms(Purpose.CLIENT, (), days or CLIENT_DAYS)
    return CertPlan(pair, check_common_name(name), terms, key_type, force)


async def issue(wanted: CertPlan, authority: Authority, folder: CertFolder) -> CertChange:
    """Make a key and its certificate in a folder: the key is made on the folder's machine."""
    root, pair = await authority.certificate(), wanted.pair
    if not wanted.force:
        await folder.refuse_existing(pair.key, pair.certificate)
    if folder.is_remote:
        certificate = await _issue_there(wanted, authority, folder)
    else:
        key = await make_key(wanted.key_type)
        certificate = await authority.sign(new_request(subject(wanted.name), key), wanted.terms)
        files = [
            NewFile(pair.key, key_pem(key), PRIVATE),
            NewFile(pair.certificate, certificate_pem(certificate)),
        ]
        if pair.key == pair.certificate:
            files = [NewFile(pair.key, certificate_pem(certificate) + key_pem(key), PRIVATE)]
        await folder.write(files, replace=wanted.force)
    written = (folder.show_path(pair.key), folder.show_path(pair.certificate))
    copied, notes = await _copy_root(root, folder)
    return CertChange((*written, *copied), notes, certificate)


async def _issue_there(
    wanted: CertPlan, authority: Authority, folder: CertFolder
) -> x509.Certificate:
    await folder.make()
    pair, name = wanted.pair, openssl_subject(wanted.name)
    key = f".{pair.key}.new" if wanted.force else pair.key
    force = "1" if wanted.force else ""
    options = openssl_key_options(wanted.key_type)
    output = await folder.openssl(_REQUEST, options, name, key, force)
    try:
        certificate = await authority.sign(x509.load_pem_x509_csr(output), wanted.terms)
    except BaseException:
        await folder.host.remove(folder.path_of(key))
        raise
    if wanted.force:
        await folder.host.rename(folder.path_of(key), folder.path_of(pair.key))
    new = NewFile(pair.certificate, certificate_pem(certificate))
    await folder.write([new], replace=wanted.force)
    return certificate


async def _copy_root(
    root: x509.Certificate, folder: CertFolder
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put the CA's certificate there if there is none; another one may be the server's own CA."""
    found = await folder.certificates(folder.ca)
    if not found:
        await folder.write([NewFile(folder.ca, certificate_pem(root))])
        return (folder.show_path(folder.ca),), ()
    if any(have_same_key(root, one) for one in found):
        return (), ()
    other = (
        f"{folder.show_path(folder.ca)} is another CA and stays: right if it is that of the proxy"
    )
    return (), (other,)


async def pack_there(folder: CertFolder) -> str:
    """Make client-legacy.p12 on a host from its client.crt and client.key; return its path."""
    certificate = await folder.certificate(GUIDE_PAIR.certificate)
    await folder.openssl(_LEGACY_P12, common_name(certificate))
    return folder.show_path(LEGACY_P12)


async def pack(
    folder: CertFolder,
    password: str,
    ask: AskPassword,
    *,
    legacy: bool,
    force: bool,
) -> CertChange:
    """Pack a client's key and certificates into a PKCS#12 file."""
    pair = await folder.client_pair()
    certificate = await folder.certificate(pair.certificate)
    key = await own_key(folder, pair, ask, NEW_CLIENT)
    authorities = await folder.certificates(folder.ca)
    content = to_p12(key, certificate, authorities, password, legacy=legacy)
    name = LEGACY_P12 if legacy else P12
    await folder.write([NewFile(name, content, PRIVATE)], replace=force)
    return CertChange((folder.show_path(name),), () if password else (UNPROTECTED,))
