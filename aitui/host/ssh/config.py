"""The user's own SSH configuration: what `~/.ssh/config` says about a machine, and its keys."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import asyncssh
from asyncssh import SSHClientConnectionOptions, SSHKey
from msgspec import Struct

from aitui.domain.sanitize import sanitize_line
from aitui.errors import HostError
from aitui.host.ssh.address import SshAddress, SshConfigPaths
from aitui.host.ssh.options import SshOptions, asyncssh_options

_SSH_PORT = 22
# In OpenSSH's order, except that its first one is the rarest by now.
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk", "id_dsa")
# asyncssh knows neither: it would trust keys that the user revoked.
_UNSUPPORTED = {"revokedhostkeys": "RevokedHostKeys", "knownhostscommand": "KnownHostsCommand"}
_OPTIONS_OF_ASYNCSSH = (
    *("addressfamily", "bindaddress", "casignaturealgorithms", "ciphers", "compression"),
    *("hostkeyalgorithms", "hostkeyalias", "kexalgorithms", "macs", "preferredauthentications"),
    *(
        "pubkeyauthentication",
        "rekeylimit",
        "sendenv",
        "serveralivecountmax",
        "serveraliveinterval",
    ),
    *("setenv", "tcpkeepalive"),
)


class SshTarget(Struct, frozen=True):
    """One machine as configured. `jumps` are the machines on the route, in their order.

    `options` are those of the config that are asyncssh's own matter. `by_command` is set if a
    ProxyCommand makes the connection. `remember_in` is the file for a new host key, None if the
    config says not to keep any.
    """

    address: SshAddress
    options: SSHClientConnectionOptions
    host: str
    port: int
    user: str
    known_name: str
    jumps: tuple[SshAddress, ...]
    command: str
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
        """Return the host's name in messages."""
        return sanitize_line(f"{self.user}@{self.host}", 100)


def read_target(address: SshAddress, ssh_config: SshConfigPaths) -> SshTarget:
    """Read what the config says about an address. Blocks. Raises HostError."""
    try:
        return _build_target(address, ssh_config, SshOptions(address, ssh_config))
    except (asyncssh.Error, ValueError, OSError, RecursionError) as error:
        raise HostError(
            f"{sanitize_line(str(ssh_config.config), 300)} can't be used for SSH",
            why=sanitize_line(str(error), 300),
            remedy=f"fix that line; ssh -G {address.arguments} shows how OpenSSH reads it",
        ) from error


def _build_target(
    address: SshAddress, ssh_config: SshConfigPaths, options: SshOptions
) -> SshTarget:
    for name, spelled in _UNSUPPORTED.items():
        if options.words(name):
            raise ValueError(
                f"{options[name].origin}: {spelled} is not supported here, and can't be ignored"
            )

    folder = ssh_config.home / ".ssh"

    def paths(name: str, *default: Path) -> tuple[Path, ...]:
        words = options.words(name)
        return default if words is None else tuple(map(options.path, words))

    own_files = paths("userknownhostsfile", folder / "known_hosts", folder / "known_hosts2")
    jumps = options.text("proxyjump").split(",")
    return SshTarget(
        address=address,
        options=_asyncssh_options(options),
        host=options.host,
        port=options.port,
        user=options.user,
        known_name=entry_name(options.host, options.port, options.text("hostkeyalias")),
        jumps=tuple(SshAddress.read(hop) for hop in jumps if hop.strip()),
        command=options.command,
        known_hosts=(*own_files, *paths("globalknownhostsfile", *ssh_config.global_known_hosts)),
        remember_in=next((path for path in own_files if str(path) != "/dev/null"), None),
        identities=paths("identityfile", *(folder / name for name in _DEFAULT_KEYS)),
        certificates=paths("certificatefile"),
        identities_only=options.flag("identitiesonly"),
        agent=_agent_socket(options, ssh_config),
        sets_keepalive="serveraliveinterval" in options,
        sets_host_key_algorithms="hostkeyalgorithms" in options,
    )


def _asyncssh_options(options: SshOptions) -> SSHClientConnectionOptions:
    """Have asyncssh read the options that aitui has no opinion about."""
    text = asyncssh_options(options, _OPTIONS_OF_ASYNCSSH)
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb") as file:
            file.write(text.encode())
        return SSHClientConnectionOptions(
            config=[f"/dev/fd/{reading}"], host=options.host, known_hosts=b"", client_keys=None
        )
    except ValueError as error:
        # It names the line of the pipe, which is no file that a person knows.
        words = re.sub(r"\A.* line [0-9]+: ", "", str(error))
        names = [name for name in _OPTIONS_OF_ASYNCSSH if name in options]
        places = [options[name].origin for name in names if name in words.lower()]
        raise ValueError(f"{', '.join(places) or 'the config'}: {words}") from error
    finally:
        os.close(reading)


def entry_name(host: str, port: int, alias: str) -> str:
    """Return the name of a machine in known_hosts: HostKeyAlias, else `host` or `[host]:port`."""
    if alias:
        return alias.lower()
    return host.lower() if port == _SSH_PORT else f"[{host.lower()}]:{port}"


def _agent_socket(options: SshOptions, ssh_config: SshConfigPaths) -> str:
    if "identityagent" not in options:
        return ssh_config.agent
    given = options.text("identityagent")
    if given == "SSH_AUTH_SOCK":
        return ssh_config.agent
    if given.startswith("$"):
        return os.environ.get(given[1:].strip("{}"), "")
    return str(options.path(given)) if given else ""


class SshKeys(Struct, frozen=True):
    """The keys to log in with. `locked` are the key files without the passphrase they need.

    `wrong` are those with a passphrase that doesn't fit, `hardware` those that only a security key
    can use. `public` is the public data of all of them, as far as known, by which the agent's keys
    are chosen.
    """

    usable: tuple[SSHKey, ...]
    locked: tuple[Path, ...]
    wrong: tuple[Path, ...]
    hardware: tuple[Path, ...]
    public: tuple[bytes, ...]


def read_keys(target: SshTarget, passphrases: Mapping[str, str]) -> SshKeys:
    """Read the keys of a target. Blocks, for long if one is encrypted.

    Files that are missing or no keys are skipped, as OpenSSH does.
    """
    usable: list[SSHKey] = []
    locked: list[Path] = []
    wrong: list[Path] = []
    hardware: list[Path] = []
    public: list[SSHKey] = []
    for path in target.identities:
        beside = _read_public_key(path)
        public += beside
        if any(map(_is_hardware, beside)) and path.is_file():
            hardware.append(path)
            continue
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
            public.append(key)
            if _is_hardware(key):
                hardware.append(path)
            else:
                usable.append(key)
    return SshKeys(
        tuple(usable),
        tuple(locked),
        tuple(wrong),
        tuple(hardware),
        tuple(key.public_data for key in public),
    )


def _is_hardware(key: SSHKey) -> bool:
    """Whether only a FIDO device can sign with it (OpenSSH's PROTOCOL.u2f)."""
    return key.algorithm.startswith(b"sk-")


def _read_public_key(path: Path) -> list[SSHKey]:
    try:
        return [asyncssh.read_public_key(f"{path}.pub")]
    except (OSError, ValueError):
        return []


def certificates_of(target: SshTarget) -> list[str]:
    """Return the files of the certificates for its keys. Blocks."""
    next_to_keys = (Path(f"{path}-cert.pub") for path in target.identities)
    return [str(path) for path in (*target.certificates, *next_to_keys) if path.is_file()]
