"""The program in a terminal that closes without telling it."""

import asyncio
import os
import pty
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from e2e.pseudo_terminal.terminal import PATIENCE, ROOT, terminal
from stand_in import StandIn

TALKS = """\
models:
  "talks":
    cmd: "llama-server --port ${PORT} --ctx-size 8192 --tokens-per-second 100 --chunks 100000"
"""


async def read_until(master: int, words: bytes) -> None:
    """Drain the terminal until these words came."""
    seen = b""
    async with asyncio.timeout(PATIENCE):
        while words not in seen:
            seen += await asyncio.to_thread(os.read, master, 1 << 16)


async def test_a_terminal_that_closes_without_a_signal_ends_the_program(
    environment: dict[str, str],
) -> None:
    master, slave = pty.openpty()
    # Not its controlling terminal: the kernel sends no SIGHUP when it closes.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aitui"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
        cwd=ROOT,
        start_new_session=True,
    )
    try:
        os.close(slave)
        await read_until(master, b" ms")
        os.close(master)
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 128 + 1
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_closing_the_terminal_during_a_reply_keeps_it_and_what_is_written(
    environment: dict[str, str], stand_in: StandIn
) -> None:
    await stand_in.reload(TALKS)
    async with terminal((), environment, size=(100, 30)) as shown:
        await shown.see("talks", " ms")
        shown.press("\r")
        await shown.see("Ask talks")
        shown.press("go on for ever\r")
        await shown.see("► reasoning", " tokens ·")
        shown.press("half a question")
        await shown.see("half a question")
        shown.process.send_signal(signal.SIGHUP)
        assert await shown.ends() == 128 + 1
    (file,) = Path(environment["HOME"]).rglob("conversations.sqlite3")
    with closing(sqlite3.connect(file)) as database:
        states = dict(database.execute("SELECT role, state FROM turns").fetchall())
        (came,) = database.execute("SELECT max(reasoning) FROM turns").fetchone()
        drafts = database.execute("SELECT text FROM drafts").fetchall()
    assert states == {"user": "done", "assistant": "stopped"}
    assert came
    assert drafts == [("half a question",)]
