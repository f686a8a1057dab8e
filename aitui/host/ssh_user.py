"""Who connects over SSH, and where that user's own set-up lies."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_GLOBAL_KNOWN_HOSTS = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))


@dataclass(frozen=True, slots=True)
class SshConfigPaths:
    """Where the set-up lies. `agent` is the socket of the SSH agent, empty where there is none."""

    home: Path
    config: Path
    agent: str = ""
    global_known_hosts: tuple[Path, ...] = _GLOBAL_KNOWN_HOSTS

    @classmethod
    def of_user(cls, home: Path, environment: Mapping[str, str]) -> "SshConfigPaths":
        """Of whoever has this home and environment."""
        return cls(home, home / ".ssh" / "config", environment.get("SSH_AUTH_SOCK", ""))

    def expand(self, text: str) -> Path:
        """A path of the config, with `~` and `%d` for the home."""
        text = text.replace("%d", str(self.home))
        if text == "~" or text.startswith("~/"):
            return self.home / text[2:]
        return Path(text)


@dataclass(frozen=True, slots=True)
class SshTimeouts:
    """Seconds for each machine on the way: until it takes the connection, and until the login."""

    connect: float = 15.0
    login: float = 20.0


@dataclass(frozen=True, slots=True)
class SshUser:
    """Whose connections these are. `passphrases` are by the path of their key.

    `remembered` are known_hosts lines on top of those in the files.
    """

    ssh_config: SshConfigPaths
    passphrases: Mapping[str, str]
    remembered: tuple[str, ...] = ()
    limits: SshTimeouts = SshTimeouts()
