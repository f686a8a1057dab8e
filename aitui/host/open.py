"""The host that a server's settings name."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from msgspec.structs import replace

from aitui.domain.snapshot import Server
from aitui.host.base import Host
from aitui.host.local import LocalHost
from aitui.host.ssh.address import SshConfigPaths, SshUser
from aitui.host.ssh.host import SshHost

LOCAL = "local"
_NO_PASSPHRASES: Mapping[str, str] = MappingProxyType({})


def open_host(server: Server, *, passphrases: Mapping[str, str] = _NO_PASSPHRASES) -> Host | None:
    """Return the machine behind a server, not connected yet; None if no host is configured.

    `passphrases` are those of encrypted SSH keys, by their path. Raises HostError for an invalid
    address.
    """
    if not server.ssh_host:
        return None
    if server.ssh_host == LOCAL:
        return LocalHost()
    home = server.ssh_home or Path.home()
    paths = SshConfigPaths(home, home / ".ssh" / "config", os.environ.get("SSH_AUTH_SOCK", ""))
    if server.ssh_home is not None:
        paths = replace(paths, agent="", system=None)
    return SshHost(server.ssh_host, SshUser(paths, passphrases))
