"""One SSH connection, over the machines on its way, with every host key checked."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh
from asyncssh import SSHClient, SSHClientConnection, SSHKey

from aitui.errors import HostError, HostKeyRefused
from aitui.host.known_hosts import KnownHostKeys, match_known_hosts, read_known_hosts
from aitui.host.ssh_address import SshAddress
from aitui.host.ssh_place import (
    SshKeys,
    SshTarget,
    certificates_of,
    read_keys,
    read_target,
)
from aitui.host.ssh_trouble import (
    host_key_refused_error,
    login_refused_error,
    too_many_keys_error,
    translate_connection_errors,
)
from aitui.host.ssh_user import SshTimeouts, SshUser

_MOST_JUMPS = 5
_TOO_MANY_KEYS = "too many authentication failures"
_KEEPALIVE_SECONDS = 10
_KEEPALIVES_MISSED = 3
_PLAIN_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


class HostKeyUnknown(Exception):
    """Carries the refusal with the file in which the key could be remembered."""

    def __init__(self, refusal: HostKeyRefused, remember_in: Path | None) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.remember_in = remember_in


class _HostKeyVerifier(SSHClient):
    """Accepts no key that isn't known, and keeps why."""

    def __init__(self, known: KnownHostKeys, shown_as: str) -> None:
        self.known = known
        self._shown_as = shown_as
        self.refusal: HostKeyRefused | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: SSHKey) -> bool:  # noqa: ARG002
        """Asked for a key that known_hosts doesn't vouch for."""
        self.refusal = self.known.refusal(key, self._shown_as)
        return False

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: SSHKey) -> bool:  # noqa: ARG002
        """Asked for the authority of a host certificate that known_hosts doesn't vouch for."""
        self.refusal = _without_known_hosts_line(
            self.known.refusal(key, f"{self._shown_as} (its authority)")
        )
        return False


def _without_known_hosts_line(refusal: HostKeyRefused) -> HostKeyRefused:
    """The same, not to be remembered: an authority is no host key."""
    refusal.line = ""
    return refusal


async def log_in(address: SshAddress, user: SshUser, way: AsyncExitStack) -> SSHClientConnection:
    """Connect and log in; `way` closes what was opened on it.

    Raises HostError, and HostKeyUnknown for a host key that isn't accepted.
    """
    return await _connect_via_jumps(address, user, way, None, 0)


async def _connect_via_jumps(
    address: SshAddress,
    user: SshUser,
    way: AsyncExitStack,
    tunnel: SSHClientConnection | None,
    jumps: int,
) -> SSHClientConnection:
    target = await asyncio.to_thread(read_target, address, user.ssh_config)
    if jumps > _MOST_JUMPS:
        raise HostError(
            f"The way to {target.label} goes over too many machines",
            remedy="look at ProxyJump in ~/.ssh/config",
        )
    if tunnel is None:  # only the first machine on the way has a way of its own
        for hop in target.jumps:
            tunnel = await _connect_via_jumps(hop, user, way, tunnel, jumps + 1)
    connection = await _connect_to(target, user, tunnel)
    way.push_async_callback(_abort, connection)
    return connection


async def _abort(connection: SSHClientConnection) -> None:
    connection.abort()
    await connection.wait_closed()


async def _connect_to(
    target: SshTarget, user: SshUser, tunnel: SSHClientConnection | None
) -> SSHClientConnection:
    texts = await asyncio.to_thread(read_known_hosts, target.known_hosts)
    known = match_known_hosts(target.known_name, target.host, [*texts, *user.remembered])
    keys = await asyncio.to_thread(read_keys, target, user.passphrases)
    certificates = await asyncio.to_thread(certificates_of, target)
    client = _HostKeyVerifier(known, target.label)
    attempt = _ConnectionAttempt(target, user.limits, tunnel, client, keys, tuple(certificates))
    with _translate_login_errors(target, client, keys):
        try:
            return await attempt.open(
                () if known.acceptable_keys or known.authorities else _PLAIN_KEYS
            )
        except (asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, ConnectionResetError):
            # Whoever notices first that no kind of key suits both ends the connection.
            if not known.keys or target.sets_host_key_algorithms:
                raise
        # Perhaps it has no key of the kinds that are known: look at the one that it does have.
        return await attempt.open(_PLAIN_KEYS)


@dataclass(frozen=True, slots=True)
class _ConnectionAttempt:
    """All that it takes to connect to one machine."""

    target: SshTarget
    limits: SshTimeouts
    tunnel: SSHClientConnection | None
    client: _HostKeyVerifier
    keys: SshKeys
    certificates: tuple[str, ...]

    async def open(self, host_key_algorithms: Sequence[str]) -> SSHClientConnection:
        target, keys, known = self.target, self.keys, self.client.known
        if target.sets_host_key_algorithms:
            host_key_algorithms = ()
        only = target.identities_only
        async with asyncio.timeout(self.limits.connect + self.limits.login):
            return await asyncssh.connect(
                target.address.host,
                port=target.address.port or (),
                username=target.address.user or (),
                config=list(target.configs),
                tunnel=() if self.tunnel is None else self.tunnel,
                known_hosts=(known.acceptable_keys, known.authorities, known.revoked),
                server_host_key_algs=host_key_algorithms,
                client_factory=lambda: self.client,
                # An empty list would mean the keys in the home of this process.
                client_keys=list(keys.usable) or iter(()),
                client_certs=list(self.certificates),
                agent_path=target.agent if keys.public or not only else "",
                agent_identities=list(keys.public) if only and keys.public else None,
                agent_forwarding=False,
                x11_forwarding=False,
                password_auth=False,
                kbdint_auth=False,
                host_based_auth=False,
                command=None,
                request_pty=False,
                connect_timeout=self.limits.connect,
                login_timeout=self.limits.login,
                keepalive_interval=() if target.sets_keepalive else _KEEPALIVE_SECONDS,
                keepalive_count_max=() if target.sets_keepalive else _KEEPALIVES_MISSED,
            )


@contextmanager
def _translate_login_errors(
    target: SshTarget, client: _HostKeyVerifier, keys: SshKeys
) -> Iterator[None]:
    with translate_connection_errors(target.label):
        try:
            yield
        except asyncssh.PermissionDenied as error:
            raise login_refused_error(target, keys) from error
        except asyncssh.HostKeyNotVerifiable as error:
            refusal = client.refusal or host_key_refused_error(target, error.reason)
            raise HostKeyUnknown(refusal, target.remember_in) from error
        except asyncssh.DisconnectError as error:
            if _TOO_MANY_KEYS not in error.reason.lower():
                raise
            raise too_many_keys_error(target) from error
