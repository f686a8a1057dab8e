"""The host keys that OpenSSH's known_hosts files (sshd(8)) list for a machine."""

from pathlib import Path

from asyncssh import SSHKey, SSHKnownHosts
from msgspec import Struct

from aitui.domain.sanitize import sanitize_line
from aitui.errors import HostKeyRefused
from aitui.paths import require_no_fifo

_LARGEST_FILE = 8 << 20


class KnownHostKeys(Struct, frozen=True):
    """What is known about one machine under one name.

    `keys` are its own, `authorities` those that may sign for it. `others` are the keys known for
    its name without the port: OpenSSH trusts them too, but a different key is not a changed one.
    """

    name: str
    keys: tuple[SSHKey, ...]
    authorities: tuple[SSHKey, ...]
    revoked: tuple[SSHKey, ...]
    others: tuple[SSHKey, ...]

    @property
    def acceptable_keys(self) -> tuple[SSHKey, ...]:
        """The keys that are accepted without asking."""
        return self.keys or self.others

    def refusal(self, key: SSHKey, shown_as: str, arguments: str) -> HostKeyRefused:
        """Explain why this key isn't accepted.

        `shown_as` is what messages call the machine, `arguments` what ssh does.
        """
        # asyncssh raises the same HostKeyNotVerifiable for unknown and for changed keys.
        algorithm = key.algorithm.decode("ascii", "replace")
        fingerprint = key.get_fingerprint("sha256")
        seen = f"it showed the {algorithm} key {fingerprint}"
        if key in self.revoked:
            return HostKeyRefused(
                f"The host key of {shown_as} is revoked",
                algorithm=algorithm,
                fingerprint=fingerprint,
                why=f"{seen}, which known_hosts marks as revoked",
                remedy="ask the administrator of that machine for a new one",
            )
        if self.keys:
            known = ", ".join(known.get_fingerprint("sha256") for known in self.keys[:5])
            return HostKeyRefused(
                f"The host key of {shown_as} has CHANGED",
                algorithm=algorithm,
                fingerprint=fingerprint,
                why=f"{seen}; known is {known}. A third party may be intercepting the connection, or the "
                "machine was reinstalled",
                remedy=f"ask its administrator; if the new key is right: ssh-keygen -R '{self.name}'",
            )
        without_comment = key.export_public_key().decode("ascii").split()[:2]
        return HostKeyRefused(
            f"The host key of {shown_as} is not known yet",
            algorithm=algorithm,
            fingerprint=fingerprint,
            line=f"{self.name} {' '.join(without_comment)}",
            why=seen,
            remedy="compare it with what ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub says there; "
            f"then ssh {arguments} adds it",
        )


def match_known_hosts(name: str, host: str, texts: list[str]) -> KnownHostKeys:
    """Match a machine against known_hosts texts; unreadable lines are ignored, as in OpenSSH."""
    known = SSHKnownHosts()
    for text in texts:
        for line in text.splitlines():
            try:
                known.load(line)
            except ValueError:
                continue
    keys, authorities, revoked, *_ = known.match(name, "", None)
    others, other_authorities, other_revoked, *_ = known.match(host.lower(), "", None)
    return KnownHostKeys(
        name,
        tuple(key for key in keys if key not in revoked),
        tuple(key for key in (authorities or other_authorities) if key not in revoked),
        (*revoked, *other_revoked),
        tuple(key for key in others if key not in other_revoked and key not in revoked),
    )


def read_known_hosts(files: tuple[Path, ...]) -> list[str]:
    """Read the files that exist. Blocks. Raises HostKeyRefused if one can't be read."""
    texts = []
    for path in files:
        try:
            require_no_fifo(path)
            with path.open("rb") as file:
                texts.append(file.read(_LARGEST_FILE).decode(errors="replace"))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise HostKeyRefused(
                f"Can't read {sanitize_line(str(path), 300)}",
                algorithm="",
                fingerprint="",
                why=f"{sanitize_line(error.strerror or str(error), 200)}: no host key can be checked",
            ) from error
    return texts


def append_line(path: Path, line: str) -> None:
    """Add a line to a known_hosts file, created if missing. Blocks. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)
    with path.open("rb+") as file:
        end = file.seek(0, 2)
        if end:
            file.seek(end - 1)
        last = file.read(1) if end else b"\n"
        file.write((b"" if last == b"\n" else b"\n") + line.encode() + b"\n")
