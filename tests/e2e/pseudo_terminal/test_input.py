"""Whatever a terminal sends, the app lives, and only what is typed acts."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aitui.ui.terminal.paste_guard import PATIENCE
from catalogue import QUICK
from e2e.pseudo_terminal.terminal import Terminal, terminal
from e2e.pseudo_terminal.test_program import SEQUENCES, assert_given_back
from stand_in import StandIn

ACTS_WITHIN = 1.0
"""Seconds after which a key would have opened or ended something; the demo never falls silent."""
QUITS = b"text \x1b\x1bq"
UNLOADS_ALL = b"text \x1bzU" + b"." * 40 + b"\x1bzy"
OPENS = b"\x1b[2Jx\x1b[?\x1b[201\x1bz2\x1bz4\x1bz?\x1bzD\x03\x03\x1b[21~q"
BREAK_INPUT = """
import sys
from aitui.__main__ import main
from aitui.ui.terminal.driver import GuardedParser
def feed(self, data):
    raise ZeroDivisionError("inside the input")
GuardedParser.feed = feed
sys.exit(main([]))
"""


def paste(text: bytes) -> bytes:
    return b"\x1b[200~" + text + b"\x1b[201~"


@pytest.fixture
async def table(environment: dict[str, str], stand_in: StandIn) -> AsyncIterator[Terminal]:
    """The app at its table; the quick model is loaded."""
    async with stand_in.busy(QUICK):
        pass
    async with terminal((), environment, size=(120, 36)) as running:
        await running.see(" ms ", "1 Models")
        yield running


@pytest.fixture
async def prompt(nobody: dict[str, str], stand_in: StandIn) -> AsyncIterator[Terminal]:
    """The demo with a chat open."""
    async with terminal(["--demo"], nobody, size=(120, 36)) as running:
        await running.see("demo", " ms ")
        running.press("\r")
        await running.see("Start typing", "⏎ sends")
        yield running


async def assert_untouched(opened: Terminal) -> None:
    """Nothing opened and nothing ended; a key still acts."""
    await asyncio.sleep(ACTS_WITHIN)
    assert opened.is_running
    assert "─ Models" in opened.text
    assert "Unload" not in opened.text
    assert "Press ^c" not in opened.text
    opened.press("?")
    await opened.see("you are here")
    opened.press("q")
    await opened.unsee("you are here")
    opened.press("q")
    assert await opened.ends() == 0
    assert_given_back(opened)


@pytest.mark.parametrize("text", [QUITS, UNLOADS_ALL, OPENS])
async def test_what_is_pasted_at_the_table_does_nothing(
    table: Terminal, stand_in: StandIn, text: bytes
) -> None:
    table.send(paste(text))
    await assert_untouched(table)
    assert stand_in.running() == {QUICK: "ready"}


async def test_a_paste_that_comes_byte_by_byte_does_nothing(
    table: Terminal, stand_in: StandIn
) -> None:
    for byte in paste(UNLOADS_ALL):
        table.send(bytes([byte]))
        await asyncio.sleep(0.02)
    await assert_untouched(table)
    assert stand_in.running() == {QUICK: "ready"}


async def test_a_question_is_not_answered_by_a_paste(table: Terminal, stand_in: StandIn) -> None:
    table.press("U")
    await table.see("Unload the only model?")
    table.send(paste(b"\x1bzy\x1bz\ry"))
    await asyncio.sleep(ACTS_WITHIN)
    assert "Unload the only model?" in table.text
    assert stand_in.running() == {QUICK: "ready"}


async def test_the_prompt_receives_the_text_without_controls(prompt: Terminal) -> None:
    prompt.send(paste(b"red \x1b[31malert\x1b[0m\x07 \x1b\x1bq\x00 \xc3\xa4\xc2\x9b2J\tend"))
    await prompt.see("red [31malert[0m q ä2J", "end")
    prompt.send(paste(b"line one\rline two\r"))
    await prompt.see("line one", "line two")
    await asyncio.sleep(ACTS_WITHIN)
    assert "Start typing" in prompt.text


async def test_a_paste_without_an_end_gives_the_keyboard_back(prompt: Terminal) -> None:
    prompt.send(b"\x1b[200~begun \x1bq")
    await prompt.see("begun q")
    prompt.send(b"typed\x1b")
    await prompt.see("begun qtyped", "write")
    prompt.send(b"\x1b")
    await prompt.see("─ Models")


async def test_the_late_rest_of_a_paste_is_no_key(table: Terminal, stand_in: StandIn) -> None:
    table.send(b"\x1b[200~begun")
    await asyncio.sleep(PATIENCE + 1)
    table.send(UNLOADS_ALL + b"\x1b[201~")
    await assert_untouched(table)
    assert stand_in.running() == {QUICK: "ready"}


async def test_bytes_that_are_not_utf_8_are_shown_as_such(prompt: Terminal) -> None:
    for byte in b"\xe4\xf6\xfc\xe1\x9b\xff\xc3":
        prompt.send(b"<" + bytes([byte]) + b">")
        await asyncio.sleep(0.05)
    await prompt.see("<�><�>", "<�>")
    prompt.send("größer".encode())
    await prompt.see("größer")


async def test_half_a_surrogate_pair_is_not_written(prompt: Terminal) -> None:
    prompt.send(b"/he\x1b[55296ulp\x1b[97;1;57343u\r")
    await prompt.see("Type / to list these above the prompt")


ABSURD_REPORTS = (
    b"\x1b[99999999999999999999;5u",
    b"\x1b[1114112u",
    b"\x1b[97:65;5u",
    b"\x1b[" + b"2" * 300 + b";5u",
    b"\x1b[48;60000;60000;600000;600000t",
    b"\x1b[48;0;0;0;0t",
    b"\x1b[48;36;120;0;0t\x1b[<35;10;10M",
    b"\xe4",
    b"\xe1\xf1",
)


async def test_absurd_reports_are_ignored(table: Terminal, stand_in: StandIn) -> None:
    for report in ABSURD_REPORTS:
        table.send(report)
        await asyncio.sleep(ACTS_WITHIN)
        assert table.is_running, report
        assert "─ Models" in table.text, report
        assert stand_in.running() == {QUICK: "ready"}, report
    await assert_untouched(table)


async def test_a_fault_in_reading_the_input_ends_with_a_sentence(
    environment: dict[str, str],
) -> None:
    async with terminal((), environment, program=("-c", BREAK_INPUT)) as opened:
        await opened.see(" ms ", QUICK)
        opened.press("j")
        assert await opened.ends() == 1
        said = " ".join(SEQUENCES.sub(b"", opened.last_words).decode().split())
        assert said.startswith("aitui has failed: ZeroDivisionError; the details are in")
        assert b"Traceback" not in opened.sent
        assert opened.left_on == opened.left_off == set()
        assert opened.settings == opened.before
    log = Path(environment["HOME"], ".local/state/aitui/crash.log")
    assert "inside the input" in log.read_text()
