"""A server that never rests, in a process of its own: restarts, reloads, swaps and floods.

`python -m soak.world FIRST SECOND FOLDER` tells its URL in `FOLDER/url`, is restless for the first
seconds, rests, goes on when `FOLDER/go-on` is there, and rests at last. Each rest is told by a file.
"""

import asyncio
import sys
from itertools import cycle
from pathlib import Path
from random import Random

from aitui.demo.dialect import Dialect
from catalogue import CATALOGUE, PAIR_CHAT, QUICK, STEADY
from stand_in import StandIn

LAST = STEADY
"""The model that is ready when all has come to rest, and the only one."""
SHORT_AWAY = 1.0
PAUSE = 0.5
AT_ONCE = 200
"""Log lines, and events, of one flood."""


async def swaps(stand_in: StandIn, random: Random) -> None:
    """Somebody else uses one model after the other."""
    for model in (QUICK, PAIR_CHAT, STEADY):
        async with stand_in.busy(model, user_agent=f"soak/{random.random():.3f}"):
            await asyncio.sleep(PAUSE * random.random())


async def floods(stand_in: StandIn, random: Random) -> None:
    """Logs and events, as fast as they can be written."""
    for number in range(10):
        lines = (f"[INFO] flood {number} {line} {random.random()}\n" for line in range(AT_ONCE))
        stand_in.write_log("".join(lines))
        for total in range(AT_ONCE):
            stand_in.publish("inflight", {"total": total})
        await asyncio.sleep(PAUSE / 10)


async def reloads(stand_in: StandIn, random: Random) -> None:
    """The config is read again, with a model more or less."""
    extra = f'  "extra-{random.randrange(3)}":\n    cmd: "llama-server --port ${{PORT}}"\ngroups:\n'
    await stand_in.reload(CATALOGUE.replace("groups:\n", extra))
    await asyncio.sleep(PAUSE)
    await stand_in.reload(CATALOGUE)


async def restarts(stand_in: StandIn, random: Random) -> None:
    """It is away for a moment."""
    await stand_in.stop()
    await asyncio.sleep(SHORT_AWAY * random.random())
    await stand_in.start()


async def never_rest(stand_in: StandIn, seconds: float) -> None:
    """All of it in turn, then LAST alone."""
    random = Random(1)
    end = asyncio.get_running_loop().time() + seconds
    for deed in cycle((swaps, floods, reloads, floods, restarts)):
        if asyncio.get_running_loop().time() >= end:
            break
        await deed(stand_in, random)
        await asyncio.sleep(PAUSE)
    async with stand_in.busy(LAST):
        await asyncio.sleep(PAUSE)


async def main(first: float, second: float, folder: Path) -> None:
    """Live."""
    async with StandIn(CATALOGUE, Dialect.HEAD) as stand_in:
        waiting = folder / "url.new"
        waiting.write_text(stand_in.url)
        waiting.rename(folder / "url")
        await never_rest(stand_in, first)
        (folder / "rests-1").touch()
        while not (folder / "go-on").exists():
            await asyncio.sleep(0.1)
        await never_rest(stand_in, second)
        (folder / "rests-2").touch()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])))
