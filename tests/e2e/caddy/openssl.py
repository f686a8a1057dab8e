"""Certificates made by the set-up guide's own openssl commands, with keys that are made sooner."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

KEY_BITS = "2048"
"""The guide says 4096, which takes seconds a key; nothing that is tested depends on it."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


class Guide:
    """One authority in a folder: a root without keyUsage, client certificates of X.509 v1."""

    def __init__(self, folder: Path, organisation: str = "Example") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._organisation = organisation
        self.root = folder / "root-ca.pem"
        self._key("root-ca.key")
        self._openssl(
            *("req", "-new", "-x509", "-days", "3650", "-key", "root-ca.key"),
            *("-out", "root-ca.pem", "-subj", self._subject("Root CA")),
        )

    def client(self, name: str = "client", days: int = 3650) -> Pair:
        """A client certificate as the guide makes it; negative `days` have passed already."""
        return self._issue(name, self._subject("Client"), days)

    def server(self, *names: str, name: str = "caddy") -> Pair:
        """The certificate for Caddy, with these subjectAltNames: `DNS:localhost`, say."""
        extensions = self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={','.join(names)}\n")
        return self._issue(name, f"/CN={names[0].partition(':')[2]}", 3650, extensions.name)

    def _issue(self, name: str, subject: str, days: int, extensions: str = "") -> Pair:
        self._key(f"{name}-key.pem")
        self._openssl(
            *("req", "-new", "-key", f"{name}-key.pem", "-out", f"{name}.csr", "-subj", subject)
        )
        self._openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "root-ca.pem", "-CAkey", "root-ca.key"),
            *("-CAcreateserial", "-out", f"{name}.pem", "-days", str(days)),
            *(("-extfile", extensions) if extensions else ()),
        )
        return Pair(self._folder / f"{name}.pem", self._folder / f"{name}-key.pem")

    def _key(self, file_name: str) -> None:
        self._openssl("genrsa", "-out", file_name, KEY_BITS)
        (self._folder / file_name).chmod(0o600)

    def _subject(self, what: str) -> str:
        return f"/CN={self._organisation} {what}/O={self._organisation}/C=DE"

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(
            ["openssl", *arguments], cwd=self._folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"openssl {' '.join(arguments)}\n{done.stderr}"
