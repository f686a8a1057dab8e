"""Four trips through the house: CONTRIBUTING.md lists the files on the way, and how many they are."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aitui.domain.snapshot import Server
from catalogue import SLOW
from e2e.config_change.conftest import Administered, on_this_machine
from floors.test_imports import PROJECT
from floors.trips import Trip
from other_client import OtherClient
from ui.driven import driven

__all__ = ["on_this_machine"]


def files_of(trip: Trip) -> list[str]:
    """The files on the way, by their names."""
    return sorted(f"{module.replace('.', '/')}.py" for module in trip.modules)


def listed_files(title: str) -> list[str]:
    """What CONTRIBUTING.md lists under the heading of a trip."""
    text = (PROJECT / "CONTRIBUTING.md").read_text()
    section = text.partition(f"### {title}\n")[2].partition("\n#")[0]
    return sorted(re.findall(r"^- `([a-z_/]+\.py)`", section, re.MULTILINE))


async def test_running_to_a_table_cell(server: Server, tmp_path: Path, other: OtherClient) -> None:
    trip = Trip(
        "aitui.llamaswap.schemas:parse_running",
        "aitui.ui.widgets.model_table:ModelTable._render_row",
        until_return=True,
    )
    async with driven(server, tmp_path) as app:
        await app.see("● live")
        loading = asyncio.create_task(other.load(SLOW))
        await app.until(lambda: app.model(SLOW).command, "in /running")
        await app.settle()
        with trip.recorded():
            await app.until(lambda: trip.modules, "painted")
        await loading
    assert files_of(trip) == listed_files("`/running` to a cell of the table")
    assert len(trip.modules) <= 11


async def test_the_context_dialog_to_the_file(
    on_this_machine: Administered, tmp_path: Path
) -> None:
    trip = Trip(
        "aitui.ui.screens.confirm:ConfirmScreen.action_answer",
        # The first call after the rename of the new file: the backup is renamed as well.
        "aitui.host.config_file:ConfigWriteTransaction._read_back",
    )
    async with driven(on_this_machine.server, tmp_path) as app:
        await app.see("small")
        app.go_to("small")
        await app.press("c", *"131072", "enter")
        await app.armed()
        with trip.recorded():
            # Threads that began before the recording wouldn't be seen.
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
            await app.press("y")
            await app.until(lambda: trip.modules, "renamed")
        assert "131072" in on_this_machine.config.read_text()
        await app.see("✔ verify")
    assert files_of(trip) == listed_files("The context dialog to the file")
    assert len(trip.modules) <= 18
