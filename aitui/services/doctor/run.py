"""The whole check-up, in its order: what comes later builds on what came before."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from aitui.domain.checks import CheckResult, CheckStage, failing_check, inconclusive_check
from aitui.domain.snapshot import Clock, Server
from aitui.errors import SettingsError
from aitui.services.doctor.server import ServerFindings, clock_checks
from aitui.services.doctor.terminal import TerminalInfo, setting_checks, terminal_checks
from aitui.settings import Settings

STAGES = (
    *("settings", "certificate files", "network", "answers", "events", "views", "clock"),
    *("machine", "terminal"),
)


@dataclass(frozen=True, slots=True)
class DoctorTarget:
    """What is examined: the settings, or why there are none, and the terminal."""

    settings: Settings | SettingsError
    terminal: TerminalInfo
    clock: Clock


async def examine(subject: DoctorTarget) -> AsyncGenerator[CheckResult | CheckStage, None]:
    """Each check as it ends, and before each group of them its stage.

    Asks nothing below `/upstream/` and changes nothing at the server. Whatever goes wrong becomes
    a check; a check that has no sense after an earlier one is left open.
    """
    if isinstance(subject.settings, SettingsError):
        yield _stage("settings")
        yield failing_check("settings", subject.settings)
    else:
        async with aclosing(_server_checks(subject.settings, subject.clock)) as found:
            async for item in found:
                yield item
    yield _stage("terminal")
    async for check in terminal_checks(subject.terminal):
        yield check


async def _server_checks(
    settings: Settings, clock: Clock
) -> AsyncGenerator[CheckResult | CheckStage, None]:
    server, findings = settings.server, ServerFindings()
    yield _stage("settings")
    for check in setting_checks(settings):
        yield check
    yield _stage("certificate files")
    # httpx and cryptography are slow to import: in a thread, and only if they are needed.
    checks = await asyncio.to_thread(_certificates, server, clock.wall())
    for check in checks:
        yield check
    async with aclosing(_network_stages(server, findings, clock)) as found:
        async for item in found:
            yield item
    yield _stage("clock")
    for check in clock_checks(findings):
        yield check
    yield _stage("machine")
    async with aclosing(_machine_checks(server, findings, clock)) as machine:
        async for check in machine:
            yield check


async def _network_stages(
    server: Server, findings: ServerFindings, clock: Clock
) -> AsyncGenerator[CheckResult | CheckStage, None]:
    from aitui.llamaswap.client import LlamaSwapClient
    from aitui.llamaswap.probe import ServerProbe
    from aitui.services.doctor.server import (
        endpoint_checks,
        event_checks,
        network_checks,
        view_checks,
    )

    async with LlamaSwapClient(server) as client, ServerProbe(server, clock.monotonic) as probe:
        stages: tuple[tuple[str, Callable[[], AsyncIterator[CheckResult]]], ...] = (
            ("network", lambda: network_checks(server, findings, clock.wall())),
            ("answers", lambda: endpoint_checks(server, client, probe, findings, clock)),
            ("events", lambda: event_checks(client, findings, clock.monotonic)),
            ("views", lambda: view_checks(client, probe, findings)),
        )
        for words, checks in stages:
            yield _stage(words)
            async for check in checks():
                yield check


async def _machine_checks(
    server: Server, findings: ServerFindings, clock: Clock
) -> AsyncGenerator[CheckResult, None]:
    if not server.ssh_host:
        remedy = "set ssh_host in config.toml or AI_SERVER_SSH_HOST, `local` for this machine"
        yield inconclusive_check("machine", "not looked at: no ssh_host is set", remedy)
        return
    from aitui.services.doctor.host import host_checks

    async with aclosing(host_checks(server, findings, clock)) as found:
        async for check in found:
            yield check


def _certificates(server: Server, wall: float) -> tuple[CheckResult, ...]:
    from aitui.llamaswap.certificates import certificate_checks

    return certificate_checks(server, wall)


def _stage(words: str) -> CheckStage:
    return CheckStage(words, STAGES.index(words) + 1, len(STAGES))
