"""Certificates of a CA, its proxy and its clients: made, renewed, packed and described.

Everything that is made is X.509 v3 with what RFC 5280 wants, so that OpenSSL's strict verification,
which Python 3.13 asks for, and browsers accept it. Keys and serial numbers are random, the rest is
decided by the arguments. Importing this module imports cryptography.
"""

import re
from datetime import datetime, timedelta
from enum import Enum
from ipaddress import ip_address
from typing import Protocol, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificatePublicKeyTypes,
    PublicKeyTypes,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from aitui.domain.sanitize import sanitize_line
from aitui.errors import SettingsError

CA_DAYS, SERVER_DAYS, CLIENT_DAYS = 3650, 825, 3650
"""How long they are valid. Apple refuses a server's certificate of more than 825 days."""

WARNING_DAYS = 30
_CLOCK_SKEW = timedelta(hours=1)
_LONGEST_NAME = 64
"""Bytes of a common name: `ub-common-name` of RFC 5280."""
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
KEY_TYPES = ("p256", "p384", "rsa2048", "rsa4096")
_EC_CURVES = {"p256": ec.SECP256R1, "p384": ec.SECP384R1}
_RSA_BITS = {"rsa2048": 2048, "rsa4096": 4096}
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_OLD_PBE = bytes.fromhex("060a2a864886f70d010c01")
_P12_ROUNDS = {False: 20_000, True: 2048}


PrivateKey: TypeAlias = (
    rsa.RSAPrivateKey
    | dsa.DSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)
"""The keys that a CA can sign with and a browser can import."""


class Purpose(Enum):
    """What a certificate is for; the value is OpenSSL's name of its extended key usage."""

    SERVER = "serverAuth"
    CLIENT = "clientAuth"


_USAGES = {
    Purpose.SERVER: ExtendedKeyUsageOID.SERVER_AUTH,
    Purpose.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH,
}


def check_common_name(name: str) -> str:
    """Return the name of a client or a CA. Raises SettingsError if a certificate can't hold it."""
    clean = name.strip()
    if clean and clean == sanitize_line(clean) and len(clean.encode()) <= _LONGEST_NAME:
        return clean
    raise SettingsError(
        f"{sanitize_line(name, 80)!r} can't be the name of a certificate",
        why=f"expected 1 to {_LONGEST_NAME} bytes of visible text, like laptop",
    )


def host_name(text: str) -> x509.GeneralName:
    """Read a host name, also one that begins with `*.`, or an address. Raises SettingsError."""
    name = text.strip().lower().removesuffix(".")
    try:
        address = ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        labels = name.removeprefix("*.").split(".")
        if (
            len(name) > 253
            or labels[-1].isdigit()
            or not all(_LABEL.fullmatch(label) for label in labels)
        ):
            raise SettingsError(
                f"{sanitize_line(text, 80)} is no host name",
                why="expected a name or an address without scheme, port and path, like "
                "ai.example.org or 192.168.2.2; other characters than ASCII as xn--…",
            ) from None
        return x509.DNSName(name)
    if getattr(address, "scope_id", None):
        raise SettingsError(f"{sanitize_line(text, 80)} has a zone, which no certificate can hold")
    return x509.IPAddress(address)


def new_key(kind: str) -> PrivateKey:
    """Make a private key of a kind: p256, p384, rsa2048, rsa4096."""
    if kind in _RSA_BITS:
        return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS[kind])
    return ec.generate_private_key(_EC_CURVES[kind]())


def openssl_key_options(kind: str) -> str:
    """Return what makes `openssl genpkey` generate such a key, for a shell to split."""
    if kind in _RSA_BITS:
        return f"-algorithm RSA -pkeyopt rsa_keygen_bits:{_RSA_BITS[kind]}"
    curve = kind.upper().replace("P", "P-")
    return f"-algorithm EC -pkeyopt ec_paramgen_curve:{curve} -pkeyopt ec_param_enc:named_curve"


def key_pem(key: PrivateKey) -> bytes:
    """Write a private key without a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_der(key: PublicKeyTypes) -> bytes:
    """Write a public key: equal for equal keys."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class KeyHolder(Protocol):
    """A certificate, a request, or a private key."""

    def public_key(self) -> PublicKeyTypes:
        """Return the public key."""


def have_same_key(one: KeyHolder, other: KeyHolder) -> bool:
    """Whether both have the same public key."""
    return public_der(one.public_key()) == public_der(other.public_key())


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Write a certificate."""
    return certificate.public_bytes(Encoding.PEM)


def subject(name: str) -> x509.Name:
    """Return the subject with that common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def openssl_subject(name: str) -> str:
    """Return the subject with that common name for `openssl req -utf8 -subj`."""
    return "/CN=" + re.sub(r"([\\/+])", r"\\\1", name)


def server_subject(names: tuple[str, ...]) -> str:
    """Return the common name of a proxy: the first of its names that fits."""
    shown = [host_text(host_name(name)) for name in names]
    return next((name for name in shown if len(name) <= _LONGEST_NAME), "proxy")


def host_text(name: x509.GeneralName) -> str:
    """Return a host name or an address as text."""
    return str(name.value) if isinstance(name, x509.DNSName | x509.IPAddress) else ""


def new_authority(name: x509.Name, key: PrivateKey, now: datetime, days: int) -> x509.Certificate:
    """Make the certificate of a root CA. One of the same name and key still verifies what it issued."""
    public = key.public_key()
    own_id = x509.SubjectKeyIdentifier.from_public_key(public)
    return (
        _builder(name, name, public, now, now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(own_id, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_id), critical=False
        )
        .sign(key, _digest(key))
    )


