"""The real program in front of a server that never rests: nothing piles up, nothing breaks.

A minute of it is part of every run; `make soak` lets it go on for SOAK_SECONDS.
"""

import asyncio
import json
import os
import re
import sqlite3
import sys
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from statistics import linear_regression
from time import monotonic

import pytest

from aitui.aio import cancel_and_wait
from catalogue import QUICK
from e2e.pseudo_terminal.terminal import Terminal, surroundings, terminal
from soak.user import REPORTING_AITUI, User
from soak.world import CONFIG, LAST, TALKER

TESTS = Path(__file__).parents[1]
SECONDS = float(os.environ.get("SOAK_SECONDS", "45"))
FIRST = min(60.0, SECONDS / 2)
"""Seconds from which on nothing may grow."""
LONG = SECONDS >= 600
TALK = 50.0 if LONG else 8.0
"""Seconds of a chat; a reply takes 24, unless a fault cuts it."""
SETTLES = 65.0 if LONG else 5.0
"""Connections without use are kept for a minute; who can't wait for that allows for them."""
MAYBE_KEPT = 0 if LONG else 2
CONNECTIONS = 3
"""At rest: the events, and one or two for polls and samples, depending on whether these coincide."""
CREATED_LATER = 5
"""Tasks of widgets that a first use creates, as a scroll bar, or that go by themselves, as a toast."""
SAMPLES = 20
MOST_MEMORY = 2.0
"""How many times the memory of the beginning is still none that piles up: logs fill their rings."""
WARM = min(900.0, max(120.0, SECONDS / 3))
"""Seconds until rings are full, and whatever is kept once has been seen."""
MOST_GROWTH = 2.0
"""MiB a minute from then on; some of it is a heap that has holes."""


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[tuple[str, Process]]:
    """The server in its own process; yields its URL and that. What it complains of is in a file."""
    with (folder / "world.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "soak.world"),
            str(folder),
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stderr=log,
        )
    try:
        await appears(folder / "url")
        yield (folder / "url").read_text(), process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def appears(file: Path) -> None:
    async with asyncio.timeout(60):
        while not file.exists():
            await asyncio.sleep(0.1)


def descriptors(pid: int) -> list[str]:
    """What a process has open: files by path, connections by port and state, else the kind.

    A lock is named by its folder: that of the open conversation, which is another one later.
    """
    open_now = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since
            target = link.readlink()
            open_now.append(str(target.parent if target.suffix == ".lock" else target))
    states = {}
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, state, *_, inode = line.split()[:10]
        states[f"socket:[{inode}]"] = f"to port {int(remote[-4:], 16)}, state {state}"
    return sorted(states.get(name, name.partition(":[")[0]) for name in open_now)


def connections(names: list[str]) -> list[str]:
    return [name for name in names if name.startswith("to port ")]


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


async def sample(shown: Terminal, seconds: float, memory: list[int]) -> None:
    """Note the memory at equal distances."""
    while True:
        memory.append(resident(shown.pid))
        await asyncio.sleep(seconds / SAMPLES)


async def use(user: User, seconds: float) -> list[int]:
    """Use it for so long; its memory at equal distances."""
    memory: list[int] = []
    sampling = asyncio.create_task(sample(user.shown, seconds, memory))
    try:
        await user.use(seconds)
    finally:
        await cancel_and_wait(sampling)
    return memory


async def at_rest(user: User, folder: Path, number: int) -> tuple[list[str], list[str]]:
    """Back at the models, nothing under way: descriptors and tasks that are there all the time."""
    await user.go_back()
    (folder / f"rest-{number}").touch()
    await appears(folder / f"rests-{number}")
    await user.shown.see(f"● {LAST}", " ms ")
    pid, began = user.shown.pid, monotonic()
    fewest, names = descriptors(pid), (await user.state()).tasks
    while monotonic() - began < SETTLES:
        await asyncio.sleep(0.5)
        fewest = min(fewest, descriptors(pid), key=len)
        names = min(names, (await user.state()).tasks, key=len)
    return fewest, names


