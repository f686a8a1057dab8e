"""A command on this machine: what it writes is kept up to a limit, and it can be ended whole."""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from aitui.host.kept import Kept
from aitui.host.shell import Finished
from aitui.host.unbroken import unbroken


class Gathering(asyncio.SubprocessProtocol):
    """Keeps at most `largest` bytes of each output; `ended` is done when nothing more can come."""

    def __init__(self, largest: int) -> None:
        self._outputs = {1: Kept(largest), 2: Kept(largest)}
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Some output."""
        self._outputs[fd].add(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The process has ended and all its pipes are closed."""
        if not self.ended.done():
            self.ended.set_result(None)

    def finished(self, status: int) -> Finished:
        """What came, with the status that a shell would have given it."""
        return Finished(
            status if status >= 0 else 128 - status,
            self._outputs[1].kept,
            self._outputs[2].kept,
            cut=self._outputs[1].is_cut or self._outputs[2].is_cut,
        )


async def run_here(
    words: Sequence[str], *, folder: Path, seconds: float, given: bytes, largest: int
) -> Finished:
    """Run a command in a session of its own. Raises TimeoutError, OSError and ValueError.

    It is ended with its process group after `seconds`, and where the call is cancelled. What left
    that group by itself (a daemon) goes on.
    """
    starting = asyncio.ensure_future(
        asyncio.get_running_loop().subprocess_exec(
            lambda: Gathering(largest), *words, cwd=folder, start_new_session=True
        )
    )
    try:
        # Cancelled while it starts, asyncio would end the process and none of its children.
        transport, gathering = await asyncio.shield(starting)
        _give(transport, given)
        async with asyncio.timeout(seconds):
            await asyncio.shield(gathering.ended)
        return gathering.finished(transport.get_returncode() or 0)
    finally:
        await unbroken(_end(starting))


async def _end(
    starting: "asyncio.Future[tuple[asyncio.SubprocessTransport, Gathering]]",
) -> None:
    await asyncio.wait({starting})
    if starting.exception() is not None:
        return
    transport, gathering = starting.result()
    if not gathering.ended.done():
        _end_group(transport.get_pid())
    transport.close()
    await gathering.ended


def _give(transport: asyncio.SubprocessTransport, given: bytes) -> None:
    entrance = transport.get_pipe_transport(0)
    assert isinstance(entrance, asyncio.WriteTransport)
    entrance.write(given)
    entrance.close()


def _end_group(leader: int) -> None:
    with suppress(ProcessLookupError):  # it has ended by itself
        os.killpg(leader, signal.SIGKILL)
