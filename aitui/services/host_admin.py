"""The machine behind one server: its config file, its service, and the journal of changes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from msgspec import Struct, field

from aitui.domain.confirmation import Ask, Confirmation
from aitui.domain.release import ServerRelease
from aitui.domain.snapshot import Clock, Server
from aitui.errors import (
    ActionRefused,
    HostError,
    HostKeyRefused,
    SshKeyPassphraseNeeded,
)
from aitui.host.base import Host
from aitui.host.config_file import ConfigFile
from aitui.host.open import open_host
from aitui.host.service import SystemdService
from aitui.host.ssh.host import SshHost
from aitui.host.unit import UnitInfo
from aitui.paths import Paths
from aitui.store.journal import FILE_NAME, Journal


class HostAdmin(Struct):
    """One host with the config file and the service of one server."""

    server: Server
    host: Host
    config: ConfigFile
    service: SystemdService
    journal: Journal
    clock: Clock
    passphrases: dict[str, str] = field(default_factory=dict)
    """Passphrases of encrypted SSH keys by their files, kept in memory only."""
    last_reload_at: float | None = None
    """When aitui last reloaded the server (Unix time)."""
    release: Callable[[], ServerRelease] = ServerRelease
    """Returns how old the server is that reads the file; unknown without a session."""

    def __repr__(self) -> str:
        return f"HostAdmin({self.server!r})"  # without the passphrases

    async def unit_info(self) -> UnitInfo | None:
        """Return what systemd reports of the server, None if it reports nothing."""
        try:
            return await self.service.facts()
        except HostError:
            # It may run in a container, or without systemd.
            return None


def no_host_error(server: Server) -> ActionRefused:
    """Explain that no host is set for this server."""
    return ActionRefused(
        f"The machine that runs {server.label} is unknown",
        why="no SSH host is set for it",
        remedy="set ssh_host in config.toml or AI_SERVER_SSH_HOST, `local` for this machine",
    )


@asynccontextmanager
async def open_administration(
    server: Server, paths: Paths, clock: Clock
) -> AsyncIterator[HostAdmin]:
    """Open the host of a server; nothing is connected before the first call.

    Raises ActionRefused if no host is set.
    """
    passphrases: dict[str, str] = {}
    host = open_host(server, passphrases=passphrases)
    if host is None:
        raise no_host_error(server)
    journal = Journal.open(paths.state / FILE_NAME)
    async with host:
        config = ConfigFile(host, server.preset_path, clock=clock)
        yield HostAdmin(
            server,
            host,
            config,
            SystemdService(host, server.service_unit),
            journal,
            clock,
            passphrases,
        )


AskForPassphrase = Callable[[SshKeyPassphraseNeeded], Awaitable[str]]
"""Asks for the passphrase of a key; empty if none is given."""


async def connect(admin: HostAdmin, ask: Ask, ask_for_passphrase: AskForPassphrase) -> None:
    """Connect the host, and ask what only the user can answer.

    Raises HostKeyRefused, HostLoginRefused, HostUnreachable, also if the answer is no.
    """
    while True:
        try:
            await admin.host.resolve("~/")
        except HostKeyRefused as error:
            confirmation = host_key_confirmation(error, admin.host.label)
            host = admin.host
            if not (isinstance(host, SshHost) and error.line):
                raise
            if not await ask(lambda _: confirmation):  # noqa: B023
                raise
            await host.remember_host_key(error.line)
        except SshKeyPassphraseNeeded as error:
            passphrase = await ask_for_passphrase(error)
            if not passphrase:
                raise
            admin.passphrases[error.path] = passphrase
        else:
            return


def host_key_confirmation(error: HostKeyRefused, label: str) -> Confirmation:
    """Ask whether to trust a host that is reached for the first time."""
    return Confirmation(
        f"Trust {label}?",
        (
            "Its key is not known yet:",
            f"{error.algorithm} {error.fingerprint}",
            "Compare it with ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on that machine.",
            "If you trust it, it is added to known_hosts.",
        ),
        yes="Trust it",
    )
