"""A check-up of the server that the dashboard shows."""

from collections.abc import AsyncGenerator
from dataclasses import replace

from aitui.domain.checks import CheckResult, CheckStage
from aitui.domain.snapshot import Server
from aitui.services.doctor.run import DoctorTarget, examine
from aitui.services.doctor.terminal import TerminalInfo
from aitui.ui.context import AppContext


def run_checks(
    opening: AppContext, server: Server | None, size: tuple[int, int]
) -> AsyncGenerator[CheckResult | CheckStage, None]:
    """Begins one, of the chosen server where no other is shown; `size` is the terminal's."""
    settings = opening.settings
    if server is not None and server is not settings.server:
        origins = {**settings.origins, "server": "chosen in the dashboard"}
        settings = replace(settings, server=server, origins=origins)
    return examine(DoctorTarget(settings, TerminalInfo(size, opening.environment), opening.clock))
