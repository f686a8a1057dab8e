"""Other people's programs, which now and then chat with a model that is loaded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

from aitui.demo.load_failed import UpstreamLoadFailed
from aitui.demo.stand_in import StandIn


@dataclass(frozen=True, slots=True)
class DemoClient:
    """A program on another machine."""

    user_agent: str
    remote_ip: str


VISITORS = (
    DemoClient("OpenWebUI/0.6", "192.168.2.20"),
    DemoClient("Zed/0.210", "192.168.2.31"),
)


async def run_visitors(
    server: StandIn, random: Random, *, pauses: tuple[float, float], left_alone: frozenset[str]
) -> None:
    """Chat now and then, until cancelled. `pauses` are the shortest and the longest, in seconds."""
    while True:
        await asyncio.sleep(random.uniform(*pauses))
        loaded = [
            id_
            for id_, state in server.running().items()
            if state == "ready" and id_ not in left_alone
        ]
        if not loaded:
            continue
        visitor = random.choice(VISITORS)
        try:
            async with server.busy(
                random.choice(loaded), remote_ip=visitor.remote_ip, user_agent=visitor.user_agent
            ):
                await asyncio.sleep(random.uniform(2, 6))
        except UpstreamLoadFailed:
            continue  # unloaded between the look and the visit
