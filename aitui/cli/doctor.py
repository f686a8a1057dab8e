"""`aitui doctor` on the command line."""

import os
import sys
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path

from aitui.cli.output import print_lines
from aitui.domain.checks import CheckResult, exit_code
from aitui.domain.snapshot import Clock
from aitui.errors import SettingsError
from aitui.format.doctor import as_json, as_lines, as_text, redact, summary
from aitui.services.clipboard import copy_text
from aitui.services.doctor.run import examine
from aitui.services.doctor.terminal import TerminalInfo
from aitui.settings import Settings


async def run_doctor(
    settings: Settings | SettingsError,
    environment: Mapping[str, str],
    *,
    json: bool,
    copy_to: Path | None = None,
) -> int:
    """Print each check as it ends, or all as JSON at the end; return the exit status.

    With `copy_to` the report is printed at the end, without anything private, and copied: to a file
    in that folder if the terminal has no clipboard.
    """
    terminal, clock = TerminalInfo(_terminal_size(), environment), Clock.of_system()
    checks: list[CheckResult] = []
    async with aclosing(examine(settings, terminal, clock)) as found:
        async for item in found:
            if not isinstance(item, CheckResult):
                continue
            checks.append(item)
            if not json and copy_to is None:
                print_lines(as_lines(item))
    if copy_to is None:
        print(as_json(checks) if json else summary(checks))
        return exit_code(checks)
    report = as_json(checks) if json else f"{as_text(checks)}\n{summary(checks)}"
    servers = () if isinstance(settings, SettingsError) else (settings.server, *settings.servers)
    report = redact(report, servers, environment)
    print(report)
    tty = next((one for one in (sys.stdout, sys.stderr) if one.isatty()), None)
    if tty is not None:
        sys.stdout.flush()
        place = await copy_text(report, environment, tty.write, copy_to)
        tty.flush()
        print(f"aitui: copied {place}", file=sys.stderr)
    return exit_code(checks)


def _terminal_size() -> tuple[int, int] | None:
    for stream in (sys.stdout, sys.stderr, sys.stdin):
        try:
            size = os.get_terminal_size(stream.fileno())
        except (OSError, ValueError):  # not a terminal, or closed
            continue
        return size.columns, size.lines
    return None
