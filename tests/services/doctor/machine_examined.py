"""The machine behind a server looked at, without the server."""

from collections.abc import Sequence

from aitui.domain.models import ListedModel
from aitui.domain.snapshot import Server
from aitui.services.doctor.host import check_host
from services.doctor.examined import REAL_CLOCK, Report, reported


async def machine_of(
    server: Server, *, listed: Sequence[ListedModel] | None = None, seconds: float = 15.0
) -> Report:
    """What is found there; `listed` is what the server's list is taken to be."""
    models = None if listed is None else tuple(listed)
    return await reported(
        lambda report: check_host(server, models, REAL_CLOCK, report, seconds=seconds)
    )
