"""The real program in front of a server that never rests: nothing piles up, nothing breaks.

A minute of it is part of every run; `make soak` lets it go on for SOAK_SECONDS.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path
from statistics import linear_regression
from time import monotonic

import pytest

from catalogue import QUICK
from e2e.pseudo_terminal.terminal import Terminal, surroundings, terminal
from soak.world import LAST

TESTS = Path(__file__).parents[1]
SECONDS = float(os.environ.get("SOAK_SECONDS", "45"))
FIRST = min(60.0, SECONDS / 2)
"""Seconds from which on nothing may grow."""
KEYS = ("2", "w", "w", "\t", "G", "1", "j", "?", "\x1b", "k", "s", "s", "D", "\x1b", "\x12")
LONG = SECONDS >= 600
SETTLES = 65.0 if LONG else 5.0
"""Connections without use are kept for a minute; who can't wait for that allows for them."""
MAYBE_KEPT = 0 if LONG else 2
SAMPLES = 20
MOST_MEMORY = 2.0
"""How many times the memory of the beginning is still none that piles up: logs fill their rings."""
WARM = 120.0
"""Seconds until rings are full, and whatever is kept once has been seen."""
MOST_GROWTH = 2.0
"""MiB a minute from then on; some of it is a heap that has holes."""


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[str]:
    """The server in its own process; yields its URL. What it complains of is in a file."""
    with (folder / "world.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "soak.world"),
            *(str(FIRST), str(SECONDS - FIRST), str(folder)),
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stderr=log,
        )
    try:
        await appears(folder / "url")
        yield (folder / "url").read_text()
    finally:
        process.kill()
        await process.wait()


async def appears(file: Path) -> None:
    async with asyncio.timeout(60):
        while not file.exists():
            await asyncio.sleep(0.1)


def descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def resident(pid: int) -> int:
    """MiB of memory."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") >> 20


def growth(memory: list[int], seconds: float) -> float:
    """MiB a minute, by the least squares of samples that are as far from each other."""
    minutes = [number * seconds / SAMPLES / 60 for number in range(len(memory))]
    warm = [(at, size) for at, size in zip(minutes, memory, strict=True) if at * 60 + FIRST >= WARM]
    if len(warm) < 3:
        return 0.0
    slope, _ = linear_regression([at for at, _ in warm], [size for _, size in warm])
    return slope


async def use(shown: Terminal, seconds: float) -> list[int]:
    """Go through the views for so long; the memory every now and then."""
    began, memory = monotonic(), [resident(shown.pid)]
    for key in cycle(KEYS):
        passed = monotonic() - began
        if passed >= seconds:
            return memory
        if passed >= len(memory) * seconds / SAMPLES:
            memory.append(resident(shown.pid))
        assert shown.is_running, shown.text
        shown.press(key)
        await asyncio.sleep(0.4)
    return memory


async def descriptors_at_rest(shown: Terminal, told: Path) -> int:
    """Back at the models, nothing under way: those that are open all the time."""
    await appears(told)
    for _ in range(3):
        shown.press("\x1b")
        await asyncio.sleep(0.2)
    await shown.see(f"● {LAST}", " ms ")
    fewest, began = descriptors(shown.pid), monotonic()
    while monotonic() - began < SETTLES:
        await asyncio.sleep(0.2)
        fewest = min(fewest, descriptors(shown.pid))
    return fewest


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts in /proc")
async def test_nothing_piles_up(tmp_path: Path) -> None:
    async with (
        world(tmp_path) as url,
        terminal(["--url", url], surroundings(tmp_path), size=(110, 40)) as shown,
    ):
        await shown.see(" ms ", QUICK)
        memory_at_first = (await use(shown, FIRST))[-1]
        at_first = await descriptors_at_rest(shown, tmp_path / "rests-1")
        (tmp_path / "go-on").touch()
        memory = await use(shown, SECONDS - FIRST)
        at_last = await descriptors_at_rest(shown, tmp_path / "rests-2")
        print(f"{SECONDS:.0f} s: descriptors at rest {at_first} → {at_last};", end=" ")
        grown = growth(memory, SECONDS - FIRST)
        print(f"memory {memory_at_first} → {memory} MiB, {grown:+.1f} a minute;", end=" ")
        print(f"{len(shown.sent):,} bytes")
        assert at_last <= at_first + MAYBE_KEPT
        assert memory[-1] < MOST_MEMORY * memory_at_first
        assert grown < MOST_GROWTH
        listed = [line[4:].split()[0] for line in shown.screen.display if line[2] in "○●◇✘"]
        assert set(listed) >= {"missing-file", "pair-chat", QUICK, LAST}
        assert "extra" not in shown.text
        assert sum(line[2] == "●" for line in shown.screen.display) == 1
        assert b"Traceback" not in shown.sent
        assert not (tmp_path / ".local/state/aitui/crash.log").exists()
        shown.press("q")
        assert await shown.ends() == 0
