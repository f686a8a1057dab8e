"""Our own certificate files: what is in them, and what is wrong with them when TLS fails.

A good connection does without: `tls` reads what it needs.

A TLS library's messages name neither file nor cause, and under TLS 1.3 a refused client certificate
looks like any broken connection. Everything here reads files: call it in a thread.
"""

import re
import ssl
import stat
from base64 import b64decode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aitui.domain.sanitize import sanitize_line
from aitui.domain.server import Server, copy_command
from aitui.errors import CertificateFileError, KeyPasswordNeeded, TlsRefused
from aitui.llamaswap.urls import authority_of
from aitui.paths import format_path, read_start

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate, Name


CA = "certificate authority"
CERTIFICATE = "client certificate"
KEY = "client key"

# Up to the next BEGIN: a file of nothing but these lines would take the square of its length.
PRIVATE_KEY = re.compile(
    rb"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----(?:[^-]++|-(?!----BEGIN ))*?-----END \1-----"
)
_LABEL = rb"-----BEGIN ([A-Z0-9 ]{1,40})-----"
_CONTENTS = {
    "CERTIFICATE REQUEST": "a certificate request",
    "NEW CERTIFICATE REQUEST": "a certificate request",
    "PUBLIC KEY": "a public key",
    "X509 CRL": "a revocation list",
    "DH PARAMETERS": "parameters",
    "EC PARAMETERS": "parameters",
}
_PBE, _PBE_12 = bytes.fromhex("06092a864886f70d0105"), bytes.fromhex("060a2a864886f70d010c01")
_OLD_CIPHERS = {
    **dict.fromkeys((_PBE + b"\x01", _PBE + b"\x03", _PBE + b"\x0a"), "DES"),
    **dict.fromkeys((_PBE + b"\x04", _PBE + b"\x06", _PBE + b"\x0b"), "RC2"),
    **dict.fromkeys((_PBE_12 + b"\x01", _PBE_12 + b"\x02"), "RC4"),
    **dict.fromkeys((_PBE_12 + b"\x05", _PBE_12 + b"\x06"), "RC2"),
    bytes.fromhex("06052b0e030207"): "DES",
    bytes.fromhex("06082a864886f70d0302"): "RC2",
}
"""What OpenSSL 3 has in its legacy provider alone, by the identifiers of RFC 8018 and RFC 7292."""
_TODAYS_CIPHERS = ("AES", "DES-EDE", "CAMELLIA", "ARIA")
_SETTINGS = {CA: "ca", CERTIFICATE: "client_cert", KEY: "client_key"}


def check_files_present(server: Server) -> None:
    """Check that every configured file exists, without opening it. Raises CertificateFileError."""
    for what, path in server.certificate_files:
        check_present(what, path)


