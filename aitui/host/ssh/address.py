"""A machine's SSH address, and the user's files and limits to reach it with.

asyncssh costs as much to import as Textual, and this is needed before anything is connected.
"""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from aitui.domain.sanitize import sanitize_line
from aitui.errors import HostError

_FORM = re.compile(
    r"""(?:(?P<user>[^@\s:]+)@)?
        (?: \[(?P<bracketed>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\] | (?P<host>[^\s\[\]:@/]+) | (?P<bare>[0-9A-Fa-f]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*) )
        (?::(?P<port>\d{1,5}))?""",
    re.VERBOSE,
)
_LARGEST_PORT = 65535


class SshAddress(Struct, frozen=True):
    """An address as configured. `host` may be an alias; the SSH config fills in what is missing."""

    host: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def read(cls, text: str) -> "SshAddress":
        """Parse `user@host:port`. Raises HostError for anything else."""
        match = _FORM.fullmatch(text.strip().removeprefix("ssh://"))
        port = int(match["port"]) if match and match["port"] else None
        host = "" if match is None else match["bracketed"] or match["host"] or match["bare"]
        # A leading dash would be an option of a program that gets it as an argument.
        is_option = host.startswith("-") or (match is not None and (match["user"] or "")[:1] == "-")
        if match is None or is_option or (port is not None and not 0 < port <= _LARGEST_PORT):
            raise HostError(
                f"{sanitize_line(text, 100)} is not an SSH address",
                remedy="set ssh_host to user@host, user@host:port, or a Host of ~/.ssh/config",
            )
        return cls(host, match["user"], port)

    @property
    def arguments(self) -> str:
        """The words that name it to ssh and ssh-copy-id, which know no `host:port`."""
        port = [] if self.port is None else ["-p", str(self.port)]
        return shlex.join([*port, f"{self.user}@{self.host}" if self.user else self.host])


class SshConfigPaths(Struct, frozen=True):
    """The paths of the configuration. `agent` is the SSH agent's socket, empty without one.

    `system` is the folder of the machine's own configuration, None if it doesn't count.
    """

    home: Path
    config: Path
    agent: str = ""
    system: Path | None = Path("/etc/ssh")

    @property
    def global_known_hosts(self) -> tuple[Path, ...]:
        """The host keys that the machine's administrator knows."""
        if self.system is None:
            return ()
        return (self.system / "ssh_known_hosts", self.system / "ssh_known_hosts2")

    def expand(self, text: str) -> Path:
        """Expand `~` in a path of the config."""
        if text == "~" or text.startswith("~/"):
            return self.home / text[2:]
        # Path.expanduser raises RuntimeError for a user that doesn't exist.
        return Path(os.path.expanduser(text))  # noqa: PTH111


class SshTimeouts(Struct, frozen=True):
    """Seconds for each machine on the route: to connect, and to log in."""

    connect: float = 15.0
    login: float = 20.0


class SshUser(Struct, frozen=True):
    """The user who connects. `passphrases` are by the path of their key.

    `remembered` are known_hosts lines on top of those in the files.
    """

    ssh_config: SshConfigPaths
    passphrases: Mapping[str, str]
    remembered: tuple[str, ...] = ()
    limits: SshTimeouts = SshTimeouts()
