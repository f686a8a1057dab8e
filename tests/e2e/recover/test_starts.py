"""What was cut off is told at the next start: by the command line, and by the dashboard."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.snapshot import Server
from aitui.paths import Paths
from aitui.store.journal import FILE_NAME, ChangeOutcome, Journal, JournalEntry
from cli.command_line import CommandLine
from e2e.recover.conftest import FLAG
from host.writing import NEW
from ui.driven import driven

TOLD = "was interrupted: the new file is in place"


@pytest.fixture
def here(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home on this machine, whose config file holds what was to be written."""
    config.write_bytes(NEW)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


def cut_off(server: str, config: Path) -> JournalEntry:
    return replace(FLAG, host="this machine", server=server, path=str(config))


@pytest.mark.parametrize("command", ["journal", "preset"])
async def test_every_command_for_the_host_tells_it_first(
    here: Path, config: Path, command: str
) -> None:
    shell = CommandLine(
        here,
        {
            "AI_SERVER_SSH_HOST": "local",
            "AI_SERVER_URL": "http://127.0.0.1:1",
            "AI_SERVER_PRESET_PATH": str(config),
        },
    )
    state = Paths.from_environment({"HOME": str(here)}).state
    journal = Journal.open(state / FILE_NAME)
    await journal.begin(cut_off("http://127.0.0.1:1", config))
    outcome = await shell.run(command)
    assert outcome.status == 0, outcome.err
    assert TOLD in outcome.err
    assert TOLD not in outcome.out
    (entry,) = await journal.entries()
    assert entry.outcome is ChangeOutcome.DONE


async def test_the_dashboard_tells_it_when_it_has_reached_the_host(
    server: Server, here: Path, config: Path, tmp_path: Path
) -> None:
    administered = replace(server, ssh_host="local", preset_path=str(config))
    folder = tmp_path / "aitui"
    journal = Journal.open(Paths.below(folder).state / FILE_NAME)
    await journal.begin(cut_off(server.identity, config))
    async with driven(administered, folder) as app:
        await app.told("was interrupted: the new file is in place")
        async with asyncio.timeout(10):
            while (await journal.entries())[0].outcome is ChangeOutcome.OPEN:
                await asyncio.sleep(0.02)
    (entry,) = await journal.entries()
    assert entry.outcome is ChangeOutcome.DONE
