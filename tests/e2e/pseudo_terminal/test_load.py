"""`aitui load` on a terminal: what ^c, and the end of the terminal, do to a load."""

import asyncio
import signal

import pytest

from aitui.demo.dialect import Dialect
from catalogue import CATALOGUE, QUICK, SLOW, STEADY, dialects
from e2e.pseudo_terminal.terminal import Terminal, terminal
from stand_in import StandIn

WITH_TTL = f"globalTTL: 60\n{CATALOGUE}"
WARNING = f"Still loading {SLOW}: ^c again quits, and llama-swap may "
LOOKS_EACH = 1.0
"""Seconds between two looks of llama-swap for models that nobody has used."""


async def until_begun(shown: Terminal, stand_in: StandIn, model_id: str) -> None:
    """Wait until the server loads the model."""
    await shown.until(lambda: stand_in.running().get(model_id) == "starting", "begun")


@dialects(Dialect.V217, Dialect.V218)
async def test_the_first_interrupt_explains_and_waits_on(
    environment: dict[str, str], stand_in: StandIn
) -> None:
    await stand_in.reload(WITH_TTL)
    async with terminal(("load", SLOW), environment, size=(120, 24)) as shown:
        await until_begun(shown, stand_in, SLOW)
        shown.press("\x03")
        await shown.see(WARNING, "unload it as soon as it is ready")
        assert await shown.ends() == 0
        lines = shown.text.split("\n")
        assert lines[0].startswith("Still loading")
        assert lines[1].startswith(f"{SLOW} is ready after")
    await asyncio.sleep(2 * LOOKS_EACH)
    assert stand_in.running() == {SLOW: "ready"}


async def test_the_second_interrupt_leaves(environment: dict[str, str], stand_in: StandIn) -> None:
    async with terminal(("load", SLOW), environment, size=(120, 24)) as shown:
        await until_begun(shown, stand_in, SLOW)
        shown.press("\x03")
        await shown.see(WARNING)
        shown.press("\x03")
        assert await shown.ends() == 130
        what, why, *remedy = [line for line in shown.text.split("\n")[1:] if line]
        assert what == f"aitui: Stopped waiting for {SLOW} before it was ready"
        assert why.endswith("unload it as soon as it is ready")
        assert remedy == [
            f"  aitui load {SLOW} resumes waiting",
            f"  aitui unload {SLOW} aborts the load",
        ]


@dialects(Dialect.V218)
async def test_an_interrupt_in_the_queue_says_that_it_stays_there(
    environment: dict[str, str], stand_in: StandIn
) -> None:
    async with stand_in.busy(QUICK):
        arguments = ("load", "--yes", STEADY)
        async with terminal(arguments, environment, size=(150, 24)) as shown:
            await shown.until(
                lambda: any(STEADY in request.path for request in stand_in.requests), "asked for"
            )
            shown.press("\x03")
            outcome = f"will load it later and evict ≈ {QUICK}"
            await shown.see(
                f"Still loading {STEADY}: ^c again quits, and llama-swap keeps it queued, and",
                outcome,
            )
            shown.press("\x03")
            assert await shown.ends() == 130
            why, *remedy = [line for line in shown.text.split("\n") if line][-3:]
            assert why == f"  It is still queued at the server, which {outcome}"
            assert remedy[-1] == f"  aitui unload {STEADY} removes it from the queue"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_other_signals_end_it_at_once(
    environment: dict[str, str], stand_in: StandIn, number: signal.Signals
) -> None:
    async with terminal(("load", SLOW), environment) as shown:
        await until_begun(shown, stand_in, SLOW)
        shown.process.send_signal(number)
        assert await shown.ends() == -number
    assert stand_in.running() == {SLOW: "starting"}
