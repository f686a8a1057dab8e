"""What the checks of the machine found so far, and how long they wait for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aitui.domain.checks import CheckResult, failing_check, inconclusive_check
from aitui.errors import AituiError, HostError, HostTimedOut, HostUnreachable
from aitui.host.shell import Host
from aitui.host.transaction import FileSnapshot

HOST_RESPONSE_TIMEOUT = 20.0
"""Seconds for each thing that is asked of the machine."""


@dataclass(slots=True)
class HostFindings:
    """`blocked` says why the machine can't be asked anything more, and is empty while it can.

    `reading` is its config file, None while that isn't read. `seconds` is how long each check may
    take.
    """

    host: Host
    seconds: float = HOST_RESPONSE_TIMEOUT
    blocked: str = ""
    reading: FileSnapshot | None = None

    def inconclusive_checks(self, *names: str, why: str = "") -> Iterator[CheckResult]:
        """These checks, left open for `why`, else for the reason that blocks them."""
        for name in names:
            yield inconclusive_check(name, f"not tried: {why or self.blocked}")

    async def run_check(self, name: str, look: Callable[[], Awaitable[CheckResult]]) -> CheckResult:
        """A check that asks the machine something; one that isn't reached is asked nothing more."""
        if self.blocked:
            return next(self.inconclusive_checks(name))
        try:
            async with self.time_limit():
                return await look()
        except HostError as error:
            return self.failing_check(name, error)

    def failing_check(self, name: str, error: AituiError) -> CheckResult:
        """A check that an exception tells of; where it says so, nothing more is asked."""
        if isinstance(error, HostUnreachable):
            self.blocked = error.what
        return failing_check(name, error)

    @asynccontextmanager
    async def time_limit(self) -> AsyncIterator[None]:
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
