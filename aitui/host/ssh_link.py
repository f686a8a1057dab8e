"""An open SSH connection: commands on channels of their own, files over one SFTP session."""

import asyncio
import shlex
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import TypeVar

import asyncssh
from asyncssh import SSHClientConnection, SSHClientProcess, SSHReader

from aitui.errors import HostError
from aitui.host.kept import BoundedOutput, MarkedOutput, new_mark
from aitui.host.shell import CommandResult
from aitui.host.ssh_address import SshAddress
from aitui.host.ssh_files import SshFiles
from aitui.host.ssh_login import log_in
from aitui.host.ssh_trouble import translate_connection_errors
from aitui.host.ssh_user import SshUser
from aitui.host.unbroken import shield

_CHUNK = 1 << 16
_TERMINATE_SECONDS = 3.0

_T = TypeVar("_T")


async def open_connection(address: SshAddress, user: SshUser, where: str) -> "SshConnection":
    """Connect and log in. Raises HostError, HostKeyUnknown."""
    async with AsyncExitStack() as way:
        connection = await log_in(address, user, way)
        return SshConnection(connection, way.pop_all(), where)


class SshConnection:
    """One connection, and all that leads to it. `where` is what messages call the machine."""

    def __init__(self, connection: SSHClientConnection, way: AsyncExitStack, where: str) -> None:
        self._connection = connection
        self._exit_stack = way
        self._where = where
        self._files: SshFiles | None = None
        self._sftp_lock = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether it can still be used, as far as is known here."""
        return not self._connection.is_closed()

    @property
    def host_key(self) -> str:
        """The key that the machine showed: `algorithm SHA256:…`."""
        key = self._connection.get_server_host_key()
        if key is None:
            return ""
        return f"{key.algorithm.decode('ascii', 'replace')} {key.get_fingerprint('sha256')}"

    async def close(self) -> None:
        """Close all of it at once."""
        await shield(self._exit_stack.aclose())

    async def translate_errors(self, work: Callable[["SshConnection"], Awaitable[_T]]) -> _T:
        """Do some work with this connection; its loss becomes HostUnreachable."""
        with translate_connection_errors(self._where):
            return await work(self)

    async def files(self) -> SshFiles:
        """The files, over one session that is opened once. Raises HostError."""
        async with self._sftp_lock:
            if self._files is None:
                try:
                    session = await self._connection.start_sftp_client(
                        path_encoding=None, sftp_version=3
                    )
                except (asyncssh.SFTPError, asyncssh.ChannelOpenError) as error:
                    raise HostError(
                        f"{self._where} has no SFTP",
                        why="the login works, and its file transfer does not start",
                        remedy="Subsystem sftp internal-sftp in its sshd_config",
                    ) from error
                self._files = SshFiles(session, self._where)
            return self._files

    async def run(self, words: Sequence[str], given: bytes, largest: int) -> CommandResult:
        """Run a command. A cancelled call ends what it started there, with its process group.

        What left that group by itself goes on, and so does everything where the connection is
        lost: until it writes into its closed pipes.
        """
        mark = new_mark()
        output, complaint = MarkedOutput(mark, largest), BoundedOutput(largest)
        # The login's shell may be any, and its start-up files may have written something before.
        script = f'echo "{mark} $$"; exec "$@"'
        process = await self._start_process(
            f"exec {shlex.join(('sh', '-c', script, 'sh', *words))}", mark
        )
        try:
            async with asyncio.TaskGroup() as reading:
                reading.create_task(_read_into(process.stdout, output))
                reading.create_task(_read_into(process.stderr, complaint))
                reading.create_task(_write_input(process, given))
            await process.wait_closed()
        except* (asyncssh.Error, OSError) as errors:
            raise errors.exceptions[0] from None
        finally:
            if process.exit_status is None and process.exit_signal is None:
                await shield(self._terminate(process, output))
        if process.exit_status is None and process.exit_signal is None:
            raise asyncssh.ConnectionLost("it broke while a command ran")
        return CommandResult(
            _exit_status(process),
            output.content,
            complaint.content,
            is_truncated=output.is_cut or complaint.is_truncated,
        )

    async def _start_process(self, command: str, mark: str) -> SSHClientProcess[bytes]:
        """Start a command line. A cancelled call ends what may have started by then."""

        async def begin() -> SSHClientProcess[bytes]:
            return await self._connection.create_process(command, encoding=None, request_pty=False)

        beginning = asyncio.ensure_future(begin())
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            await shield(self._abort_start(beginning, mark))
            raise

    async def _abort_start(
        self, beginning: "asyncio.Task[SSHClientProcess[bytes]]", mark: str
    ) -> None:
        await asyncio.wait({beginning}, timeout=_TERMINATE_SECONDS)
        if not beginning.done():
            beginning.cancel()
        elif not beginning.cancelled() and beginning.exception() is None:
            await self._terminate(beginning.result(), MarkedOutput(mark, 0))

    async def _terminate(self, process: SSHClientProcess[bytes], output: MarkedOutput) -> None:
        with suppress(TimeoutError, asyncssh.Error, OSError):
            async with asyncio.timeout(_TERMINATE_SECONDS):
                while not output.is_started and (data := await process.stdout.read(_CHUNK)):
                    output.add(data)
                if output.number is not None:
                    # sshd passes signals on only where it has a process of its own for the login.
                    script = ("sh", "-c", 'kill -s KILL -- -"$1"', "sh", str(output.number))
                    await self._connection.run(f"exec {shlex.join(script)}", request_pty=False)
        process.close()
        with suppress(TimeoutError, asyncssh.Error):
            async with asyncio.timeout(_TERMINATE_SECONDS):
                await process.wait_closed()


async def _read_into(stream: SSHReader[bytes], kept: BoundedOutput) -> None:
    while data := await stream.read(_CHUNK):
        kept.add(data)


async def _write_input(process: SSHClientProcess[bytes], given: bytes) -> None:
    # A command that doesn't read its input to the end is free to do so.
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(given)
        await process.stdin.drain()
        process.stdin.write_eof()


def _exit_status(process: SSHClientProcess[bytes]) -> int:
    """As a shell would have it: 128 + the number of the signal that ended it."""
    if process.exit_signal is not None:
        number = getattr(signal, f"SIG{process.exit_signal[0]}", 0)
        return 128 + int(number)
    return process.exit_status or 0
