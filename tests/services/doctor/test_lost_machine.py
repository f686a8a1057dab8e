"""A machine that is lost in the middle of the check-up: told once, and waited for once."""

from pathlib import Path

import pytest

from aitui.domain.checks import CheckStatus
from aitui.host.config_file import ConfigFile
from aitui.host.local import LocalHost
from aitui.host.service import SystemdService
from aitui.services.doctor.checkup import Report as Reporter
from aitui.services.doctor.host import HostChecks
from e2e.service.inside import Inside
from e2e.service.user_manager import UNIT, UserManager
from host.faults import Fault, FaultyHost
from services.doctor.examined import REAL_CLOCK, Report, reported


async def report_of(host: FaultyHost, preset: str) -> Report:
    """Both groups of checks, as they follow each other."""

    async def run(report: Reporter) -> None:
        checks = HostChecks(host, report, 10.0)
        await checks.check_config(ConfigFile(host, preset, clock=REAL_CLOCK), None)
        await checks.check_service(SystemdService(host, UNIT))

    return await reported(run)


@pytest.mark.real_server("systemd")
@pytest.mark.real_server("openssh-server")
async def test_whenever_it_is_lost_one_line_fails_and_the_rest_stay_open(
    machine: UserManager,
) -> None:
    inside, preset = Inside(machine), str(machine.config)
    traced = FaultyHost(inside)
    names = [check.name for check in (await report_of(traced, preset)).checks]
    for at in range(len(traced.calls)):
        report = await report_of(FaultyHost(inside, Fault.CUT_BEFORE, at), preset)
        assert [check.name for check in report.checks] == names, at
        lost = [check for check in report.checks if "connection was lost" in check.seen]
        failed = [check for check in lost if check.status is CheckStatus.FAILED]
        assert len(failed) == 1, (at, traced.calls[at], lost)
        assert lost[0] is failed[0]


async def test_a_command_that_hangs_is_waited_for_no_longer_than_a_check_may_take(
    preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = tmp_path / "programs"
    hanging.mkdir()
    (hanging / "test").write_text("#!/bin/sh\nexec sleep 60\n")
    (hanging / "test").chmod(0o755)
    monkeypatch.setenv("PATH", str(hanging), prepend=":")
    host = LocalHost()
    config = ConfigFile(host, str(preset), clock=REAL_CLOCK)
    report = await reported(lambda add: HostChecks(host, add, 0.5).check_config(config, None))
    assert report.failed == ["config folder writable"]
    assert "this machine does not answer" in report["config folder writable"].seen
    assert report.status("config file's owner") is CheckStatus.OPEN
    assert report.status("config file valid") is CheckStatus.PASSED
