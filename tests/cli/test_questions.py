"""Questions on a terminal: what is shown, and what each answer does."""

import os

import pytest

from catalogue import ALIAS, QUICK, STEADY
from cli.command_line import CommandLine, interrupt, read_until, status_of
from other_client import OtherClient
from stand_in import StandIn

PROMPT = "Load? [y/N] "


async def test_the_question_shows_what_it_costs(
    aitui: CommandLine, stand_in: StandIn, other: OtherClient
) -> None:
    await other.load(QUICK)
    async with aitui.at_terminal("load", STEADY) as (_, terminal):
        shown = await read_until(terminal, PROMPT)
        assert f"Load {STEADY}?" in shown
        assert f"evicts {QUICK}: idle" in shown
        assert stand_in.running() == {QUICK: "ready"}


@pytest.mark.parametrize("answer", [b"y\n", b"YES\n"])
async def test_yes_does_it(
    aitui: CommandLine, stand_in: StandIn, other: OtherClient, answer: bytes
) -> None:
    await other.load(QUICK)
    async with aitui.at_terminal("load", STEADY) as (process, terminal):
        await read_until(terminal, PROMPT)
        os.write(terminal, answer)
        assert await status_of(process) == 0
    assert stand_in.running() == {STEADY: "ready"}


@pytest.mark.parametrize("answer", [b"\n", b"n\n", b"perhaps\n", b"\x04"])
async def test_anything_else_does_not(
    aitui: CommandLine, stand_in: StandIn, other: OtherClient, answer: bytes
) -> None:
    await other.load(QUICK)
    async with aitui.at_terminal("load", STEADY) as (process, terminal):
        await read_until(terminal, PROMPT)
        os.write(terminal, answer)
        shown = await read_until(terminal, "you answered no")
        assert await status_of(process) == 6
        assert "Traceback" not in shown
    assert stand_in.running() == {QUICK: "ready"}


async def test_a_no_to_an_alias_is_a_no(aitui: CommandLine, stand_in: StandIn) -> None:
    async with stand_in.busy(QUICK), aitui.at_terminal("unload", ALIAS) as (process, terminal):
        await read_until(terminal, "Unload? [y/N] ")
        os.write(terminal, b"n\n")
        await read_until(terminal, "you answered no")
        assert await status_of(process) == 6


async def test_an_interrupt_ends_the_question_at_once(
    aitui: CommandLine, stand_in: StandIn, other: OtherClient
) -> None:
    await other.load(QUICK)
    async with aitui.at_terminal("load", STEADY) as (process, terminal):
        await read_until(terminal, PROMPT)
        interrupt(process)
        assert await status_of(process) == 130
    assert stand_in.running() == {QUICK: "ready"}
