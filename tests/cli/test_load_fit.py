"""`aitui load` knows what fits, and learns from what it loads."""

from pathlib import Path

import pytest

from aitui.domain.snapshot import Server
from aitui.paths import Paths
from aitui.store.measurements import FILE_NAME, Measurements
from catalogue import OUT_OF_MEMORY, QUICK, STEADY
from cli.command_line import CommandLine
from stand_in import StandIn

MIB = 1 << 20


async def kept(aitui: CommandLine) -> Measurements:
    paths = Paths.from_environment({"HOME": str(aitui.home)})
    return await Measurements.open(paths.state / FILE_NAME)


async def test_what_it_loaded_is_measured(aitui: CommandLine, server: Server) -> None:
    outcome = await aitui.run("load", QUICK)
    assert outcome.status == 0
    (measured,) = (await kept(aitui)).of_model(server.url, QUICK).measurements
    assert measured.context_size == 8192
    assert measured.gpu == pytest.approx(4096 * MIB, rel=0.001)


async def test_a_death_of_memory_is_remembered_and_told_before_the_next_try(
    aitui: CommandLine,
) -> None:
    first = await aitui.run("load", OUT_OF_MEMORY)
    assert first.status == 1
    assert "out of memory" in first.err
    again = await aitui.run("load", OUT_OF_MEMORY)
    assert again.status == 6
    assert "does not fit" in again.err
    assert "it ran out of memory with 4,096 tokens" in again.err
    assert "--yes" in again.err


async def test_the_question_tells_what_is_needed_and_what_will_be_free(
    aitui: CommandLine,
) -> None:
    await aitui.run("load", QUICK)
    await aitui.run("load", STEADY, "--yes")
    outcome = await aitui.run("load", QUICK)
    assert outcome.status == 6
    assert "fits" in outcome.err
    assert "needs 4.0 GB, measured" in outcome.err
    assert "free" in outcome.err


async def test_a_machine_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    async with StandIn("models:\n  a:\n    cmd: llama-server --port ${PORT}\n") as stand_in:
        environment = {
            "AI_SERVER_URL": stand_in.url,
            "AI_SERVER_SSH_HOST": "nobody@127.0.0.1:9",
        }
        outcome = await CommandLine(tmp_path, environment).run("load", "a")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith("a is ready after ")
