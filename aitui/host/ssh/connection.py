"""An SSH connection: the route and the login, commands on channels, files over one session."""

import asyncio
import shlex
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import asyncssh
from asyncssh import SSHClient, SSHClientConnection, SSHClientProcess, SSHKey, SSHReader
from msgspec import Struct

from aitui.aio import shield
from aitui.domain.sanitize import sanitize_line
from aitui.domain.units import count_of
from aitui.errors import (
    HostError,
    HostKeyRefused,
    HostLoginRefused,
    HostTimedOut,
    HostUnreachable,
    SshKeyPassphraseNeeded,
)
from aitui.host.base import BoundedOutput, CommandResult, MarkedOutput, new_mark, start_or_undo
from aitui.host.ssh.address import SshAddress, SshTimeouts, SshUser
from aitui.host.ssh.config import SshKeys, SshTarget, certificates_of, read_keys, read_target
from aitui.host.ssh.files import SshFiles
from aitui.host.ssh.known_hosts import KnownHostKeys, match_known_hosts, read_known_hosts

_MOST_JUMPS = 5
_TOO_MANY_KEYS = "too many authentication failures"
_KEEPALIVE_SECONDS = 10
_KEEPALIVES_MISSED = 3
_PLAIN_KEYS = (
    *("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("rsa-sha2-512", "rsa-sha2-256"),
)
_CHUNK = 1 << 16
_TERMINATE_SECONDS = 3.0

_T = TypeVar("_T")


class HostKeyUnknown(Exception):
    """Carries the refusal with the file in which the key could be remembered."""

    def __init__(self, refusal: HostKeyRefused, remember_in: Path | None) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.remember_in = remember_in


class _HostKeyVerifier(SSHClient):
    """Accepts only known keys, and keeps the reason for a refusal."""

    def __init__(self, known: KnownHostKeys, shown_as: str, arguments: str) -> None:
        self.known = known
        self._shown_as = shown_as
        self._arguments = arguments
        self.refusal: HostKeyRefused | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: SSHKey) -> bool:  # noqa: ARG002
        """Called for a key that isn't in known_hosts."""
        self.refusal = self.known.refusal(key, self._shown_as, self._arguments)
        return False

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: SSHKey) -> bool:  # noqa: ARG002
        """Called for the authority of a host certificate that isn't in known_hosts."""
        shown_as = f"{self._shown_as} (its authority)"
        self.refusal = self.known.refusal(key, shown_as, self._arguments)
        self.refusal.line = ""  # an authority is no host key to remember
        return False


async def _log_in(
    address: SshAddress,
    user: SshUser,
    stack: AsyncExitStack,
    tunnel: SSHClientConnection | None = None,
    jumps: int = 0,
) -> SSHClientConnection:
    """Connect and log in; `stack` closes everything that was opened on the route."""
    target = await asyncio.to_thread(read_target, address, user.ssh_config)
    if jumps > _MOST_JUMPS:
        raise HostError(
            f"The route to {target.label} has too many hops",
            remedy="check ProxyJump in ~/.ssh/config",
        )
    if tunnel is None:  # only the first machine is reached over jumps of its own
        for hop in target.jumps:
            tunnel = await _log_in(hop, user, stack, tunnel, jumps + 1)
    connection = await _connect_to(target, user, tunnel)
    stack.push_async_callback(_abort, connection)
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
    client = _HostKeyVerifier(known, target.label, target.address.arguments)
    attempt = _ConnectionAttempt(target, user.limits, tunnel, client, keys, tuple(certificates))
    with _translate_login_errors(target, client, keys):
        try:
            return await attempt.open(
                () if known.acceptable_keys or known.authorities else _PLAIN_KEYS
            )
        except (asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, ConnectionResetError):
            # The side that notices first that no kind of key suits both ends the connection.
            if not known.keys or target.sets_host_key_algorithms:
                raise
        # Perhaps it has no key of the known kinds: fetch the one that it has, to report it.
        return await attempt.open(_PLAIN_KEYS)


