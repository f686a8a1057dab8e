"""Throw-away certificates, made as the set-up guide's openssl commands make them."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)
_VALID = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files of one certificate authority, its server and one client. Keys have mode 0600."""

    root_ca: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path

    def server_context(self, *, require_client_certificate: bool) -> ssl.SSLContext:
        """The TLS settings of the server's side."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_cert, self.server_key)
        if require_client_certificate:
            context.load_verify_locations(self.root_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@dataclass(frozen=True, slots=True)
class _CertificateAuthority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_certificates(folder: Path, *, name: str = "Example") -> Certificates:
    """Make a root CA, a certificate for localhost and 127.0.0.1, and a client certificate.

    The root has no keyUsage extension and the client no extension at all, as in the guide.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority = _make_authority(f"{name} Root CA")
    root = _write(folder / "root-ca.pem", _pem(authority.certificate))
    _write_key(folder / "root-ca.key", authority.key)
    server_cert, server_key = _issue(
        authority, folder, "server", "localhost", names=("localhost", "127.0.0.1")
    )
    client_cert, client_key = _issue(authority, folder, "client", f"{name} Client")
    return Certificates(root, server_cert, server_key, client_cert, client_key)


def make_foreign_certificates(folder: Path) -> Certificates:
    """A whole set by another authority, which the server doesn't know."""
    return make_certificates(folder, name="Foreign")


def make_expired_client(certificates: Certificates) -> tuple[Path, Path]:
    """A client certificate of the same authority whose time is over, and its key."""
    folder = certificates.root_ca.parent
    return _issue(_load_authority(folder), folder, "expired-client", "Expired Client", until=-_DAY)


def encrypt_client_key(certificates: Certificates, password: str) -> Path:
    """The client's key once more, encrypted."""
    key = serialization.load_pem_private_key(certificates.client_key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    path = certificates.client_key.with_name("client-encrypted.key")
    return _write_key(path, key, password)


def _make_authority(name: str) -> _CertificateAuthority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name)
    certificate = (
        _builder(subject, subject, key, _VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _CertificateAuthority(certificate, key)


def _load_authority(folder: Path) -> _CertificateAuthority:
    key = serialization.load_pem_private_key((folder / "root-ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return _CertificateAuthority(
        x509.load_pem_x509_certificate((folder / "root-ca.pem").read_bytes()), key
    )


def _issue(
    authority: _CertificateAuthority,
    folder: Path,
    file_name: str,
    subject: str,
    *,
    names: tuple[str, ...] = (),
    until: timedelta = _VALID,
) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_subject(subject), authority.certificate.subject, key, until)
    if names:
        alternatives = [_alternative(name) for name in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    certificate = builder.sign(authority.key, hashes.SHA256())
    return (
        _write(folder / f"{file_name}.pem", _pem(certificate)),
        _write_key(folder / f"{file_name}-key.pem", key),
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, until: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + min(until, timedelta()) - _DAY)
        .not_valid_after(now + until)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
        ]
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey, password: str = "") -> Path:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password.encode())
    data = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    path.touch(mode=0o600)
    return _write(path, data)


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
