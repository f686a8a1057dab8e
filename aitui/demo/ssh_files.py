"""The files of the demo's host: one folder of this machine, shown as if it were all there is."""

from __future__ import annotations

import posixpath
from pathlib import Path

from asyncssh import SFTPServer, SSHServerChannel


class DemoSftpServer(SFTPServer):
    """SFTP below one folder, with a home directory in it."""

    def __init__(self, channel: SSHServerChannel[bytes], root: Path, home: str) -> None:
        self._home = home.encode()
        super().__init__(channel, chroot=str(root).encode())

    def map_path(self, path: bytes) -> bytes:
        """A relative path begins at the home directory."""
        return super().map_path(posixpath.join(self._home, path))
