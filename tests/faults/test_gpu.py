"""`aitui gpu` beside a machine that hangs."""

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
from faults.host_operations import machine


@pytest.mark.parametrize(("step", "fault"), [("run ", silent), ("connect", silent_network)])
async def test_it_names_what_hangs_and_is_back_within_20_seconds(
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
