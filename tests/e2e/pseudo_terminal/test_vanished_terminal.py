"""The program in a terminal that closes without telling it."""

import asyncio
import os
import pty
import sys

from e2e.pseudo_terminal.terminal import PATIENCE, ROOT


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
