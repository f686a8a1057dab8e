"""An SSH server for the demo: SFTP within one folder, and the commands that aitui sends.

Its keys and the client's configuration are made before it listens; asyncssh, which costs as much to
import as Textual, is imported when the first connection comes.
"""

from __future__ import annotations

import asyncio
import posixpath
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from aitui.demo.background import BackgroundTasks
from aitui.demo.shell_commands import ACCOUNT, ShellResult
from aitui.demo.unit import HOME

if TYPE_CHECKING:
    from asyncssh import SFTPServer, SSHServerChannel, SSHServerConnection, SSHServerProcess

NAME = "ai-box"
"""The machine's name in the client's SSH configuration."""

CommandHandler = Callable[[str], Awaitable[ShellResult]]

_BACKLOG = 16
_LOGIN_SECONDS = 20.0


class SshSetup(Struct, frozen=True):
    """A user's SSH configuration below `home`, in which the machine is called NAME."""

    home: Path
    config: Path
    known_hosts: Path
    identity: Path
    host_key: Path


class DemoSshServer:
    """Listens on a port of this machine for a client with the key of the configuration."""

    def __init__(self, folder: Path, root: Path, answer: CommandHandler) -> None:
        self._root = root
        self._run_command = answer
        self._background = BackgroundTasks()
        self._connections: set[SSHServerConnection] = set()
        self._callers: set[socket.socket] = set()
        self._socket: socket.socket | None = None
        self.setup = _setup_paths(folder)

    async def __aenter__(self) -> Self:
        listening = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        try:
            await asyncio.to_thread(_write_setup, self.setup, listening.getsockname()[1])
        except BaseException:
            listening.close()
            raise
        listening.setblocking(False)
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)
        self._socket = listening
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._socket is not None
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        for connection in self._connections:
            connection.abort()
        try:
            for connection in list(self._connections):
                await connection.wait_closed()
            await self._background.close()
        finally:
            # Also if the wait above is cancelled.
            for caller in self._callers:
                caller.close()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            caller, _ = listening.accept()
            # Its task may be cancelled before it begins, or before asyncssh owns the socket.
            self._callers.add(caller)
            self._background.start(self._serve(caller), name="ssh connection")

    async def _serve(self, caller: socket.socket) -> None:
        asyncssh = await asyncio.to_thread(import_module, "asyncssh")
        try:
            connection = await asyncssh.run_server(
                caller,
                server_host_keys=[str(self.setup.host_key)],
                authorized_client_keys=str(self.setup.identity.with_suffix(".pub")),
                password_auth=False,
                kbdint_auth=False,
                process_factory=self._run,
                sftp_factory=self._files,
                encoding=None,
                login_timeout=_LOGIN_SECONDS,
            )
        except (OSError, asyncssh.Error):
            return  # the client has gone, or was refused
        self._callers.discard(caller)
        self._connections.add(connection)
        try:
            await connection.wait_closed()
        finally:
            self._connections.discard(connection)

    def _files(self, channel: SSHServerChannel[bytes]) -> SFTPServer:
        from asyncssh import SFTPServer

        class DemoSftpServer(SFTPServer):
            """SFTP below one folder, with a home directory in it."""

            def map_path(self, path: bytes) -> bytes:
                """Resolve a relative path at the home directory."""
                return super().map_path(posixpath.join(HOME.encode(), path))

        return DemoSftpServer(channel, chroot=str(self._root).encode())

    async def _run(self, process: SSHServerProcess[bytes]) -> None:
        command = process.command or ""
        if command == "exec sh":
            command = (await process.stdin.read()).decode()
        reply = await self._run_command(command)
        with suppress(BrokenPipeError, ConnectionError):
            process.stdout.write(reply.stdout.encode())
            process.stderr.write(reply.stderr.encode())
            process.exit(reply.status)


def _setup_paths(folder: Path) -> SshSetup:
    home = folder / "ssh-user"
    below = home / ".ssh"
    return SshSetup(
        home, below / "config", below / "known_hosts", below / "id_ed25519", folder / "host_key"
    )


def _write_setup(setup: SshSetup, port: int) -> None:
    setup.config.parent.mkdir(parents=True, mode=0o700)
    public = _write_key(setup.host_key)
    _write_key(setup.identity)
    setup.known_hosts.write_text(f"[127.0.0.1]:{port} {public}\n")
    setup.config.write_text(
        f"Host {NAME}\n"
        f"  HostName 127.0.0.1\n"
        f"  Port {port}\n"
        f"  User {ACCOUNT}\n"
        f"  IdentityFile {setup.identity}\n"
        f"  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {setup.known_hosts}\n"
    )


def _write_key(path: Path) -> str:
    """Generate a key, write both halves, and return the public one."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    )
    public = (
        key.public_key()
        .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        .decode()
    )
    path.with_suffix(".pub").write_text(f"{public}\n")
    return public
