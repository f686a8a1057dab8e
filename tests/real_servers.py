"""The marker `real_server(package)`: needs a program of the distribution, and CI has to have it."""

import os
import shutil
from collections.abc import Generator

import pytest
from _pytest.terminal import TerminalReporter

_RUNS_WITH = "would run with: apt install "
_PROGRAMS = {
    "nodejs": "node",
    "openssh-client": "ssh",
    "openssh-server": "sshd",
    "systemd": "systemctl",
    "libnss3-tools": "certutil",
    "polkitd": "pkcheck",
}
# Where servers are is not in everybody's PATH.
_PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
_WANTS_ROOT = frozenset({"systemd"})


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip before any fixture is made where the program isn't installed."""
    for marker in item.iter_markers("real_server"):
        package = marker.args[0]
        if shutil.which(_PROGRAMS.get(package, package), path=_PLACES) is None:
            pytest.skip(f"{package} is not installed; {_RUNS_WITH}{package}")
        if package in _WANTS_ROOT and os.geteuid() != 0:
            pytest.skip(f"a {package} of its own needs root")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing that was to run against a real server may be skipped, for whatever reason."""
    report = yield
    in_ci = os.environ.get("CI", "").lower() == "true"
    if report.skipped and in_ci and item.get_closest_marker("real_server"):
        report.outcome = "failed"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"CI has to run this test against the real server: {reason}"
    return report


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say what was left out, and what would run it."""
    waiting: dict[str, int] = {}
    for report in terminalreporter.getreports("skipped"):
        reason = str(report.longrepr)
        if _RUNS_WITH in reason:
            package = reason.partition(_RUNS_WITH)[2].split("'")[0].split('"')[0]
            waiting[package] = waiting.get(package, 0) + 1
    for package, tests in waiting.items():
        terminalreporter.write_line(
            f"{tests} tests against a real {package} did not run: apt install {package}",
            yellow=True,
        )
