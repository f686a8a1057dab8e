"""A server that never rests, in a process of its own: replies, floods, faults, swaps, reloads, restarts.

`python -m soak.world FOLDER` writes its URL into `FOLDER/url`, comes to rest when `FOLDER/rest-1` is
there, which it answers with `FOLDER/rests-1`, goes on with `FOLDER/go-on`, and rests again at `rest-2`.
It reads its config from `FOLDER/config.yaml` again whenever that file changes.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from itertools import cycle
from pathlib import Path
from random import Random

from aitui.demo.dialect import Dialect
from aitui.demo.load_failed import UpstreamLoadFailed
from catalogue import CATALOGUE, PAIR_CHAT, QUICK, STEADY
from stand_in import (
    ConnectionClose,
    EndlessBody,
    FixedResponse,
    GarbageBody,
    Hang,
    HtmlPage,
    SlowBody,
    StandIn,
    WrongTypes,
)

LAST = STEADY
"""The model that is ready when all has come to rest, and the only one."""
TALKER = "talks-without-end"
RATE = 500
CONFIG = CATALOGUE.replace(
    "models:\n",
    f'models:\n  "{TALKER}":\n    cmd: "${{fake}} --ctx-size 262144 --load-delay 0.05'
    f' --chunks {24 * RATE} --tokens-per-second {RATE} --keep-pace"\n',
    1,
)
"""The models of the catalogue, and one with replies of 24 seconds at `RATE` tokens a second."""
SHORT_AWAY = 1.0
PAUSE = 0.5
AT_ONCE = 200
"""Log lines, and events, of one flood."""
FAULTS = (
    ConnectionClose(),
    ConnectionClose(b'{"running":['),
    EndlessBody(),
    FixedResponse(500, b"oops"),
    FixedResponse(429, b""),
    GarbageBody(),
    Hang(3.0),
    HtmlPage(),
    SlowBody(),
    WrongTypes(),
)
WATCHED = ("/running", "/v1/models", "/api/events", "/api/performance", "/api/metrics", "/logs")
"""What is polled or streamed all the time, a chat aside."""


async def has_config(stand_in: StandIn) -> None:
    """Wait until it runs: after an edit it is between two configs."""
    while stand_in.swap is None:
        await asyncio.sleep(PAUSE / 10)


async def swaps(stand_in: StandIn, random: Random) -> None:
    """Another client uses one model after the other."""
    for model in (QUICK, PAIR_CHAT, STEADY):
        await has_config(stand_in)
        async with stand_in.busy(model, user_agent=f"soak/{random.random():.3f}"):
            await asyncio.sleep(PAUSE * random.random())


async def floods(stand_in: StandIn, random: Random) -> None:
    """Logs and events, as fast as they can be written."""
    for number in range(10):
        await has_config(stand_in)
        lines = (f"[INFO] flood {number} {line} {random.random()}\n" for line in range(AT_ONCE))
        stand_in.write_log("".join(lines))
        for total in range(AT_ONCE):
            stand_in.publish("inflight", {"total": total})
        await asyncio.sleep(PAUSE / 10)


async def faults(stand_in: StandIn, random: Random) -> None:
    """Some requests are answered wrongly, or not at all."""
    for path in random.sample(WATCHED, 3):
        stand_in.fault(path, random.choice(FAULTS), times=random.randint(1, 3))
    await asyncio.sleep(4 * PAUSE)
    stand_in.clear_faults()


async def talks(stand_in: StandIn, random: Random) -> None:
    """Time for a reply, between the faults of everything else."""
    for _ in range(2):
        await faults(stand_in, random)
        await floods(stand_in, random)
    stand_in.fault("/v1/chat", random.choice(FAULTS), times=1)
    await asyncio.sleep(4)
    stand_in.clear_faults()
    await asyncio.sleep(6)


async def reloads(
    stand_in: StandIn, random: Random, read: Callable[[], str] = lambda: CONFIG
) -> None:
    """The config is read again, with a model more or less."""
    extra = f'  "extra-{random.randrange(3)}":\n    cmd: "llama-server --port ${{PORT}}"\ngroups:\n'
    await has_config(stand_in)
    await stand_in.reload(read().replace("groups:\n", extra))
    await asyncio.sleep(PAUSE)
    await has_config(stand_in)
    await stand_in.reload(read())


async def restarts(stand_in: StandIn, random: Random) -> None:
    """It is away for a moment."""
    await stand_in.stop()
    await asyncio.sleep(SHORT_AWAY * random.random())
    await stand_in.start()


async def never_rest(stand_in: StandIn, folder: Path, number: int) -> None:
    """All of it in turn until a rest is requested, then LAST alone."""
    random = Random(number)
    from_file: Callable[[StandIn, Random], Awaitable[None]] = partial(
        reloads, read=(folder / "config.yaml").read_text
    )
    for disturb in cycle((swaps, talks, talks, floods, from_file, talks, talks, restarts, talks)):
        if (folder / f"rest-{number}").exists():
            break
        # A model that another client loads is unloaded by the reload after an edit.
        with suppress(UpstreamLoadFailed):
            await disturb(stand_in, random)
        await asyncio.sleep(PAUSE)
    stand_in.clear_faults()
    async with stand_in.busy(LAST):
        await asyncio.sleep(PAUSE)
    (folder / f"rests-{number}").touch()


async def watch(stand_in: StandIn, file: Path) -> None:
    """Read the config file again each time it changes, as with `-watch-config`."""
    seen = CONFIG
    while True:
        await asyncio.sleep(PAUSE / 2)
        text = await asyncio.to_thread(file.read_text)
        if text != seen and stand_in.swap is not None:
            seen = text
            await stand_in.reload(text, watched=True)


async def main(folder: Path) -> None:
    """Live."""
    file = folder / "config.yaml"
    file.write_text(CONFIG)
    async with StandIn(CONFIG, Dialect.HEAD) as stand_in, asyncio.TaskGroup() as tasks:
        tasks.create_task(watch(stand_in, file))
        waiting = folder / "url.new"
        waiting.write_text(stand_in.url)
        waiting.rename(folder / "url")
        await never_rest(stand_in, folder, 1)
        while not (folder / "go-on").exists():
            await asyncio.sleep(0.1)
        await never_rest(stand_in, folder, 2)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
