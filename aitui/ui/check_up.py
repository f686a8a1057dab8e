"""A check-up of the server that the dashboard shows."""

from collections.abc import AsyncGenerator
from dataclasses import replace

from aitui.commands.doctor.examination import Subject, examine
from aitui.commands.doctor.terminal_checks import Terminal
from aitui.domain.checks import Check, Stage
from aitui.domain.server import Server
from aitui.ui.opening import Opening


def check_up(
    opening: Opening, server: Server | None, size: tuple[int, int]
) -> AsyncGenerator[Check | Stage, None]:
    """Begins one, of the chosen server where no other is shown; `size` is the terminal's."""
    settings = opening.settings
    if server is not None and server is not settings.server:
        origins = {**settings.origins, "server": "chosen in the dashboard"}
        settings = replace(settings, server=server, origins=origins)
    return examine(Subject(settings, Terminal(size, opening.environment), opening.clock))