def edited(text: str) -> str:
    """The config file, whatever the size of the context that is edited."""
    return re.sub(r"(--ctx-size) \d+( --load-delay 0.05\"\n    name: \"Quick)", r"\1 N\2", text)


def replies(folder: Path) -> str:
    """How many replies ended in which way, their tokens, and the rate at which these came."""
    with closing(sqlite3.connect(folder / ".local/share/aitui/conversations.sqlite3")) as database:
        rows = database.execute(
            "SELECT state, text, reasoning, facts FROM turns WHERE role = 'assistant'"
        ).fetchall()
    counts = Counter(state for state, *_ in rows)
    tokens, seconds = 0, 0.0
    for _, text, reasoning, facts in rows:
        turn = json.loads(facts)
        # A token of the stand-in is a word.
        tokens += len(text.split()) + len(reasoning.split())
        seconds += turn["ended"] - turn["began"] - (turn["first_token"] or 0.0)
    return f"{dict(counts)}, {tokens:,} tokens at {tokens / max(seconds, 1.0):.0f}/s in {seconds:.0f} s"


@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts in /proc")
async def test_nothing_piles_up(tmp_path: Path) -> None:
    host = {"AI_SERVER_SSH_HOST": "local", "AI_SERVER_PRESET_PATH": str(tmp_path / "config.yaml")}
    async with (
        world(tmp_path) as (url, server),
        terminal(
            [],
            surroundings(tmp_path, AI_SERVER_URL=url, **host),
            size=(110, 40),
            program=("-W", "default::ResourceWarning", "-c", REPORTING_AITUI),
        ) as shown,
    ):
        await shown.see(" ms ", QUICK)
        user = User(shown, server, tmp_path, TALKER, QUICK, TALK)
        memory_at_first = (await use(user, FIRST))[-1]
        at_first, tasks_at_first = await at_rest(user, tmp_path, 1)
        (tmp_path / "go-on").touch()
        memory = await use(user, SECONDS - FIRST)
        at_last, tasks_at_last = await at_rest(user, tmp_path, 2)
        print(f"{SECONDS:.0f} s: descriptors at rest {len(at_first)} → {len(at_last)};", end=" ")
        print(f"tasks {len(tasks_at_first)} → {len(tasks_at_last)};", end=" ")
        grown = growth(memory, SECONDS - FIRST)
        print(f"memory {memory_at_first} → {memory} MiB, {grown:+.1f} a minute;", end=" ")
        print(f"{dict(user.done)}, not possible: {dict(user.missed)};", end=" ")
        print(f"replies: {replies(tmp_path)};", end=" ")
        print(f"{len(shown.sent):,} bytes")
        assert len(connections(at_last)) <= CONNECTIONS + MAYBE_KEPT, connections(at_last)
        others = Counter(at_last) - Counter(at_first + connections(at_last))
        assert others.total() <= MAYBE_KEPT, others
        more = Counter(tasks_at_last) - Counter(tasks_at_first)
        assert more.total() <= CREATED_LATER, more
        assert memory[-1] < MOST_MEMORY * memory_at_first
        assert grown < MOST_GROWTH
        listed = [line[4:].split()[0] for line in shown.screen.display if line[2] in "○●◇✘"]
        assert set(listed) >= {"missing-file", "pair-chat", QUICK, LAST}
        assert "extra" not in shown.text
        assert sum(line[2] == "●" for line in shown.screen.display) == 1
        assert b"Traceback" not in shown.sent
        assert not (tmp_path / ".local/state/aitui/crash.log").exists()
        assert edited((tmp_path / "config.yaml").read_text()) == edited(CONFIG)
        assert not list(tmp_path.glob(".config.yaml.aitui-*")), "a lock or a temporary file is left"
        shown.press("q")
        assert await shown.ends() == 0
