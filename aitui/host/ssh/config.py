"""The user's own SSH configuration: what `~/.ssh/config` says about a machine, and its keys."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import asyncssh
from asyncssh import SSHKey
from msgspec import Struct

from aitui.domain.sanitize import sanitize_line
from aitui.errors import HostError
from aitui.host.ssh.address import SshAddress, SshConfigPaths

_SSH_PORT = 22
_LARGEST_CONFIG = 1 << 20
_DEEPEST_INCLUDE = 8
_INCLUDE = re.compile(r"^\s*Include[\s=]+(.+?)\s*$", re.IGNORECASE | re.MULTILINE)
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
# asyncssh ignores these silently: it would trust keys that the user revoked.
_UNSUPPORTED_OPTION = re.compile(
    r"^\s*(RevokedHostKeys|KnownHostsCommand)\b", re.IGNORECASE | re.MULTILINE
)


class SshTarget(Struct, frozen=True):
    """One machine as configured. `jumps` are the machines on the route, in their order.

    `by_command` is set if a ProxyCommand makes the connection. `remember_in` is the file for a
    new host key, None if the config says not to keep any.
    """

    address: SshAddress
    configs: tuple[str, ...]
    host: str
    port: int
    user: str
    known_name: str
    jumps: tuple[SshAddress, ...]
    by_command: bool
    known_hosts: tuple[Path, ...]
    remember_in: Path | None
    identities: tuple[Path, ...]
    certificates: tuple[Path, ...]
    identities_only: bool
    agent: str
    sets_keepalive: bool
    sets_host_key_algorithms: bool

    @property
    def label(self) -> str:
        """What messages call it."""
        return sanitize_line(f"{self.user}@{self.host}", 100)


def read_target(address: SshAddress, ssh_config: SshConfigPaths) -> SshTarget:
    """Read what the config says about an address. Blocks. Raises HostError."""
    try:
        configs = _config_paths(ssh_config)
        options = asyncssh.SSHClientConnectionOptions(
            host=address.host,
            port=address.port or (),
            username=address.user or (),
            config=configs,
            known_hosts=b"",
            client_keys=None,
        )
    except (asyncssh.Error, ValueError, OSError, RecursionError) as error:
        raise HostError(
            f"{sanitize_line(str(ssh_config.config), 300)} can't be used for SSH",
            why=sanitize_line(str(error), 300),
            remedy="mend that line; ssh -G shows what OpenSSH makes of it",
        ) from error
    config, folder = options.config, ssh_config.home / ".ssh"

    def files(option: str, *default: Path) -> tuple[Path, ...]:
        given = cast("list[str] | None", config.get(option))
        return default if given is None else tuple(map(ssh_config.expand, given))

    own_files = files("UserKnownHostsFile", folder / "known_hosts", folder / "known_hosts2")
    agent = config.get("IdentityAgent", ssh_config.agent)
    jumps = cast("str | None", config.get("ProxyJump")) or ""
    alias = cast("str | None", config.get("HostKeyAlias"))
    return SshTarget(
        address=address,
        configs=tuple(configs),
        host=options.host,
        port=options.port,
        user=options.username,
        known_name=entry_name(options.host, options.port, alias),
        jumps=tuple(SshAddress.read(hop) for hop in jumps.split(",") if hop.strip()),
        by_command=bool(config.get("ProxyCommand")),
        known_hosts=(*own_files, *files("GlobalKnownHostsFile", *ssh_config.global_known_hosts)),
        remember_in=next((path for path in own_files if str(path) != "/dev/null"), None),
        identities=files("IdentityFile", *(folder / name for name in _DEFAULT_KEYS)),
        certificates=files("CertificateFile"),
        identities_only=bool(config.get("IdentitiesOnly")),
        agent=_agent_socket(cast("str | None", agent), ssh_config),
        sets_keepalive=config.get("ServerAliveInterval") is not None,
        sets_host_key_algorithms=config.get("HostKeyAlgorithms") is not None,
    )


def entry_name(host: str, port: int, alias: str | None) -> str:
    """Return the name of a machine in known_hosts: HostKeyAlias, else `host` or `[host]:port`."""
    if alias:
        return alias.lower()
    return host.lower() if port == _SSH_PORT else f"[{host.lower()}]:{port}"


def _config_paths(ssh_config: SshConfigPaths) -> list[str]:
    if not ssh_config.config.exists():
        return []
    for text in _config_texts(ssh_config.config, ssh_config, 0):
        found = _UNSUPPORTED_OPTION.search(text)
        if found:
            raise ValueError(f"{found[1]} is not supported here, and must not be overlooked")
    return [str(ssh_config.config)]


def _config_texts(path: Path, ssh_config: SshConfigPaths, depth: int) -> Iterator[str]:
    """Yield the config and all files that it includes, under any Host or Match."""
    with path.open("rb") as file:
        text = file.read(_LARGEST_CONFIG).decode(errors="replace")
    yield text
    if depth == _DEEPEST_INCLUDE:
        return
    for line in _INCLUDE.finditer(text):
        for pattern in shlex.split(line[1]):
            wanted = ssh_config.home / ".ssh" / ssh_config.expand(pattern)
            relative = wanted.relative_to(wanted.anchor)
            for included in Path(wanted.anchor).glob(str(relative)):
                if included.is_file():
                    yield from _config_texts(included, ssh_config, depth + 1)


def _agent_socket(given: str | None, ssh_config: SshConfigPaths) -> str:
    if given is None:
        return ""
    if given.startswith("$") or given == "SSH_AUTH_SOCK":
        return ssh_config.agent
    return str(ssh_config.expand(given)) if given else ""


class SshKeys(Struct, frozen=True):
    """The keys to log in with. `locked` are the key files without the passphrase they need.

    `wrong` are those with a passphrase that doesn't fit. `public` is the public data of all of
    them, as far as known, by which the agent's keys are chosen.
    """

    usable: tuple[SSHKey, ...]
    locked: tuple[Path, ...]
    wrong: tuple[Path, ...]
    public: tuple[bytes, ...]


def read_keys(target: SshTarget, passphrases: Mapping[str, str]) -> SshKeys:
    """Read the keys of a target. Blocks, for long if one is encrypted.

    Files that are missing or no keys are skipped, as OpenSSH does.
    """
    usable: list[SSHKey] = []
    locked: list[Path] = []
    wrong: list[Path] = []
    public: list[bytes] = []
    for path in target.identities:
        public += _read_public_data(path)
        try:
            key = asyncssh.read_private_key(path, passphrases.get(str(path)))
        except asyncssh.KeyEncryptionError:
            wrong.append(path)
        except asyncssh.KeyImportError as error:
            # asyncssh.connect would skip an encrypted default key silently.
            if "assphrase" in str(error):
                (wrong if str(path) in passphrases else locked).append(path)
        except (OSError, ValueError):
            continue
        else:
            usable.append(key)
            public.append(key.public_data)
    return SshKeys(tuple(usable), tuple(locked), tuple(wrong), tuple(public))


def _read_public_data(path: Path) -> list[bytes]:
    try:
        return [asyncssh.read_public_key(f"{path}.pub").public_data]
    except (OSError, ValueError):
        return []


def certificates_of(target: SshTarget) -> list[str]:
    """Return the files of the certificates for its keys. Blocks."""
    next_to_keys = (Path(f"{path}-cert.pub") for path in target.identities)
    return [str(path) for path in (*target.certificates, *next_to_keys) if path.is_file()]
