"""A restart that does not end: systemd is asked what it does, before the long time limit."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aitui.errors import HostTimedOut, ServiceFailed
from aitui.host import service
from aitui.host.base import CommandResult
from aitui.host.local import LocalHost


class HangingHost(LocalHost):
    """A machine on which `systemctl restart` ends when it may; the unit is in one state after the other."""

    def __init__(self, *states: str) -> None:
        super().__init__()
        self.states = list(states)
        self.may_end = asyncio.Event()

    async def run(
        self, words: Sequence[str], *, seconds: float = 30.0, largest: int = 0
    ) -> CommandResult:
        """Answer as systemd does."""
        del seconds, largest
        if "restart" in words:
            await self.may_end.wait()
            return CommandResult(1, stderr=b"it ended")
        if "--property=ActiveState" not in words:
            return CommandResult(0)
        state = self.states.pop(0)
        if not self.states:
            self.may_end.set()
        return CommandResult(0, f"ActiveState={state}\n".encode())


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "HANG_SECONDS", 0.01)
    monkeypatch.setattr(service, "GRACE_SECONDS", 0.01)


async def test_a_restart_that_never_begins_is_given_up() -> None:
    host = HangingHost("active", "unused")
    with pytest.raises(HostTimedOut, match="systemctl restart does not end") as caught:
        await service.SystemdService(host, "x.service").restart()
    assert "x.service is active, neither stopping nor starting" in caught.value.why


class HurriedHost(LocalHost):
    """A machine whose commands have a fifth of a second, whatever they are given."""

    async def run(self, words: Sequence[str], **limits: Any) -> CommandResult:
        return await super().run(words, **{**limits, "seconds": 0.2})


async def test_a_command_that_hangs_is_named_and_not_what_it_was_started_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = tmp_path / "systemctl"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(HostTimedOut, match=r"^systemctl did not end within") as caught:
        await service.SystemdService(HurriedHost(), "x.service").facts()
    assert "systemctl --user" in caught.value.remedy


async def test_a_unit_that_takes_long_to_stop_is_waited_for() -> None:
    host = HangingHost("deactivating", "deactivating")
    with pytest.raises(ServiceFailed):
        await service.SystemdService(host, "x.service").restart()
    assert not host.states
