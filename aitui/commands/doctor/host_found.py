"""What the checks of the machine found so far, and how long they wait for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aitui.domain.checks import Check, failed, left_open
from aitui.errors import AituiError, HostError, HostTimedOut, HostUnreachable
from aitui.host.shell import Host
from aitui.host.transaction import Reading

ANSWERS_WITHIN = 20.0
"""Seconds for each thing that is asked of the machine."""


@dataclass(slots=True)
class HostFound:
    """`blocked` says why the machine can't be asked anything more, and is empty while it can.

    `reading` is its config file, None while that isn't read. `seconds` is how long each check may
    take.
    """

    host: Host
    seconds: float = ANSWERS_WITHIN
    blocked: str = ""
    reading: Reading | None = None

    def not_tried(self, *names: str, why: str = "") -> Iterator[Check]:
        """These checks, left open for `why`, else for the reason that blocks them."""
        for name in names:
            yield left_open(name, f"not tried: {why or self.blocked}")

    async def check(self, name: str, look: Callable[[], Awaitable[Check]]) -> Check:
        """A check that asks the machine something; one that isn't reached is asked nothing more."""
        if self.blocked:
            return next(self.not_tried(name))
        try:
            async with self.in_time():
                return await look()
        except HostError as error:
            return self.failed(name, error)

    def failed(self, name: str, error: AituiError) -> Check:
        """A check that an exception tells of; where it says so, nothing more is asked."""
        if isinstance(error, HostUnreachable):
            self.blocked = error.what
        return failed(name, error)

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """Raises HostTimedOut where the block takes longer than a check may."""
        try:
            async with asyncio.timeout(self.seconds):
                yield
        except TimeoutError as error:
            raise HostTimedOut(
                f"{self.host.label} does not answer",
                why=f"nothing came within {self.seconds:g} seconds",
                remedy="is it switched on, and is the way there open?",
            ) from error
