"""`aitui doctor` on the command line."""

import os
import sys
from collections.abc import Mapping
from contextlib import aclosing

from aitui.cli.output import print_lines
from aitui.domain.checks import CheckResult, exit_code
from aitui.domain.snapshot import Clock
from aitui.errors import SettingsError
from aitui.format.doctor import as_json, as_lines, summary
from aitui.services.doctor.run import examine
from aitui.services.doctor.terminal import TerminalInfo
from aitui.settings import Settings


async def run_doctor(
    settings: Settings | SettingsError, environment: Mapping[str, str], *, json: bool
) -> int:
    """Print each check as it ends, or all as JSON at the end; return the exit status."""
    terminal, clock = TerminalInfo(_terminal_size(), environment), Clock.of_system()
    checks: list[CheckResult] = []
    async with aclosing(examine(settings, terminal, clock)) as found:
        async for item in found:
            if not isinstance(item, CheckResult):
                continue
            checks.append(item)
            if not json:
                print_lines(as_lines(item))
    if json:
        print(as_json(checks))
    else:
        print(summary(checks))
    return exit_code(checks)


def _terminal_size() -> tuple[int, int] | None:
    for stream in (sys.stdout, sys.stderr, sys.stdin):
        try:
            size = os.get_terminal_size(stream.fileno())
        except (OSError, ValueError):  # not a terminal, or closed
            continue
        return size.columns, size.lines
    return None
