"""Certificates of a server that is added: which file is which, and a PKCS#12 file unpacked.

Call it in a thread.
"""

from collections.abc import Sequence
from pathlib import Path

from aitui.domain.sanitize import sanitize_line
from aitui.domain.server import copy_command
from aitui.errors import CertificateFileError, KeyPasswordNeeded
from aitui.llamaswap.certificates import (
    CERTIFICATE,
    PRIVATE_KEY,
    check_present,
    read_certificates,
    read_file,
)
from aitui.paths import format_path

_USUAL_FILES = {
    "ca": ("root-ca.pem",),
    "client_cert": ("client.pem", "client.crt"),
    "client_key": ("client-key.pem", "client.key"),
}
"""What the files are called on a client, and where they were made."""


def find_certificates(paths: Sequence[Path]) -> dict[str, Path]:
    """Return which of some files is which setting: those of one directory by name, others by content.

    The server's own authority may be missing, and the key may be in the certificate's file. Raises
    CertificateFileError.
    """
    folder = paths[0]
    if len(paths) == 1 and folder.is_dir():
        found = {}
        for setting, names in _USUAL_FILES.items():
            path = next((folder / name for name in names if (folder / name).exists()), None)
            if path is not None:
                found[setting] = path
            elif setting != "ca":
                wanted = folder / names[0]
                raise CertificateFileError(
                    f"{format_path(folder)} has no {wanted.name}",
                    remedy=f"copy it there: {copy_command(wanted)}",
                )
        return found
    if gone := next((path for path in paths if not path.exists()), None):
        usual = ", ".join(names[0] for names in _USUAL_FILES.values())
        raise CertificateFileError(
            f"{format_path(gone)} does not exist",
            remedy=f"name a directory with {usual}, or the files",
        )
    by_setting = {_setting_of(path): path for path in paths}
    missing = {"client_key": "client_cert", "client_cert": "client_key"}
    for setting, other in missing.items():
        if setting in by_setting and other not in by_setting and not _has_key(by_setting[setting]):
            raise CertificateFileError(
                f"The {'private key' if other == 'client_key' else 'certificate'} of the client is missing",
                why=f"{format_path(by_setting[setting])} needs it",
                remedy="name its file as well, or the directory with both",
            )
    return {setting: by_setting[setting] for setting in _USUAL_FILES if setting in by_setting}


def _setting_of(path: Path) -> str:
    """Return what a PEM file is by its content. Raises CertificateFileError."""
    check_present(CERTIFICATE, path)
    content = read_file(CERTIFICATE, path)
    if PRIVATE_KEY.search(content) and b"-----BEGIN CERTIFICATE-----" not in content:
        return "client_key"
    first = read_certificates(CERTIFICATE, path)[0]
    return "ca" if first.issuer == first.subject else "client_cert"


def _has_key(path: Path) -> bool:
    content = read_file(CERTIFICATE, path)
    return bool(PRIVATE_KEY.search(content)) and b"-----BEGIN CERTIFICATE-----" in content


def unpack_pkcs12(path: Path, password: str) -> dict[str, bytes]:
    """Return the PEM files of a PKCS#12 file by their settings; the key is not encrypted any more.

    Intermediate certificates go with the client's. Raises CertificateFileError, KeyPasswordNeeded.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

    check_present(CERTIFICATE, path)
    content = read_file(CERTIFICATE, path)
    try:
        found = load_pkcs12(content, password.encode())
    except ValueError as error:
        if "password" in str(error).lower() or "mac" in str(error).lower():
            raise KeyPasswordNeeded(
                f"{format_path(path)} needs its password"
                if not password
                else "The password is wrong",
                why=f"it does not open {format_path(path)}" if password else "",
            ) from error
        raise CertificateFileError(
            f"{format_path(path)} is no PKCS#12 file",
            why=sanitize_line(str(error), 200),
            remedy=f"inspect it: openssl pkcs12 -in {format_path(path)} -nokeys",
        ) from error
    if found.key is None or found.cert is None:
        raise CertificateFileError(
            f"{format_path(path)} has no private key with its certificate",
            remedy="export it again with both: openssl pkcs12 -export -inkey client.key -in client.crt",
        )
    others = [one.certificate for one in found.additional_certs]
    roots = [one for one in others if one.issuer == one.subject]
    chain = [found.cert.certificate, *(one for one in others if one not in roots)]
    key = found.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files = {"client_cert": b"".join(one.public_bytes(Encoding.PEM) for one in chain)}
    if roots:
        files["ca"] = b"".join(one.public_bytes(Encoding.PEM) for one in roots)
    return {**files, "client_key": key}
