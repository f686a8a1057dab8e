"""The machine behind one server, opened: what the commands that change something there work with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aitui.domain.snapshot import Clock, Server
from aitui.errors import ActionRefused
from aitui.host.base import Host
from aitui.host.config_file import ConfigFile
from aitui.host.open import open_host
from aitui.host.service import SystemdService
from aitui.paths import Paths
from aitui.store.journal import FILE_NAME, Journal


def refuse_if_read_only(server: Server, deed: str) -> None:
    """Raise Refused, before anything is sent, where the settings forbid to change anything."""
    if server.read_only:
        origin = server.origins.get("read_only", "its settings")
        raise ActionRefused(
            f"{deed} is refused: {server.label} is read-only",
            why=f"set by {origin}",
            remedy="start aitui without it to change anything there",
        )


@dataclass(slots=True)
class LastReload:
    """When aitui last had the server read its file (Unix time), None before the first time."""

    at: float | None = None


@dataclass(frozen=True, slots=True)
class HostAdmin:
    """One host with the config file and the service of one server."""

    server: Server
    host: Host
    config: ConfigFile
    service: SystemdService
    journal: Journal
    clock: Clock
    passphrases: dict[str, str] = field(default_factory=dict, repr=False)
    """Those of encrypted SSH keys, by their files, in memory alone."""
    last_reload: LastReload = field(default_factory=LastReload)

    def refuse_if_read_only(self, deed: str) -> None:
        """Raise Refused, before anything is sent, where the settings forbid to change anything."""
        refuse_if_read_only(self.server, deed)


def no_host_error(server: Server) -> ActionRefused:
    """Why there is nothing to administer."""
    return ActionRefused(
        f"aitui doesn't know the machine behind {server.label}",
        why="no SSH host is set for it",
        remedy="set ssh_host in config.toml or AI_SERVER_SSH_HOST, `local` for this machine",
    )


@asynccontextmanager
async def open_administration(
    server: Server, paths: Paths, clock: Clock
) -> AsyncIterator[HostAdmin]:
    """The host of a server; nothing is connected before something is asked of it.

    Raises Refused where no host is set.
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
