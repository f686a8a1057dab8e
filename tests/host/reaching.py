"""A host over SSH, as a test reaches it."""

from aitui.host.ssh.address import SshConfigPaths, SshUser
from aitui.host.ssh.host import SshHost


def host_of(place: SshConfigPaths, name: str = "box") -> SshHost:
    """A host that is not connected yet."""
    return SshHost(name, SshUser(place, {}))


def add_to_config(place: SshConfigPaths, text: str) -> None:
    """Put lines in front of the SSH config."""
    place.config.write_text(text + place.config.read_text())


async def is_there(host: SshHost) -> bool:
    """Whether a command arrives."""
    return (await host.run(["echo", "there"])).stdout == b"there\n"
