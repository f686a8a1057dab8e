"""The program with what this machine can do to it: started, chatting, editing, in its history."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest

import llama_swap_program
from e2e.pseudo_terminal.test_program import SEQUENCES
from e2e.service.user_manager import free_port
from faults.program_cells import PROGRAM
from faults.program_faults import NUMBER
from faults.program_operations import (
    CONFIG,
    EARLIER,
    ProgramOperation,
    ProgramWorld,
    leave,
)

AGAIN = 9
"""What is done when all is well again."""


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server on this machine that watches its config file, and the home of a former client."""
    folder, port = tmp_path_factory.mktemp("before"), free_port()
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "shift").write_text("0")
    (folder / "home").mkdir()
    program = (sys.executable, llama_swap_program.__file__, "-dialect", "v218", "-watch-config")
    where = ("-listen", f"127.0.0.1:{port}", "-config", str(folder / "config.yaml"))
    with subprocess.Popen((*program, *where), stdout=subprocess.DEVNULL) as server:
        url = f"http://127.0.0.1:{port}"
        asyncio.run(_chat(url, folder))
        yield url, folder
        server.terminate()


async def _chat(url: str, folder: Path) -> None:
    async with AsyncExitStack() as stack:
        shown = await ProgramWorld(folder, folder, url, stack).open()
        shown.press("\r")
        await shown.see("⏎ send")
        shown.press(f"{EARLIER}\r")
        await shown.until(lambda: " tokens ·" in shown.text, "a reply")
        await shown.until(lambda: "^c stop" not in shown.text, "the reply ended")
        await leave(shown)
        shown.press("q")
        assert await shown.ends() == 0, SEQUENCES.sub(b"", shown.last_words).decode()


@pytest.mark.parametrize(("operation", "fault"), PROGRAM.cells)
async def test_the_program_lives_or_ends_well_and_loses_nothing(
    operation: ProgramOperation, fault: str, before: tuple[str, Path], tmp_path: Path
) -> None:
    url, common = before
    keeps_nothing = fault == "no home" or fault.startswith("state")
    shutil.copytree(common / "home", tmp_path / "home")
    (tmp_path / "shift").write_text("0")
    (common / "config.yaml").write_text(CONFIG)
    async with AsyncExitStack() as stack:
        world = ProgramWorld(tmp_path, common, url, stack)
        async with aclosing(PROGRAM.faults[fault][0](world, operation)) as steps:
            await anext(steps)
            PROGRAM.check(operation.name, fault, world.texts, world.sent)
            await anext(steps, None)
        if not world.shown[0].is_running:
            await world.open()
            assert keeps_nothing or operation.is_whole(world, NUMBER)
        shown = next(one for one in world.shown if one.is_running)
        await operation.begin(world, shown, AGAIN)
        await operation.finish(world, shown, AGAIN)
        await leave(shown)
        shown.press("q")
        assert await shown.ends() == 0, SEQUENCES.sub(b"", shown.last_words).decode()
        assert b"Traceback" not in shown.sent
        assert shown.settings == shown.before
        assert shown.left_on == shown.left_off == set()
        assert operation.is_kept(world, AGAIN)
        # An edit was overwritten by the next one; without a home, nothing was to be kept.
        assert operation.name == "edit" or keeps_nothing or operation.is_whole(world, NUMBER)
