"""Output that can't hold a character, or that nobody reads: what was done stays done."""

import asyncio
import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from catalogue import QUICK
from cli.command_line import CommandLine
from other_client import OtherClient
from stand_in import StandIn

CONFIG = "models:\n  tern→eagle:\n    cmd: llama-server --port ${PORT} -m x.gguf -c 8192\n"
CHANGE = ("ctx", "tern→eagle", "16384", "--yes", "--no-reload")


@pytest.fixture
def config(tmp_path: Path, aitui: CommandLine) -> Path:
    """The config file of a server on this machine."""
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    aitui.environment |= {"AI_SERVER_SSH_HOST": "local", "AI_SERVER_PRESET_PATH": str(file)}
    return file


async def in_shell(aitui: CommandLine, line: str) -> int:
    """The status of aitui in a shell line, where `$AITUI` stands for it."""
    command = f"{shlex.quote(sys.executable)} -m aitui"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", line.replace("$AITUI", command) + "; exit ${PIPESTATUS[0]}"),
        env={"PATH": os.environ["PATH"], "HOME": str(aitui.home), **aitui.environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert b"Traceback" not in errors, errors.decode()
    assert process.returncode is not None
    return process.returncode


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
async def test_a_change_that_was_made_is_printed_in_any_encoding(
    aitui: CommandLine, config: Path, encoding: str
) -> None:
    aitui.environment["PYTHONIOENCODING"] = encoding
    outcome = await aitui.run(*CHANGE)
    assert (outcome.status, config.read_text()) == (0, CONFIG.replace("8192", "16384"))
    assert "tern->eagle" in outcome.out
    journal = await aitui.run("journal")
    assert (journal.status, journal.err) == (0, "")
    assert "8192 -> 16384" in journal.out


async def test_json_is_utf_8_in_any_encoding(aitui: CommandLine, config: Path) -> None:
    aitui.environment["PYTHONIOENCODING"] = "latin-1"
    await aitui.run(*CHANGE)
    journal = await aitui.run("journal", "--json")
    assert json.loads(journal.out)["model"] == "tern→eagle"


@pytest.mark.parametrize("arguments", [("status",), ("status", "--line"), ("--help",), ("preset",)])
async def test_what_is_shown_is_shown_in_ascii(
    aitui: CommandLine, config: Path, other: OtherClient, arguments: tuple[str, ...]
) -> None:
    await other.load(QUICK)
    aitui.environment["PYTHONIOENCODING"] = "ascii"
    outcome = await aitui.run(*arguments)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.isascii()
    # An assumed context size has a `?` of its own.
    assert "?" not in outcome.out.replace("k?", "").replace("? assumed", "")


@pytest.mark.parametrize("tail", ["2>&1 | true", ">&- 2>&-", "> /dev/full"])
async def test_a_change_outlasts_who_reads_of_it(
    aitui: CommandLine, config: Path, tail: str
) -> None:
    status = await in_shell(aitui, f"$AITUI {shlex.join(CHANGE)} {tail}")
    assert (status, config.read_text()) == (0, CONFIG.replace("8192", "16384"))


@pytest.mark.parametrize("tail", ["2>&1 | true", "<&- >&- 2>&-"])
async def test_a_load_and_an_unload_outlast_who_reads_of_them(
    aitui: CommandLine, stand_in: StandIn, tail: str
) -> None:
    assert await in_shell(aitui, f"$AITUI load {shlex.quote(QUICK)} {tail}") == 0
    assert set(stand_in.running()) == {QUICK}
    assert await in_shell(aitui, f"$AITUI unload --all --yes {tail}") == 0
    assert stand_in.running() == {}


@pytest.mark.parametrize("tail", ["2>&-", "2>&1 | true"])
async def test_a_failure_keeps_its_status_where_it_cant_be_said(
    aitui: CommandLine, tail: str
) -> None:
    assert await in_shell(aitui, f"$AITUI load no-such-model {tail}") == 5


async def test_a_command_that_only_shows_ends_with_its_reader(
    aitui: CommandLine,
) -> None:
    assert await in_shell(aitui, "$AITUI status | true") == 1
