"""What a dashboard that nobody touches costs a slow line."""

import asyncio
from pathlib import Path
from time import monotonic

from catalogue import CATALOGUE, NAPS, QUICK
from e2e.pseudo_terminal.terminal import Terminal, surroundings, terminal
from stand_in import FixedResponse, StandIn

MOST = 200
"""Bytes a second."""
SETTLES = 3.0
MEASURED = 6.0


async def bytes_a_second(shown: Terminal) -> float:
    await asyncio.sleep(SETTLES)
    before, began = len(shown.sent), monotonic()
    await asyncio.sleep(MEASURED)
    return (len(shown.sent) - before) / (monotonic() - began)


async def test_with_events_next_to_nothing_is_sent(plain: StandIn, tmp_path: Path) -> None:
    async with terminal(["--url", plain.url], surroundings(tmp_path), frames=True) as shown:
        await shown.see(" ms ", QUICK)
        assert await bytes_a_second(shown) <= MOST


async def test_polling_without_events_costs_little(plain: StandIn, tmp_path: Path) -> None:
    plain.fault("/api/events", FixedResponse(404, b"not found"))
    async with terminal(["--url", plain.url], surroundings(tmp_path), frames=True) as shown:
        await shown.see(" ms ", QUICK)
        assert await bytes_a_second(shown) <= MOST


async def test_ages_and_countdowns_of_each_second_cost_little(tmp_path: Path) -> None:
    catalogue = CATALOGUE.replace("ttl: 2", "ttl: 290").replace("--load-delay 2", "--load-delay 0")
    async with (
        StandIn(catalogue) as stand_in,
        terminal(
            ["--url", stand_in.url], surroundings(tmp_path), size=(120, 36), frames=True
        ) as shown,
    ):
        await shown.see(" ms ", QUICK)
        shown.press("/")
        await shown.see("filter by id")
        shown.press("naps")
        await shown.unsee(QUICK)
        shown.press("\r")
        await shown.see("1 of 15", "? help")
        await asyncio.sleep(0.5)
        shown.press("l")
        await shown.see(f"● {NAPS}", "unloads in 4 min")
        assert await bytes_a_second(shown) <= MOST