def check_present(what: str, path: Path) -> None:
    """Check that a file exists, without opening it. Raises CertificateFileError."""
    try:
        found = path.expanduser().stat()
    except OSError as error:
        raise unreadable_file_error(what, path, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise CertificateFileError(
            f"The {what} {format_path(path)} is not a regular file",
            remedy=f"set {_SETTINGS[what]} to a PEM file",
        )


def find_file_error(server: Server) -> CertificateFileError | None:
    """Return the first fault in our own files, None if there is none."""
    try:
        check_files_present(server)
        for what, path, certificate in _iter_certificates(server):
            check_dates(what, path, certificate, datetime.now(UTC))
        check_key(server)
    except CertificateFileError as error:
        return error
    return None


def client_certificate_error(server: Server, words: str = "", how: str = "") -> TlsRefused:
    """Return why the server refused our client certificate.

    `words` are those of its alert, `how` says before the verb what it did instead of sending one.
    """
    own = find_file_error(server)
    if own is not None:
        return own
    where = authority_of(server)
    if server.client_cert is None:
        return TlsRefused(
            f"{where} {how}requires a client certificate",
            why=words or "none is set",
            remedy=_certificate_remedy(server),
        )
    certificate = format_path(server.client_cert)
    issuer, missing = _describe_issuer(server, server.client_cert)
    reasons = [words, f"{certificate} {issuer}"]
    ca = format_path(server.ca) if server.ca is not None else "root-ca.pem"
    append = f"; append the certificate of {missing} if that is an intermediate" if missing else ""
    return TlsRefused(
        f"{where} {how}did not accept the client certificate",
        why="; ".join(reason for reason in reasons if reason),
        remedy=f"check it with the server's CA: openssl verify -CAfile {ca} {certificate}{append}",
    )


def _certificate_remedy(server: Server) -> str:
    """Say what to set where a certificate is asked for and none is set."""
    if server.unused_certificates is None:
        return "set client_cert and client_key"
    folder = format_path(server.unused_certificates)
    return f"{folder} has one: set certs_dir in config.toml, or AI_SERVER_CERTS_DIR={folder}"


def hangup_error(server: Server) -> TlsRefused:
    """Return why the server may have hung up after the handshake without an alert."""
    return client_certificate_error(server, how="hung up, maybe because it ")


def unreadable_file_error(what: str, path: Path, error: OSError) -> CertificateFileError:
    """Return the error for a file that can't be opened or that the TLS library can't use."""
    setting = _SETTINGS[what]
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        folder = path.expanduser().parent
        make = "" if folder.exists() else f"mkdir -p {format_path(folder)} && "
        return CertificateFileError(
            f"The {what} {format_path(path)} does not exist",
            remedy=f"copy it there, or set {setting}: {make}{copy_command(path)}",
        )
    if isinstance(error, PermissionError):
        return CertificateFileError(
            f"The {what} {format_path(path)} can't be read",
            why="permission denied",
            remedy=f"chmod u+r {format_path(path)}",
        )
    return CertificateFileError(
        f"The {what} {format_path(path)} can't be used",
        why=sanitize_line(error.strerror or str(error), 200),
        remedy=f"set {setting} to a PEM file",
    )


def key_password_error(server: Server) -> KeyPasswordNeeded:
    """Return the error for an encrypted key without its password, or with a wrong one."""
    path = server.client_key or server.client_cert or Path()
    missing = server.client_key_password is None
    return KeyPasswordNeeded(
        f"The client key {format_path(path)} is encrypted",
        why="no password is set" if missing else "the password is wrong",
        remedy=f"enter its password, or set client_key to a decrypted copy: openssl pkey "
        f"-in {format_path(path)} -out {_copy_of(path, 'plain')}",
    )


def _iter_certificates(server: Server) -> Iterator[tuple[str, Path, "Certificate"]]:
    """Yield the longest-lasting certificate of the CA file, and the client's first one."""
    if server.ca is not None:
        authorities = read_certificates(CA, server.ca)
        # A bundle may hold some that have expired.
        yield CA, server.ca, max(authorities, key=lambda found: found.not_valid_after_utc)
    if server.client_cert is not None:
        yield CERTIFICATE, server.client_cert, read_certificates(CERTIFICATE, server.client_cert)[0]


def read_certificates(what: str, path: Path) -> list["Certificate"]:
    """Read the certificates in a PEM file, at least one. Raises CertificateFileError."""
    from cryptography.x509 import load_pem_x509_certificates

    content = read_file(what, path)
    if b"-----BEGIN " not in content:
        raise _not_pem_error(what, path, content)
    if not any(label.endswith("CERTIFICATE") for label in _labels(content)):
        named = _name_content(content)
        remedy = (
            "set client_cert to the certificate, and client_key to the key: they may be swapped"
        )
        if what == CA:
            remedy = "set ca to the root certificate of the server, like root-ca.pem"
        elif named == _CONTENTS["CERTIFICATE REQUEST"]:
            remedy = (
                "have the authority sign it, and set client_cert to the result: openssl x509 -req "
                f"-in {format_path(path)} -CA root-ca.pem -CAkey root-ca.key -CAcreateserial "
                "-days 3650 -out client.crt"
            )
        raise CertificateFileError(
            f"The {what} {format_path(path)} holds {named}, not a certificate", remedy=remedy
        )
    try:
        return load_pem_x509_certificates(content)
    except ValueError as error:
        raise CertificateFileError(
            f"The {what} {format_path(path)} contains no readable certificate",
            why="the data between BEGIN and END is incomplete or damaged"
            if "PEM file" in str(error)
            else sanitize_line(str(error), 200),
            remedy=f"inspect it: openssl x509 -in {format_path(path)} -noout -text",
        ) from error


def read_file(what: str, path: Path) -> bytes:
    """Read the first 4 MiB of a file. Raises CertificateFileError."""
    try:
        return read_start(path)
    except OSError as error:
        raise unreadable_file_error(what, path, error) from error


def _not_pem_error(what: str, path: Path, content: bytes) -> CertificateFileError:
    shown, setting = format_path(path), _SETTINGS[what]
    target = format_path(path.with_name(f"{path.stem}-{setting}.pem".replace("_", "-")))
    if not content.strip():
        why, remedy = "it is empty", f"set {setting} to a PEM file"
    elif path.suffix.lower() in {".p12", ".pfx"} or b"\x02\x01\x03" in content[:8]:
        parts = {CA: "-cacerts -nokeys", KEY: "-nocerts"}.get(what, "-clcerts -nokeys")
        why = "it is PKCS#12"
        remedy = f"set {setting} to the result of: openssl pkcs12 -legacy -in {shown} {parts} -out {target}"
    elif content.startswith(b"\x30"):
        command = "pkey" if what == KEY else "x509"
        why = "it is DER"
        remedy = f"set {setting} to the result of: openssl {command} -inform der -in {shown} -out {target}"
    else:
        why, remedy = "it has no line -----BEGIN …", f"set {setting} to a PEM file"
    return CertificateFileError(f"The {what} {shown} is not PEM", why=why, remedy=remedy)


def _labels(content: bytes) -> list[str]:
    return [label.decode() for label in re.findall(_LABEL, content)]


def _name_content(content: bytes) -> str:
    """Name what a PEM file holds."""
    labels = _labels(content) or ["nothing"]
    if any(label.endswith("PRIVATE KEY") for label in labels):
        return "a private key"
    if any(label.endswith("CERTIFICATE") for label in labels):
        return "a certificate"
    return _CONTENTS.get(labels[0], labels[0].lower())


def _copy_of(path: Path, what: str) -> str:
    """Return the name of a new file beside another, quoted for a shell."""
    return format_path(path.with_name(f"{path.stem}-{what}{path.suffix}"))


def renewal_command(path: Path) -> str:
    """Return the command that renews a client certificate."""
    named = path.name in {"client.pem", "client.crt"}
    return f"aitui certs renew{f' --dir {format_path(path.parent)}' if named else ''}"


def check_dates(what: str, path: Path, certificate: "Certificate", now: datetime) -> None:
    """Check a certificate's dates. Raises CertificateFileError."""
    shown = format_path(path)
    if now > certificate.not_valid_after_utc:
        raise CertificateFileError(
            f"The {what} {shown} has expired",
            why=f"it was valid until {format_date(certificate.not_valid_after_utc)}",
            remedy=f"renew it: {renewal_command(path)}"
            if what == CERTIFICATE
            else "copy the renewed certificate from the server",
        )
    if now < certificate.not_valid_before_utc:
        raise CertificateFileError(
            f"The {what} {shown} is not valid yet",
            why=f"it is valid from {format_date(certificate.not_valid_before_utc)}",
            remedy="check this machine's clock: timedatectl",
        )


def check_key(server: Server) -> None:
    """Check that the client's key can be read and belongs to its certificate.

    Raises CertificateFileError, KeyPasswordNeeded.
    """
    path = server.client_key or server.client_cert
    if path is None or server.client_cert is None:
        return
    what = KEY if server.client_key is not None else CERTIFICATE
    content = read_file(what, path)
    found = PRIVATE_KEY.search(content)
    if found is None:
        if what == KEY and b"-----BEGIN " not in content:
            raise _not_pem_error(what, path, content)
        held = "no" if what == CERTIFICATE else f"{_name_content(content)}, not a"
        raise CertificateFileError(
            f"The {what} {format_path(path)} holds {held} private key",
            remedy="set client_key to the file with the key",
        )
    cipher = _old_cipher(found[0])
    if cipher and server.client_key_password is not None and not _opens(server):
        raise CertificateFileError(
            f"The client key {format_path(path)} is encrypted with {cipher}",
            why="OpenSSL 3 reads that old cipher only with its legacy provider",
            remedy="set client_key to a re-encrypted copy: openssl pkey -provider legacy "
            f"-provider default -in {format_path(path)} -aes256 -out {_copy_of(path, 'aes')}",
        )
    from aitui.domain.certs import have_same_key

    key = _load_key(server, path, found[0])
    certificate = read_certificates(CERTIFICATE, server.client_cert)[0]
    if not have_same_key(key, certificate):
        raise CertificateFileError(
            f"The client key {format_path(path)} does not belong to {format_path(server.client_cert)}",
            why=f"that certificate is for {format_name(certificate.subject)}, with another key",
            remedy="set the matching key, or have the certificate reissued: "
            f"openssl req -new -key {format_path(path)} -out client.csr",
        )


def _old_cipher(key: bytes) -> str:
    """Return the name of a PEM key's cipher if OpenSSL 3 no longer has it by itself."""
    head = re.search(rb"^DEK-Info: *([A-Za-z0-9-]{1,40})", key, re.MULTILINE)
    if head is not None:
        name = head[1].decode().upper()
        return "" if name.startswith(_TODAYS_CIPHERS) else name
    if not key.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----"):
        return ""
    try:
        der = b64decode(b"".join(key.split(b"-----")[2].split()))
    except ValueError:
        return ""
    return next((name for oid, name in _OLD_CIPHERS.items() if oid in der[:120]), "")


def _opens(server: Server) -> bool:
    """Whether this OpenSSL reads certificate and key, as one with the legacy provider does."""
    if server.client_cert is None:
        return False
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(
            server.client_cert.expanduser(),
            None if server.client_key is None else server.client_key.expanduser(),
            password=(server.client_key_password or "").encode("utf-8", "surrogateescape"),
        )
    except (OSError, ValueError):
        return False
    return True


def _load_key(server: Server, path: Path, content: bytes) -> "PrivateKeyTypes":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    encrypted = b"ENCRYPTED" in content[:200]
    password = None
    if encrypted:
        if server.client_key_password is None:
            raise key_password_error(server)
        password = server.client_key_password.encode("utf-8", "surrogateescape")
    try:
        return load_pem_private_key(content, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if encrypted:
            raise key_password_error(server) from error
        raise CertificateFileError(
            f"The client key {format_path(path)} can't be read",
            why=sanitize_line(str(error), 200),
            remedy=f"inspect it: openssl pkey -in {format_path(path)} -noout",
        ) from error


def _describe_issuer(server: Server, path: Path) -> tuple[str, str]:
    """Describe issuer and end of the client certificate; its files are known to be good.

    The second text is the issuer if its certificate is neither in the file nor in the CA's.
    """
    certificate, *others = read_certificates(CERTIFICATE, path)
    issuer = format_name(certificate.issuer)
    text = (
        f"was issued by {issuer} and is valid until {format_date(certificate.not_valid_after_utc)}"
    )
    if server.ca is None:
        return text, ""
    authorities = read_certificates(CA, server.ca)
    if certificate.issuer not in {authority.subject for authority in authorities}:
        text += f", not by the authority in {format_path(server.ca)}"
        if certificate.issuer not in {other.subject for other in others}:
            return text, issuer
    return text, ""


def missing_issuer(server: Server, chain: Sequence[bytes]) -> str:
    """Return who issued the last certificate of a server's chain, "" if that is no other one.

    `chain` holds what the server has sent, in DER. "" as well if the CA file has an authority of
    that name: then its key is another one.
    """
    from cryptography.x509 import load_der_x509_certificate

    try:
        sent = [load_der_x509_certificate(der) for der in chain]
    except ValueError:
        return ""
    if not sent:
        return ""
    by_subject = {certificate.subject: certificate for certificate in sent}
    last = sent[0]
    for _ in sent:
        last = by_subject.get(last.issuer, last)
    known = read_certificates(CA, server.ca) if server.ca is not None else []
    if last.issuer == last.subject or last.issuer in {one.subject for one in known}:
        return ""
    return format_name(last.issuer)


def format_name(name: "Name") -> str:
    """Return a subject or issuer on one sanitized line."""
    return sanitize_line(name.rfc4514_string(), 120)


def format_date(moment: datetime) -> str:
    """Format a moment to the minute."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"
