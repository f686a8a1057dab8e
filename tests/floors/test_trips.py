"""Four trips through the house: CONTRIBUTING.md lists the files on the way, and how many they are."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.demo.certificates import Certificates
from aitui.demo.dialect import Dialect
from aitui.domain.snapshot import Server
from catalogue import QUICK, SLOW
from e2e.config_change.conftest import Administered, on_this_machine
from floors.test_imports import PROJECT
from floors.trips import Trip
from other_client import OtherClient
from stand_in import StandIn
from ui.chat.pane import chatting
from ui.driven import driven

__all__ = ["on_this_machine"]

pytestmark = pytest.mark.frames


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
        await app.see(" ms ")
        loading = asyncio.create_task(other.load(SLOW))
        await app.until(lambda: app.model(SLOW).command, "in /running")
        await app.settle()
        with trip.recorded():
            await app.until(lambda: trip.modules, "painted")
        await loading
    assert files_of(trip) == listed_files("`/running` to a cell of the table")
    assert len(trip.modules) <= 11


async def test_a_key_to_the_request_to_load(server: Server, tmp_path: Path) -> None:
    trips = []
    async with driven(server, tmp_path) as app:
        await app.see(" ms ", QUICK)
        for _ in range(3):
            # The files of the certificate are looked at on the way, but every few seconds only.
            trip = Trip(
                "aitui.ui.screens.models:ModelsScreen.action_load",
                "httpx._client:AsyncClient.stream",
            )
            app.go_to(QUICK)
            with trip.recorded():
                await app.press("l")
                await app.until(partial(getattr, trip, "modules"), "requested")
            trips.append(files_of(trip))
            await app.until_ready(QUICK)
            await app.press("u")
            await app.until_ready()
    shortest = min(trips, key=len)
    assert shortest == listed_files("`l` to the request")
    assert len(shortest) <= 12


TALKING = """\
models:
  "talks-slowly":
    cmd: "llama-server --port ${PORT} --tokens-per-second 8 --chunks 60"
"""


async def test_a_token_to_a_row_of_the_transcript(
    certificates: Certificates, server: Server, tmp_path: Path
) -> None:
    trips = []
    async with StandIn(TALKING, Dialect.V218, certificates) as talking:
        elsewhere = replace(server, url=talking.url)
        async with chatting(talking, elsewhere, tmp_path, "talks-slowly") as pane:
            await pane.send("hi")
            await pane.begun()
            await pane.streams(pane.answer.rates.tokens + 3)
            for _ in range(3):
                # On a busy machine the row may be painted for another cause just then.
                trip = Trip(
                    "aitui.llamaswap.http:ResponseStream.chunks",
                    "aitui.ui.transcript.rows:StyleCache.render_strip",
                    until_return=True,
                )
                with trip.recorded():
                    await pane.app.until(partial(getattr, trip, "modules"), "painted")
                trips.append(files_of(trip))
    shortest = min(trips, key=len)
    assert shortest == listed_files("A token to a row of the transcript")
    assert len(shortest) <= 16


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
        before = {"read the unit", "open the watch"}
        await app.until(lambda: not before & {task.get_name() for task in asyncio.all_tasks()})
        with trip.recorded():
            # Threads that began before the recording wouldn't be seen.
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
            await app.press("y")
            await app.until(lambda: trip.modules, "renamed")
        assert "131072" in on_this_machine.config.read_text()
        await app.see("✓ verify")
    assert files_of(trip) == listed_files("The context dialog to the file")
    assert len(trip.modules) <= 18
