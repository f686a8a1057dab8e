"""The machine behind the server: the way there, its config file, and the server's unit."""

from collections.abc import AsyncGenerator

from aitui.commands.doctor.config_checks import config_checks
from aitui.commands.doctor.host_found import HOST_RESPONSE_TIMEOUT, HostFindings
from aitui.commands.doctor.service_checks import service_checks
from aitui.commands.doctor.so_far import ServerFindings
from aitui.commands.doctor.ssh_checks import ssh_checks
from aitui.domain.checks import CheckResult, failing_check
from aitui.domain.clock import Clock
from aitui.domain.server import Server
from aitui.errors import HostError
from aitui.host.config_file import ConfigFile
from aitui.host.opening import open_host
from aitui.host.service import SystemdService
from aitui.host.ssh import SshHost

ADDRESS = "machine"


async def host_checks(
    server: Server, so_far: ServerFindings, clock: Clock, *, seconds: float = HOST_RESPONSE_TIMEOUT
) -> AsyncGenerator[CheckResult, None]:
    """From the SSH config to the unit, each check within `seconds`, over one connection.

    Nothing is asked of a person and nothing changed anywhere: no host key is remembered, no
    passphrase asked for, no file made.
    """
    try:
        host = open_host(server)
    except HostError as error:
        yield failing_check(ADDRESS, error)
        return
    if host is None:
        return
    async with host:
        found = HostFindings(host, seconds)
        if isinstance(host, SshHost):
            async for check in ssh_checks(server.ssh_host, host, found):
                yield check
        config = ConfigFile(host, server.preset_path, clock=clock)
        async for check in config_checks(config, found, so_far):
            yield check
        async for check in service_checks(SystemdService(host, server.service_unit), found):
            yield check
