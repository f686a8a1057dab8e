"""Every command that a change runs on the host fails once: file and journal stay true."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from aitui.domain.confirmation import Ask
from aitui.domain.progress import ProgressTracker, Steps, StepState
from aitui.errors import AituiError
from aitui.host.base import Host
from aitui.host.config_file import ConfigFile
from aitui.host.open import open_host
from aitui.host.service import SystemdService
from aitui.services import reload as take_effect
from aitui.services.config_change import (
    CHANGING,
    UNDOING,
    ChangeApplyFailed,
    ConfigRunner,
    Frontend,
)
from aitui.services.config_plan import flag_edit, plan_change
from aitui.services.host_admin import HostAdmin
from aitui.store.journal import ChangeOutcome, Journal
from e2e.config_change.conftest import Administered
from e2e.service.user_manager import CONFIG
from host.faults import Fault, FaultyHost
from watched import Watched, no, nobody, watched

pytestmark = [
    pytest.mark.real_server("systemd"),
    pytest.mark.real_server("openssh-server"),
]
CHANGED = CONFIG.replace("--ctx-size 65536", "--ctx-size 98304")


@dataclass
class Trial:
    """One change with a fault in it."""

    calls: list[str]
    steps: Steps
    error: AituiError | None
    admin: HostAdmin


@pytest.fixture
async def watch(over_ssh: Administered, tmp_path: Path) -> AsyncIterator[Watched]:
    """A live session with the server."""
    async with watched(over_ssh.server, tmp_path / "state") as running:
        await running.until_events_flow()
        yield running


def administration(over_ssh: Administered, watch: Watched, host: Host, folder: Path) -> HostAdmin:
    """The machine by way of that host."""
    server, clock = over_ssh.server, watch.session.clock
    return HostAdmin(
        server,
        host,
        ConfigFile(host, server.preset_path, clock=clock),
        SystemdService(host, server.service_unit),
        Journal.open(folder / "journal"),
        clock,
    )


def asking(ask: Ask) -> Frontend:
    """A frontend that shows nothing."""
    return cast("Frontend", SimpleNamespace(ask=ask))


async def attempt(
    over_ssh: Administered, watch: Watched, faulty: FaultyHost, healthy: Host, folder: Path
) -> Trial:
    """Change the context size; the proposal is made over the line that works."""
    proposal = await plan_change(
        administration(over_ssh, watch, healthy, folder), flag_edit("small", "ctx-size", "98304")
    )
    admin = administration(over_ssh, watch, faulty, folder)
    told: list[Steps] = []
    progress = ProgressTracker(watch.session.clock, told.append, *CHANGING)
    error: AituiError | None = None
    # Nobody wants a restart instead.
    runner = ConfigRunner(admin, watch.session, asking(no(watch)))
    try:
        async with runner.watch_reload() as sign:
            await runner.apply(proposal, sign, progress)
    except AituiError as caught:
        error = caught
    return Trial(faulty.calls, told[-1], error, admin)


@pytest.mark.parametrize("fault", [Fault.CUT_AFTER, Fault.SILENT_BEFORE, Fault.DENIED])
async def test_file_and_journal_are_true_and_the_change_can_be_taken_back(
    over_ssh: Administered,
    watch: Watched,
    tmp_path: Path,
    fault: Fault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(take_effect, "FILE_WATCH_SECONDS", 0.2)
    healthy = open_host(over_ssh.server)
    assert healthy is not None
    async with healthy:
        good = FaultyHost(healthy)
        await attempt(over_ssh, watch, good, healthy, tmp_path / "good")
        commands = [at for at, name in enumerate(good.calls) if name == "run"]
        assert len(commands) > 4
        for at in commands:
            over_ssh.config.write_text(CONFIG)
            forget_locks(over_ssh)
            folder = tmp_path / f"call {at}"
            faulty = FaultyHost(healthy, fault, at)
            trial = await attempt(over_ssh, watch, faulty, healthy, folder)
            text = over_ssh.config.read_text()
            outcomes = [entry.outcome for entry in await trial.admin.journal.entries()]
            failed = [step.name for step in trial.steps.steps if step.state is StepState.FAILED]
            if trial.error is None:
                assert (text, outcomes, failed) == (CHANGED, [ChangeOutcome.DONE], []), at
            elif isinstance(trial.error, ChangeApplyFailed):
                assert (text, outcomes) == (CHANGED, [ChangeOutcome.DONE]), at
                assert failed == ["reload"], at
                await taken_back(over_ssh, watch, healthy, folder, trial.error)
            else:
                assert text == CONFIG, at
                assert outcomes in ([], [ChangeOutcome.FAILED], [ChangeOutcome.CUT_OFF]), at
                assert len(failed) == 1, at


def forget_locks(over_ssh: Administered) -> None:
    """Of a line that was cut the lock stays for a while: that has tests of its own."""
    for lock in over_ssh.config.parent.glob(".*.aitui-lock"):
        lock.unlink()


async def taken_back(
    over_ssh: Administered, watch: Watched, healthy: Host, folder: Path, error: ChangeApplyFailed
) -> None:
    """Once the host is there again, undo restores the file."""
    forget_locks(over_ssh)
    admin = administration(over_ssh, watch, healthy, folder)
    progress = ProgressTracker(watch.session.clock, lambda _: None, *UNDOING)
    runner = ConfigRunner(admin, None, asking(nobody))
    await runner.take_back(error.written.entry, None, progress)
    assert over_ssh.config.read_text() == CONFIG
