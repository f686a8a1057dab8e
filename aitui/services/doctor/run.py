"""The whole check-up, in its order: what comes later builds on what came before."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from importlib import import_module

from aitui.aio import background_task
from aitui.domain.checks import CheckResult, CheckStage, failing_check, inconclusive_check
from aitui.domain.snapshot import Clock, Server
from aitui.errors import SettingsError
from aitui.services.doctor.checkup import Report
from aitui.services.doctor.server import ServerChecks
from aitui.services.doctor.terminal import TerminalInfo, check_terminal, setting_checks
from aitui.settings import Settings

STAGES = (
    *("settings", "certificate files", "network", "answers", "events", "views", "clock"),
    *("machine", "terminal"),
)


async def examine(
    settings: Settings | SettingsError, terminal: TerminalInfo, clock: Clock
) -> AsyncGenerator[CheckResult | CheckStage, None]:
    """Yield each check as it ends, and before each group of them its stage.

    With wrong settings only they and the terminal are looked at. Asks nothing below `/upstream/`
    and changes nothing at the server. Whatever goes wrong becomes a check; a check that has no
    sense after an earlier one is left open.
    """
    items: asyncio.Queue[CheckResult | CheckStage | None] = asyncio.Queue()
    work = _run_stages(settings, terminal, clock, items.put_nowait)
    async with background_task(work, "check-up") as running:
        running.add_done_callback(lambda _: items.put_nowait(None))
        while (item := await items.get()) is not None:
            yield item
        running.result()


async def _run_stages(
    settings: Settings | SettingsError, terminal: TerminalInfo, clock: Clock, report: Report
) -> None:
    def begin(words: str) -> None:
        report(CheckStage(words, STAGES.index(words) + 1, len(STAGES)))

    begin("settings")
    if isinstance(settings, SettingsError):
        report(failing_check("settings", settings))
    else:
        for check in setting_checks(settings):
            report(check)
        await _check_server(settings.server, clock, report, begin)
    begin("terminal")
    await check_terminal(terminal, report)


async def _check_server(
    server: Server, clock: Clock, report: Report, begin: Callable[[str], None]
) -> None:
    begin("certificate files")
    # httpx and cryptography are slow to import: in a thread, and only if they are needed.
    await asyncio.to_thread(import_module, "aitui.llamaswap.certificates")
    from aitui.llamaswap.certificates import certificate_checks
    from aitui.llamaswap.client import LlamaSwapClient
    from aitui.llamaswap.probe import ServerProbe

    for check in await asyncio.to_thread(certificate_checks, server, clock.wall()):
        report(check)
    checks = ServerChecks(server, clock, report)
    async with LlamaSwapClient(server) as client, ServerProbe(server, clock.monotonic) as probe:
        begin("network")
        await checks.check_network()
        begin("answers")
        await checks.check_endpoints(client, probe)
        begin("events")
        await checks.check_events(client)
        begin("views")
        await checks.check_views(client, probe)
    begin("clock")
    checks.check_clock()
    begin("machine")
    if not server.ssh_host:
        remedy = "set ssh_host in config.toml or AI_SERVER_SSH_HOST, `local` for this machine"
        report(inconclusive_check("machine", "not checked: no ssh_host is set", remedy))
        return
    from aitui.services.doctor.host import check_host

    await check_host(server, checks.models, clock, report, release=checks.release)
