"""No task outlives what it was for, whatever the server does and whichever views were open."""

import asyncio
from pathlib import Path
from random import Random

from aitui.demo.dialect import Dialect
from aitui.domain.snapshot import Server
from catalogue import CATALOGUE, QUICK
from soak.world import floods, reloads, restarts, swaps
from stand_in import StandIn
from ui.driven import Driven, driven

ROUNDS = 1
CONNECTION = "RequestHandler.start"
"""A connection kept for the next request, as the stand-in sees it: their number comes and goes."""


async def a_round(stand_in: StandIn, app: Driven) -> None:
    """Everything that a server does, while somebody looks at every view."""
    for deed in (swaps, floods, reloads, restarts):
        await app.press("2")
        await deed(stand_in, Random(1))
        await app.press("tab")
        await app.press("1", "D", "escape")
    await app.until(lambda: app.models.snapshot.events_flow, "live again")


async def tasks_at_rest(app: Driven) -> list[str]:
    """The names of all tasks, once there are no more that end by themselves."""

    def names() -> list[str]:
        every = (task.get_coro().__qualname__ for task in asyncio.all_tasks())  # type: ignore[union-attr]
        return sorted(name for name in every if name != CONNECTION)

    found = names()
    for _ in range(10):
        await asyncio.sleep(0.3)
        found = min(found, names(), key=len)
    return found


async def test_there_are_as_many_tasks_as_after_the_first_round(tmp_path: Path) -> None:
    async with StandIn(CATALOGUE, Dialect.HEAD) as stand_in:
        server = Server(stand_in.url, identity="soak", name="soak")
        async with driven(server, tmp_path, size=(110, 40)) as app:
            await app.see(" ms ", QUICK)
            await a_round(stand_in, app)
            first = await tasks_at_rest(app)
            for _ in range(ROUNDS):
                await a_round(stand_in, app)
            assert await tasks_at_rest(app) == first
