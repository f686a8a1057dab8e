"""A check-up, run to its end."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from time import monotonic, time

from aitui.domain.checks import CheckResult, CheckStage, CheckStatus
from aitui.domain.snapshot import Clock, Server
from aitui.errors import SettingsError
from aitui.services.doctor.checkup import Report as Reporter
from aitui.services.doctor.run import examine
from aitui.services.doctor.terminal import TerminalInfo
from aitui.settings import Settings

NO_TERMINAL = TerminalInfo(None, {})
REAL_CLOCK = Clock(monotonic, time)


class Report:
    """What was found, by the names of the checks."""

    def __init__(self, checks: list[CheckResult]) -> None:
        self.checks = checks
        self._by_name = {check.name: check for check in checks}
        assert len(self._by_name) == len(checks), "two checks have the same name"

    def __getitem__(self, name: str) -> CheckResult:
        return self._by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    @property
    def failed(self) -> list[str]:
        """The names of the checks that failed, in their order."""
        return [check.name for check in self.checks if check.status is CheckStatus.FAILED]

    def status(self, name: str) -> CheckStatus:
        return self._by_name[name].status


async def reported(run: Callable[[Reporter], Awaitable[None]]) -> Report:
    """The checks that a part of the check-up reports."""
    found: list[CheckResult | CheckStage] = []
    await run(found.append)
    return Report([item for item in found if isinstance(item, CheckResult)])


async def examined(
    settings: Server | Settings | SettingsError,
    *,
    terminal: TerminalInfo = NO_TERMINAL,
    clock: Clock = REAL_CLOCK,
) -> Report:
    """The whole check-up."""
    if isinstance(settings, Server):
        settings = Settings(settings, (settings,))
    return Report(
        [item async for item in examine(settings, terminal, clock) if isinstance(item, CheckResult)]
    )


def in_terminal(environment: Mapping[str, str], size: tuple[int, int] = (80, 24)) -> TerminalInfo:
    return TerminalInfo(size, environment)


def nowhere(**settings: Path | str | None) -> Server:
    """A server at a port where nothing listens: its files can be looked at all the same."""
    return Server("https://127.0.0.1:9", identity="nowhere", **settings)  # type: ignore[arg-type]