def new_request(name: x509.Name, key: PrivateKey) -> x509.CertificateSigningRequest:
    """Make a request; names, purpose and dates are the CA's to decide."""
    return x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, _digest(key))


class Terms(Struct, frozen=True):
    """What a CA decides of a certificate: what it is for, for which hosts, and for how long."""

    purpose: Purpose
    names: tuple[str, ...]
    days: int


def sign(
    request: x509.CertificateSigningRequest,
    terms: Terms,
    authority: x509.Certificate,
    key: PrivateKey,
    now: datetime,
) -> x509.Certificate:
    """Issue a certificate; it ends with its CA at the latest."""
    public, purpose, names = request.public_key(), terms.purpose, terms.names
    end = min(now + timedelta(days=terms.days), authority.not_valid_after_utc)
    builder = (
        _builder(request.subject, authority.subject, public, now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            _key_usage(enciphers=_enciphers(purpose, public), signs_certificates=False),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([_USAGES[purpose]]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_issuer_id(authority), critical=False)
    )
    if names:
        hosts = x509.SubjectAlternativeName([host_name(name) for name in names])
        builder = builder.add_extension(hosts, critical=False)
    return builder.sign(key, _digest(key))


def openssl_extensions(terms: Terms, public: CertificatePublicKeyTypes) -> tuple[str, ...]:
    """Return what `sign` adds, as the lines of a file for `openssl x509 -extfile`."""
    usage = "digitalSignature"
    if _enciphers(terms.purpose, public):
        usage += ",keyEncipherment"
    lines = [
        "basicConstraints=critical,CA:FALSE",
        f"keyUsage=critical,{usage}",
        f"extendedKeyUsage={terms.purpose.value}",
        "subjectKeyIdentifier=hash",
        "authorityKeyIdentifier=keyid,issuer",
    ]
    if terms.names:
        hosts = (host_name(name) for name in terms.names)
        shown = (
            f"{'DNS' if isinstance(host, x509.DNSName) else 'IP'}:{host_text(host)}"
            for host in hosts
        )
        lines.append(f"subjectAltName={','.join(shown)}")
    return tuple(lines)


OPENSSL_AUTHORITY_CONFIG = """\
[req]
distinguished_name=dn
prompt=no
[dn]
[ca]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid:always
"""
"""What `new_authority` adds, as a config for `openssl -extensions ca`."""


def to_p12(
    key: PrivateKey,
    certificate: x509.Certificate,
    authorities: list[x509.Certificate],
    password: str,
    *,
    legacy: bool,
) -> bytes:
    """Pack a client's files: with AES, or with 3DES and SHA-1 if NSS has to read it (`legacy`)."""
    secret = password.encode("utf-8", "surrogateescape")
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(_P12_ROUNDS[legacy])
        .key_cert_algorithm(
            pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC
            if legacy
            else pkcs12.PBES.PBESv2SHA256AndAES256CBC
        )
        .hmac_hash(hashes.SHA1() if legacy else hashes.SHA256())  # noqa: S303
        .build(secret or b"-")
    )
    # The builder refuses an empty password, which is what browsers are given (`-passout pass:`).
    encryption.password = secret  # type: ignore[attr-defined]
    name = common_name(certificate).encode()
    return pkcs12.serialize_key_and_certificates(name, key, certificate, authorities, encryption)


def p12_form(content: bytes) -> str:
    """Return how a PKCS#12 file is encrypted: modern, legacy, or none."""
    if _PBES2 in content:
        return "modern"
    return "legacy" if _OLD_PBE in content else "none"


def common_name(certificate: x509.Certificate) -> str:
    """Return the first common name of the subject, empty if it has none."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def hosts_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the host names and addresses that a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(filter(None, (host_text(name) for name in names)))


def fingerprint_of(certificate: x509.Certificate) -> str:
    """Return the SHA-256 in hexadecimal digits, as Caddy's `{tls_client_fingerprint}` has it."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def days_left(certificate: x509.Certificate, now: datetime) -> int:
    """Return the whole days until a certificate ends, negative if it has ended."""
    return (certificate.not_valid_after_utc - now).days


def old_form(certificate: x509.Certificate, *, is_authority: bool = False) -> str:
    """Describe what strict verifiers miss in a certificate, empty if it has everything."""
    if certificate.version is x509.Version.v1:
        return "X.509 v1"
    wanted: list[type[x509.ExtensionType]] = [x509.BasicConstraints, x509.KeyUsage]
    if not is_authority:
        wanted += [x509.ExtendedKeyUsage, x509.AuthorityKeyIdentifier]
    try:
        found = {type(extension.value) for extension in certificate.extensions}
    except ValueError:
        return "unreadable extensions"
    missing = [kind.__name__ for kind in wanted if kind not in found]
    return f"no {', '.join(name[0].lower() + name[1:] for name in missing)}" if missing else ""


def is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether the CA's key has signed the certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _builder(
    name: x509.Name,
    issuer: x509.Name,
    key: CertificatePublicKeyTypes,
    now: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # The clocks of clients and proxies differ.
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(end)
    )


def _key_usage(*, signs_certificates: bool, enciphers: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=enciphers,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _enciphers(purpose: Purpose, key: CertificatePublicKeyTypes) -> bool:
    """Whether TLS 1.2 may encrypt its secret with the key."""
    return purpose is Purpose.SERVER and isinstance(key, rsa.RSAPublicKey)


def _issuer_id(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own_id = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except (x509.ExtensionNotFound, ValueError):
        own_id = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_id)


def _digest(key: PrivateKey) -> hashes.SHA256 | None:
    """Return what is signed: Ed25519 and Ed448 digest by themselves."""
    is_edwards = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return None if is_edwards else hashes.SHA256()
