"""The whole check-up, in its order: what comes later builds on what came before."""

import asyncio
import shlex
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine
from functools import partial
from importlib import import_module
from typing import Any

from msgspec.structs import replace

from aitui.aio import background_task
from aitui.domain.checks import CheckResult, CheckStage, failing_check, inconclusive_check
from aitui.domain.server import WHERE_MADE
from aitui.domain.snapshot import Clock, Server
from aitui.errors import HostError, SettingsError
from aitui.host.listener import locate_host
from aitui.host.open import LOCAL
from aitui.host.ssh.address import SshAddress
from aitui.services.doctor.checkup import Report
from aitui.services.doctor.server import ServerChecks
from aitui.services.doctor.terminal import TerminalInfo, check_terminal, setting_checks
from aitui.settings import Settings, require_server

STAGES = (
    *("settings", "certificate files", "network", "answers", "events", "views", "clock"),
    *("machine", "browsers", "terminal"),
)


def examine(
    settings: Settings | SettingsError, terminal: TerminalInfo, clock: Clock
) -> AsyncGenerator[CheckResult | CheckStage, None]:
    """Return the checks as they end, and before each group of them its stage.

    With wrong settings only they and the terminal are looked at. Asks nothing below `/upstream/`
    and changes nothing at the server. Whatever goes wrong becomes a check; a check that has no
    sense after an earlier one is left open.
    """
    return _run(partial(_run_stages, settings, terminal, clock))


def examine_server(
    server: Server, clock: Clock, stages: Collection[str]
) -> AsyncGenerator[CheckResult | CheckStage, None]:
    """Return the checks of some stages, for a server that is being set up."""

    return _run(lambda report: _check_server(server, clock, report, stages))


async def _run(
    check: Callable[[Report], Coroutine[Any, Any, None]],
) -> AsyncGenerator[CheckResult | CheckStage, None]:
    items: asyncio.Queue[CheckResult | CheckStage | None] = asyncio.Queue()
    async with background_task(check(items.put_nowait), "check-up") as running:
        running.add_done_callback(lambda _: items.put_nowait(None))
        while (item := await items.get()) is not None:
            yield item
        running.result()


async def _run_stages(
    settings: Settings | SettingsError, terminal: TerminalInfo, clock: Clock, report: Report
) -> None:
    begin = partial(_begin, report)
    begin("settings")
    if isinstance(settings, SettingsError):
        report(failing_check("settings", settings))
    else:
        if settings.has_server:
            settings = replace(settings, server=await locate_host(settings.server))
        for check in setting_checks(settings):
            report(check)
        try:
            server = require_server(settings)
            await _check_server(server, clock, report)
            begin("browsers")
            from aitui.services.doctor.browser import check_browsers

            await check_browsers(server, terminal.environment, report)
        except SettingsError as error:
            report(failing_check("server", error))
    begin("terminal")
    await check_terminal(terminal, report)


def _begin(report: Report, words: str) -> None:
    report(CheckStage(words, STAGES.index(words) + 1, len(STAGES)))


async def _check_server(
    server: Server, clock: Clock, report: Report, stages: Collection[str] = STAGES
) -> None:
    begin = partial(_begin, report)
    checks = ServerChecks(server, clock, report)
    if "network" in stages:
        begin("certificate files")
        # httpx and cryptography are slow to import: in a thread, and only if they are needed.
        await asyncio.to_thread(import_module, "aitui.llamaswap.certificate_checks")
        from aitui.llamaswap.certificate_checks import certificate_checks
        from aitui.llamaswap.client import LlamaSwapClient
        from aitui.llamaswap.probe import ServerProbe

        for check in await asyncio.to_thread(certificate_checks, server, clock.wall()):
            report(_name_proxy(check, server))
        async with LlamaSwapClient(server) as client, ServerProbe(server, clock.monotonic) as probe:
            begin("network")
            await checks.check_network()
            begin("answers")
            await checks.check_endpoints(client, probe)
            if "events" in stages:
                begin("events")
                await checks.check_events(client)
                begin("views")
                await checks.check_views(client, probe)
                begin("clock")
                checks.check_clock()
    if "machine" not in stages:
        return
    begin("machine")
    if not server.ssh_host:
        remedy = "set ssh_host in config.toml or AI_SERVER_SSH_HOST, `local` for this machine"
        report(inconclusive_check("machine", "not checked: no ssh_host is set", remedy))
        return
    from aitui.services.doctor.host import check_host

    await check_host(server, checks.models, clock, report, release=checks.release)


def _name_proxy(check: CheckResult, server: Server) -> CheckResult:
    """Fill the proxy's machine and directory into the command that copies a missing file."""
    if WHERE_MADE not in check.remedy or server.proxy_ssh_host in {"", LOCAL}:
        return check
    try:
        proxy = SshAddress.read(server.proxy_ssh_host)
    except HostError:
        return check
    host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
    place = f"{proxy.user}@{host}" if proxy.user else host
    port = "" if proxy.port is None else f"-P {proxy.port} "
    source = f"{port}{shlex.quote(f'{place}:{server.proxy_dir}/certs')}"
    return replace(check, remedy=check.remedy.replace(WHERE_MADE, source))
