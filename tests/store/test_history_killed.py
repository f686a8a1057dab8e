"""An aitui that is killed while an answer streams has kept all but the last second of it."""

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aitui.domain.chat.conversation import TurnState
from aitui.store.history import ConversationHistory

WORDS = [f"word{number} " for number in range(100_000)]
PROGRAM = """
import asyncio, itertools, sys, time
from contextlib import asynccontextmanager
from pathlib import Path
from aitui.domain.chat.conversation import Conversation
from aitui.domain.chat.reply import TextDelta
from aitui.domain.snapshot import Clock
from aitui.services.chat import ChatSession
from aitui.store.history import ConversationHistory

class Fast:
    @asynccontextmanager
    async def stream(self, request):
        yield self.answer()

    async def answer(self):
        said = 0
        for number in itertools.count():
            text = f"word{number} "
            said += len(text)
            yield (TextDelta(text),)
            print(time.monotonic(), said, flush=True)
            await asyncio.sleep(0.002)

async def main():
    history = await ConversationHistory.open(Path(sys.argv[1]))
    ids = iter(["q", "a"])
    chat = ChatSession(
        Fast(),
        Conversation("c", server="home", model="m"),
        clock=Clock(time.monotonic, time.time),
        new_id=lambda: next(ids),
        history=history,
    )
    await chat.send("go on for ever")

asyncio.run(main())
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_costs_at_most_a_second(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "history.sqlite3"
    lines: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path)], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        lines.append(running.stdout.readline())
        end = time.monotonic() + random.Random(seed).uniform(1.1, 2.2)
        while time.monotonic() < end:
            lines.append(running.stdout.readline())
        killed = time.monotonic()
        running.kill()
        lines += running.stdout.readlines()

    said = [(float(at), int(length)) for at, length in (line.split() for line in lines if line)]
    due = max((length for at, length in said if at < killed - 1), default=0)
    turn = asyncio.run(_answer(path))
    assert "".join(WORDS).startswith(turn.text)
    assert len(turn.text) >= due
    assert turn.state is TurnState.CUT


async def _answer(path: Path):  # type: ignore[no-untyped-def]  # noqa: ANN202
    history = await ConversationHistory.open(path)
    opened = await history.resume("c", lambda: "never")
    assert not opened.forked
    await history.close()
    return opened.conversation.turns["a"]
