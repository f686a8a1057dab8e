"""`aitui logs` as its users run it."""

import asyncio
import os
import pty
from pathlib import Path

import pytest

from aitui.demo.dialect import Dialect
from aitui.domain.snapshot import Server
from catalogue import ALIAS, PEER, QUICK, dialects
from cli.command_line import CommandLine, finish, interrupt
from other_client import OtherClient
from stand_in import StandIn

COLORED = "\x1b[31mred\x1b[0m and \x1b]0;title\x07\x1b[2Jplain\n"


@pytest.fixture
def aitui(server: Server, tmp_path: Path) -> CommandLine:
    """Runs aitui with the stand-in as its server."""
    return CommandLine.towards(server, tmp_path / "home")


async def test_the_history_goes_to_stdout(aitui: CommandLine, stand_in: StandIn) -> None:
    stand_in.write_log("from the proxy\n")
    outcome = await aitui.run("logs")
    assert (outcome.status, outcome.err) == (0, "")
    assert "from the proxy\n" in outcome.out


@pytest.mark.parametrize("name", [QUICK, ALIAS])
async def test_a_model_is_named_by_id_or_alias(
    aitui: CommandLine, stand_in: StandIn, name: str
) -> None:
    stand_in.write_log("from the model\n", source=QUICK)
    outcome = await aitui.run("logs", name)
    assert outcome.out == "from the model\n"
    assert stand_in.running() == {}


async def test_one_of_the_two_logs_of_the_server(aitui: CommandLine, stand_in: StandIn) -> None:
    stand_in.write_log("from the proxy\n")
    stand_in.write_log("from upstream\n", source="upstream")
    assert (await aitui.run("logs", "--upstream")).out == "from upstream\n"
    assert "from upstream" not in (await aitui.run("logs", "--proxy")).out


@dialects(Dialect.V263)
async def test_requests_have_a_log_of_their_own(aitui: CommandLine, other: OtherClient) -> None:
    await other.load(QUICK)
    await aitui.run("status")
    said = (await aitui.run("logs", "--http")).out
    assert f'"GET /upstream/{QUICK}/health HTTP/1.1" 200' in said
    assert '"aitui/' not in said
    assert "/api/events/logs" in (await aitui.run("logs", "--http", "--polls")).out
    assert "Request" not in (await aitui.run("logs", "--proxy")).out


async def test_an_older_server_has_no_log_of_requests(aitui: CommandLine) -> None:
    outcome = await aitui.run("logs", "--http")
    assert outcome.out == ""
    assert "before v259 writes them to its own log" in outcome.err
    assert "aitui logs --proxy" in outcome.err


async def test_own_polls_are_left_out_unless_wanted(aitui: CommandLine, stand_in: StandIn) -> None:
    await aitui.run("status")
    assert "/v1/models" not in (await aitui.run("logs")).out
    assert "/v1/models" in (await aitui.run("logs", "--polls")).out


async def test_a_pipe_gets_plain_harmless_text(aitui: CommandLine, stand_in: StandIn) -> None:
    stand_in.write_log(COLORED, source=QUICK)
    assert (await aitui.run("logs", QUICK)).out == "red and plain\n"


@pytest.mark.parametrize(
    ("no_color", "shown"),
    [("", "\x1b[31mred\x1b[0m and plain\r\n"), ("1", "red and plain\r\n")],
)
async def test_a_terminal_gets_the_colors_unless_it_wants_none(
    aitui: CommandLine, stand_in: StandIn, no_color: str, shown: str
) -> None:
    stand_in.write_log(COLORED, source=QUICK)
    aitui.environment["NO_COLOR"] = no_color
    ours, theirs = pty.openpty()
    try:
        outcome = await finish(await aitui.start("logs", QUICK, stdout=theirs))
        assert outcome.status == 0, outcome.err
        assert os.read(ours, 4096).decode() == shown
    finally:
        os.close(theirs)
        os.close(ours)


async def test_following_goes_on_across_a_restart(aitui: CommandLine, stand_in: StandIn) -> None:
    stand_in.write_log("before\n")
    process = await aitui.start("logs", "-f")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            await process.stdout.readuntil(b"before\n")
            await stand_in.stop()
            await stand_in.start()
            stand_in.write_log("after\n")
            await process.stdout.readuntil(b"after\n")
    finally:
        interrupt(process)
        outcome = await finish(process)
    assert outcome.status == 130
    assert "lines may be missing here" in outcome.err
    assert "Traceback" not in outcome.err


async def test_a_reader_that_goes_leaves_no_traceback(
    aitui: CommandLine, stand_in: StandIn
) -> None:
    stand_in.write_log("before\n")
    reading, writing = os.pipe()
    process = await aitui.start("logs", "-f", stdout=writing)
    os.close(writing)
    async with asyncio.timeout(30):
        while b"before" not in await asyncio.to_thread(os.read, reading, 4096):
            pass
    os.close(reading)
    # No line is written any more.
    assert (await finish(process)).err == ""


async def test_an_unknown_model_is_told_with_the_nearest(aitui: CommandLine) -> None:
    outcome = await aitui.run("logs", "quick-7b-Q4_K_X")
    assert outcome.status == 5
    assert QUICK in outcome.err


async def test_the_log_of_a_peer_is_elsewhere(aitui: CommandLine) -> None:
    outcome = await aitui.run("logs", PEER)
    assert outcome.status == 6
    assert "peer" in outcome.err


async def test_a_server_that_was_never_there_is_not_waited_for(
    aitui: CommandLine, stand_in: StandIn
) -> None:
    await stand_in.stop()
    outcome = await aitui.run("logs", "-f")
    assert outcome.status == 3


async def test_a_model_and_a_log_of_the_server_are_too_much(aitui: CommandLine) -> None:
    outcome = await aitui.run("logs", QUICK, "--proxy")
    assert outcome.status == 2
    assert "logs takes either a model's ID or --proxy" in outcome.err
