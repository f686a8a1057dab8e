"""A command on this machine: what it writes is kept up to a limit, and it can be ended whole."""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from aitui.host.kept import BoundedOutput
from aitui.host.shell import CommandResult
from aitui.host.unbroken import shield


class OutputCollector(asyncio.SubprocessProtocol):
    """Keeps at most `largest` bytes of each output; `ended` is done when nothing more can come."""

    def __init__(self, largest: int) -> None:
        self._outputs = {1: BoundedOutput(largest), 2: BoundedOutput(largest)}
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Some output."""
        self._outputs[fd].add(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The process has ended and all its pipes are closed."""
        if not self.ended.done():
            self.ended.set_result(None)

    def result(self, status: int) -> CommandResult:
        """What came, with the status that a shell would have given it."""
        return CommandResult(
            status if status >= 0 else 128 - status,
            self._outputs[1].content,
            self._outputs[2].content,
            is_truncated=self._outputs[1].is_truncated or self._outputs[2].is_truncated,
        )


async def run_subprocess(
    words: Sequence[str], *, folder: Path, seconds: float, given: bytes, largest: int
) -> CommandResult:
    """Run a command in a session of its own. Raises TimeoutError, OSError and ValueError.

    It is ended with its process group after `seconds`, and where the call is cancelled. What left
    that group by itself (a daemon) goes on.
    """
    starting = asyncio.ensure_future(
        asyncio.get_running_loop().subprocess_exec(
            lambda: OutputCollector(largest), *words, cwd=folder, start_new_session=True
        )
    )
    try:
        # Cancelled while it starts, asyncio would end the process and none of its children.
        transport, gathering = await asyncio.shield(starting)
        _write_input(transport, given)
        async with asyncio.timeout(seconds):
            await asyncio.shield(gathering.ended)
        return gathering.result(transport.get_returncode() or 0)
    finally:
        await shield(_terminate(starting))


async def _terminate(
    starting: "asyncio.Future[tuple[asyncio.SubprocessTransport, OutputCollector]]",
) -> None:
    await asyncio.wait({starting})
    if starting.exception() is not None:
        return
    transport, gathering = starting.result()
    if not gathering.ended.done():
        _kill_group(transport.get_pid())
    transport.close()
    await gathering.ended


def _write_input(transport: asyncio.SubprocessTransport, given: bytes) -> None:
    entrance = transport.get_pipe_transport(0)
    assert isinstance(entrance, asyncio.WriteTransport)
    entrance.write(given)
    entrance.close()


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):  # it has ended by itself
        os.killpg(leader, signal.SIGKILL)
