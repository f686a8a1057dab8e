"""The machine behind a server looked at, without the server."""

from collections.abc import Sequence

from aitui.domain.models import ListedModel
from aitui.domain.snapshot import Server
from aitui.services.doctor.host import host_checks
from aitui.services.doctor.server import ServerFindings
from services.doctor.examined import REAL_CLOCK, Report


async def machine_of(
    server: Server, *, listed: Sequence[ListedModel] | None = None, seconds: float = 15.0
) -> Report:
    """What is found there; `listed` is what the server's list is taken to be."""
    so_far = ServerFindings(models=None if listed is None else tuple(listed))
    return Report(
        [check async for check in host_checks(server, so_far, REAL_CLOCK, seconds=seconds)]
    )
