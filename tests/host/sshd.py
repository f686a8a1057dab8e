"""A real sshd on loopback with throw-away keys, run by whoever runs the tests."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncssh

PROGRAM = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/local/sbin") or "sshd"

_CONFIG = """
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
{certificate}
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding yes
MaxStartups 100
PrintMotd no
LogLevel VERBOSE
{subsystem}
"""


class Sshd:
    """One sshd. `key` logs in; `home` is what `~/` means to its SFTP."""

    def __init__(
        self,
        folder: Path,
        *,
        sftp: str | None = None,
        authority: asyncssh.SSHKey | None = None,
        more: str = "",
    ) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.port = _free_port()
        self.key = folder / "login_key"
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._sftp = f"Subsystem sftp internal-sftp -d {self.home}" if sftp is None else sftp
        self._authority = authority
        self._more = more
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def known_line(self) -> str:
        """What known_hosts says of it."""
        public = self.host_key.export_public_key().decode().strip()
        return f"[127.0.0.1]:{self.port} {public}"

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.folder / "log").read_text()

    def __enter__(self) -> Self:
        """Start it and wait until it listens."""
        self.home.mkdir(parents=True)
        login = asyncssh.generate_private_key("ssh-ed25519")
        _write_private(self.key, login.export_private_key())
        (self.folder / "authorized_keys").write_bytes(login.export_public_key())
        _write_private(self.folder / "host_key", self.host_key.export_private_key())
        certificate = ""
        if self._authority is not None:
            signed = self._authority.generate_host_certificate(
                self.host_key, "box", principals=["127.0.0.1"]
            )
            (self.folder / "host_key-cert.pub").write_bytes(signed.export_certificate())
            certificate = f"HostCertificate {self.folder}/host_key-cert.pub"
        config = self.folder / "sshd_config"
        config.write_text(
            _CONFIG.format(
                port=self.port,
                folder=self.folder,
                certificate=certificate,
                subsystem=f"{self._sftp}\n{self._more}",
            )
        )
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "-D", "-e", "-f", config], stdin=subprocess.DEVNULL, stderr=log
            )
        self._wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it; its open connections end by themselves."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def _wait(self) -> None:
        assert self._process is not None
        end = time.monotonic() + 20
        while self._process.poll() is None and time.monotonic() < end:
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError(f"sshd did not come up: {self.log}")


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
