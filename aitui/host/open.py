"""The host that a server's settings name."""

from collections.abc import Mapping
from types import MappingProxyType

from aitui.domain.snapshot import Server
from aitui.host.base import Host
from aitui.host.local import LocalHost
from aitui.host.ssh.address import SshConfigPaths, SshUser
from aitui.host.ssh.host import SshHost, current_ssh_user

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
    if server.ssh_home is not None:
        home = server.ssh_home
        ssh_config = SshConfigPaths(home, home / ".ssh" / "config", system=None)
        return SshHost(server.ssh_host, SshUser(ssh_config, passphrases))
    return SshHost(server.ssh_host, current_ssh_user(passphrases))