class _ConnectionAttempt(Struct, frozen=True):
    """Everything that connecting to one machine takes."""

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
        # Only the first machine is reached by its own command.
        by_command = target.command and self.tunnel is None
        async with asyncio.timeout(self.limits.connect + self.limits.login):
            return await asyncssh.connect(
                target.host,
                options=target.options,
                port=target.port,
                username=target.user,
                tunnel=self.tunnel,
                proxy_command=["sh", "-c", f"exec {target.command}"] if by_command else None,
                # Never None, which would accept any key. asyncssh ignores StrictHostKeyChecking and
                # ControlMaster of the config silently.
                known_hosts=(known.acceptable_keys, known.authorities, known.revoked),
                server_host_key_algs=host_key_algorithms,
                client_factory=lambda: self.client,
                # An empty list would mean the default keys in the home of this process.
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
                login_timeout=self.limits.login,  # asyncssh's default is 120 s
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
            # A key that asyncssh itself refused is revoked, or in a bad certificate.
            refusal = client.refusal or HostKeyRefused(
                f"The host key of {target.label} was not accepted",
                algorithm="",
                fingerprint="",
                why=_shorten(error.reason),
                remedy="ask the administrator of that machine",
            )
            raise HostKeyUnknown(refusal, target.remember_in) from error
        except asyncssh.DisconnectError as error:
            if _TOO_MANY_KEYS not in error.reason.lower():
                raise
            raise HostLoginRefused(
                f"{target.label} was offered too many keys",
                why="it ended the login before all of them were tried",
                remedy="in ~/.ssh/config, under its Host: IdentityFile KEY and IdentitiesOnly yes",
            ) from error


async def open_connection(address: SshAddress, user: SshUser, where: str) -> "SshConnection":
    """Connect and log in. Raises HostError, HostKeyUnknown."""
    async with AsyncExitStack() as stack:
        connection = await _log_in(address, user, stack)
        return SshConnection(connection, stack.pop_all(), where)


class SshConnection:
    """One connection with its jumps. `where` is what messages call the machine."""

    def __init__(self, connection: SSHClientConnection, stack: AsyncExitStack, where: str) -> None:
        self._connection = connection
        self._exit_stack = stack
        self._where = where
        self._files: SshFiles | None = None
        self._sftp_lock = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether it is open, as far as this side knows."""
        return not self._connection.is_closed()

    @property
    def host_key(self) -> str:
        """The machine's host key: `algorithm SHA256:…`."""
        key = self._connection.get_server_host_key()
        if key is None:
            return ""
        return f"{key.algorithm.decode('ascii', 'replace')} {key.get_fingerprint('sha256')}"

    async def close(self) -> None:
        """Close the connection and its jumps at once."""
        await shield(self._exit_stack.aclose())

    async def translate_errors(self, work: Callable[["SshConnection"], Awaitable[_T]]) -> _T:
        """Do work with this connection; its loss becomes HostUnreachable."""
        with translate_connection_errors(self._where):
            return await work(self)

    async def files(self) -> SshFiles:
        """Return the files, over one session that is opened once. Raises HostError."""
        async with self._sftp_lock:
            if self._files is None:
                try:
                    session = await self._connection.start_sftp_client(
                        path_encoding=None, sftp_version=3
                    )
                except (asyncssh.SFTPError, asyncssh.ChannelOpenError) as error:
                    raise HostError(
                        f"{self._where} has no SFTP",
                        why="the login works, but its file transfer does not start",
                        remedy="Subsystem sftp internal-sftp in its sshd_config",
                    ) from error
                self._files = SshFiles(session, self._where)
            return self._files

    async def run(self, words: Sequence[str], largest: int) -> CommandResult:
        """Run a command. A cancelled call kills its process group there.

        A daemon that left the group goes on, and after a lost connection so does the command,
        until it writes into its closed pipes.
        """
        mark = new_mark()
        stdout, stderr = MarkedOutput(mark, largest), BoundedOutput(largest)
        process = await self._start_process(words, mark)
        try:
            async with asyncio.TaskGroup() as reading:
                reading.create_task(_read_into(process.stdout, stdout))
                reading.create_task(_read_into(process.stderr, stderr))
            await process.wait_closed()
        except BaseExceptionGroup as errors:
            # Not `except*`: before Python 3.11.4 (Debian 12 has 3.11.2) what it raises comes in a group.
            broken, others = errors.split((asyncssh.Error, OSError))
            if broken is None or others is not None:
                raise
            raise broken.exceptions[0] from None
        finally:
            if process.exit_status is None and process.exit_signal is None:
                await shield(self._terminate(process, stdout))
        if process.exit_status is None and process.exit_signal is None:
            raise asyncssh.ConnectionLost("it was lost while a command was running")
        return CommandResult(
            _exit_status(process),
            stdout.content,
            stderr.content,
            is_truncated=stdout.is_truncated or stderr.is_truncated,
        )

    async def _start_process(self, words: Sequence[str], mark: str) -> SSHClientProcess[bytes]:
        """Start a command. A cancelled call kills what may have started by then."""
        # The login's shell may be any, and its start-up files may have written something first.
        # csh ends a quoted word at its line's end and fish knows no `$$`: only `sh` gets the words.
        script = f'echo "{mark} $$"; exec {shlex.join(words)} </dev/null\n'

        async def create_process() -> SSHClientProcess[bytes]:
            process = await self._connection.create_process(
                "exec sh", encoding=None, request_pty=False
            )
            with suppress(BrokenPipeError):  # a login that runs nothing; its output says so
                process.stdin.write(script.encode(errors="surrogateescape"))
                process.stdin.write_eof()
            return process

        async def kill(process: SSHClientProcess[bytes]) -> None:
            await self._terminate(process, MarkedOutput(mark, 0))

        return await start_or_undo(create_process(), kill, _TERMINATE_SECONDS)

    async def _terminate(self, process: SSHClientProcess[bytes], output: MarkedOutput) -> None:
        with suppress(TimeoutError, asyncssh.Error, OSError):
            async with asyncio.timeout(_TERMINATE_SECONDS):
                while not output.is_started and (data := await process.stdout.read(_CHUNK)):
                    output.add(data)
                if output.number is not None:
                    # sshd forwards signals only if it has a process of its own for the login.
                    kill = f"exec sh -c 'kill -s KILL -- -{output.number}'"
                    await self._connection.run(kill, request_pty=False)
        process.close()
        with suppress(TimeoutError, asyncssh.Error):
            async with asyncio.timeout(_TERMINATE_SECONDS):
                await process.wait_closed()


async def _read_into(stream: SSHReader[bytes], kept: BoundedOutput) -> None:
    while data := await stream.read(_CHUNK):
        kept.add(data)


def _exit_status(process: SSHClientProcess[bytes]) -> int:
    """Return the status as a shell reports it: 128 + the number of the signal that ended it."""
    if process.exit_signal is not None:
        number = getattr(signal, f"SIG{process.exit_signal[0]}", 0)
        return 128 + int(number)
    return process.exit_status or 0


def login_refused_error(target: SshTarget, keys: SshKeys) -> HostLoginRefused:
    """Return the error for a login that accepted no key: a locked one may be the right one."""
    for paths, why in (
        (keys.wrong, "the passphrase is wrong"),
        (keys.locked, "it is encrypted, and no other key was accepted"),
    ):
        if paths:
            path = sanitize_line(str(paths[0]), 300)
            return SshKeyPassphraseNeeded(
                f"The SSH key {path} needs its passphrase to log in to {target.label}",
                path=str(paths[0]),
                why=why,
                remedy=f"enter it when asked, or: ssh-add {shlex.quote(path)}",
            )
    offered = f"{count_of(len(keys.usable), 'key')} of files were offered" + (
        ", and those of the agent" if target.agent else "; there is no agent"
    )
    if keys.hardware:
        path = sanitize_line(str(keys.hardware[0]), 300)
        return HostLoginRefused(
            f"The SSH key {path} is on a security key, which aitui can't use directly",
            why=f"{target.label} accepts no other key: {offered}",
            remedy=f"{'' if target.agent else 'eval $(ssh-agent) && '}ssh-add {shlex.quote(path)}",
        )
    copy = f"ssh-copy-id {target.address.arguments}"
    return HostLoginRefused(
        f"{target.label} accepts none of your SSH keys",
        why=offered,
        remedy=copy if keys.public or target.agent else f"ssh-keygen -t ed25519 && {copy}",
    )


@contextmanager
def translate_connection_errors(where: str) -> Iterator[None]:
    """Turn errors of a connection and of connecting into HostError. `where` is its label."""
    try:
        yield
    except socket.gaierror as error:
        raise HostUnreachable(
            f"There is no host named {where}",
            why=_shorten(error.strerror or str(error)),
            remedy="check ssh_host in config.toml, or HostName in ~/.ssh/config",
        ) from error
    except TimeoutError as error:
        raise HostTimedOut(
            f"{where} does not answer",
            why="the connection took too long",
            remedy="check that it is on, and that the network lets you reach it",
        ) from error
    except ConnectionRefusedError as error:
        raise HostUnreachable(
            f"{where} refuses the connection",
            why="nothing listens on that port",
            remedy="check that sshd runs there, on this port",
        ) from error
    except asyncssh.ChannelOpenError as error:
        raise HostUnreachable(
            f"The route to {where} is closed", why=_shorten(error.reason)
        ) from error
    except (asyncssh.DisconnectError, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection) as e:
        # asyncssh gives that as the reason where it knows none.
        why = "" if e.reason == "Connection lost" else _shorten(e.reason)
        raise HostUnreachable(f"The connection to {where} was lost", why=why) from e
    except (BrokenPipeError, ConnectionResetError) as error:
        lost = f"The connection to {where} was lost"
        raise HostUnreachable(lost, why=_shorten(error.strerror or str(error))) from error
    except (OSError, EOFError) as error:
        raise HostUnreachable(
            f"{where} can't be reached", why=_shorten(getattr(error, "strerror", "") or str(error))
        ) from error
    except (asyncssh.Error, ValueError) as error:
        raise HostError(f"SSH to {where} failed", why=_shorten(str(error))) from error


def _shorten(words: str) -> str:
    return sanitize_line(words, 300)
