"""What is told of a machine that hangs, and what is shown all the same."""

from pathlib import Path
from time import monotonic

import pytest

from aitui.cli.arguments import Arguments
from aitui.cli.main import print_hardware
from aitui.cli.session import terminal_session
from aitui.demo.ssh_host import NAME
from aitui.paths import Paths
from faults.host_faults import silent, silent_network
from faults.host_gateway import Fault
from faults.host_operations import host_world, machine


@pytest.mark.parametrize(("step", "fault"), [("run ", silent), ("connect", silent_network)])
async def test_gpu_names_what_hangs_and_is_back_within_20_seconds(
    step: str, fault: Fault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with machine(tmp_path) as (server, host, _):
        host.break_steps(step, fault)
        paths, began = Paths.below(tmp_path / "aitui"), monotonic()
        async with terminal_session(server, paths) as session:
            await print_hardware(session, Arguments(), paths)
        # Idle time passes at once here, so this counts what aitui waits, not how fast the machine is.
        waited = monotonic() - began
    said = capsys.readouterr()
    assert f"{NAME} did not report its hardware within 12 s over SSH" in said.err
    assert "GPU 0" in said.out
    assert host.broken
    assert waited <= 20


async def test_view_5_shows_at_once_what_was_read_before(tmp_path: Path) -> None:
    async with host_world(tmp_path) as world:
        watch = world.app.controllers.context.session.config_watch
        assert watch is not None
        await world.app.until(lambda: watch.last_read, "the file read")
        world.host.break_steps("", silent)
        await world.app.press("5")
        await world.app.see("--ctx-size 4096")
        await world.app.see("does not respond")
        assert "--ctx-size 4096" in world.app.text
