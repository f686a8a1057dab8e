"""A throw-away certificate authority as the set-up guide's openssl commands make it, on quick EC keys."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from aitui.demo.certificates import Certificates


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Issues certificates without extensions into a folder. Its root has no keyUsage.

    An authority whose files are in the folder goes on issuing.
    """

    def __init__(
        self, folder: Path, name: str = "Example Root CA", *, file: str = "", organization: str = ""
    ) -> None:
        self._folder = folder
        self._organization = organization
        self._name = _name(name, organization)
        self.root = folder / f"{file or name.replace(' ', '-').lower()}.pem"
        key_file = self.root.with_suffix(".key")
        if key_file.exists():
            self._key = _load_key(key_file)
            return
        self._key = ec.generate_private_key(ec.SECP256R1())
        public = self._key.public_key()
        root = (
            _builder(self._name, self._name, public, 0, 3650)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.root.write_bytes(root.public_bytes(Encoding.PEM))
        _write_key(key_file, self._key)

    def issue(
        self,
        name: str,
        *,
        hosts: tuple[str, ...] = (),
        from_days: int = 0,
        days: int = 365,
        password: str | None = None,
        file: str = "",
    ) -> Issued:
        """A certificate valid from `from_days` from now on for `days`, negative ones allowed."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(
            _name(name, self._organization), self._name, key.public_key(), from_days, days
        )
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        certificate = self._folder / f"{file or name.replace(' ', '-')}.pem"
        certificate.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        key_file = certificate.with_name(f"{certificate.stem}-key.pem")
        return Issued(certificate, _write_key(key_file, key, password))

    def intermediate(self, folder: Path, name: str) -> "Authority":
        """An authority in that folder whose `root` was issued by this one."""
        folder.mkdir()
        other = Authority(folder, name)
        signed = (
            _builder(other._name, self._name, other._key.public_key(), 0, 3650)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        other.root.write_bytes(signed.public_bytes(Encoding.PEM))
        return other


def make_certificates(folder: Path, *, name: str = "Example") -> Certificates:
    """A root CA, a certificate for localhost and 127.0.0.1, and a client certificate."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder, f"{name} Root CA", file="root-ca", organization="Example")
    server = authority.issue(
        "localhost", hosts=("localhost", "127.0.0.1"), days=3650, file="server"
    )
    client = authority.issue(f"{name} Client", days=3650, file="client")
    return Certificates(
        authority.root, server.certificate, server.key, client.certificate, client.key
    )


def make_foreign_certificates(folder: Path) -> Certificates:
    """A whole set by another authority, which the server doesn't know."""
    return make_certificates(folder, name="Foreign")


def make_expired_client(certificates: Certificates) -> tuple[Path, Path]:
    """A client certificate of the same authority that has expired, and its key."""
    authority = Authority(certificates.root_ca.parent, file="root-ca", organization="Example")
    expired = authority.issue("Expired Client", from_days=-2, days=1, file="expired-client")
    return expired.certificate, expired.key


def encrypt_client_key(certificates: Certificates, password: str) -> Path:
    """The client's key once more, encrypted."""
    path = certificates.client_key.with_name("client-encrypted.key")
    return _write_key(path, _load_key(certificates.client_key), password)


def _name(name: str, organization: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if organization:
        attributes += [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
        ]
    return x509.Name(attributes)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    from_days: int,
    days: int,
) -> x509.CertificateBuilder:
    start = datetime.now(UTC) - timedelta(hours=1) + timedelta(days=from_days)
    end = datetime.now(UTC) + timedelta(days=from_days + days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(start, end - timedelta(minutes=1)))
        .not_valid_after(end)
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey, password: str | None = None) -> Path:
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return path
