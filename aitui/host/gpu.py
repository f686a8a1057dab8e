"""Samples of the machine behind the server: its graphics cards, and what each process holds."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from aitui.domain.clean import clean_line
from aitui.domain.hardware.host_sample import HostSample, host_sample
from aitui.domain.hardware.host_script import TOOL_SECONDS, words
from aitui.domain.hardware.machine_files import Counters
from aitui.domain.hardware.nvidia import DOES_NOT_ANSWER
from aitui.errors import HostError, HostTimedOut
from aitui.host.kept import new_mark
from aitui.host.shell import Host

SHORTEST_PAUSE = 5.0
LONGEST_PAUSE = 120.0
LARGEST_OUTPUT = 2 << 20
SILENT_PAUSE = 600.0
FAILING_PAUSE = 120.0

_SHARE = 0.02
_MOST_PORTS = 64


def pace(cost: float) -> float:
    """Seconds from one sample to the next, for one that took `cost` seconds: 2 % of the time."""
    return min(max(SHORTEST_PAUSE, cost / _SHARE), LONGEST_PAUSE)


class HostSampler:
    """Samples one host, and remembers what the next sample needs of the last.

    A tool that hangs or fails is named in the samples, and left alone for a while.
    """

    def __init__(
        self,
        host: Host,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        tool_seconds: int = TOOL_SECONDS,
    ) -> None:
        self._host = host
        self._clock = clock
        self._monotonic = monotonic
        self._tool_seconds = tool_seconds
        self._counters: Counters | None = None
        self._cost = 0.0
        self._trouble = ""
        self._asked_again_at = 0.0

    @property
    def pause(self) -> float:
        """Seconds to wait before the next sample: longer where the last one was dear."""
        return pace(self._cost)

    async def sample(self, ports: Iterable[int] = ()) -> HostSample:
        """One sample, with the processes behind these ports.

        Raises HostError where the machine can't be asked at all.
        """
        wanted = tuple(ports)[:_MOST_PORTS]
        began = self._monotonic()
        resting = began < self._asked_again_at
        try:
            found = await self._ask(wanted, without_nvidia=resting)
        except HostTimedOut:
            if resting:
                raise
            self._rest(DOES_NOT_ANSWER, SILENT_PAUSE)
            resting = True
            found = await self._ask(wanted, without_nvidia=True)
        finally:
            self._cost = self._monotonic() - began
        self._counters = found.counters
        if resting:
            return replace(found, troubles=(*found.troubles, self._trouble))
        for trouble in found.troubles:
            self._rest(trouble, SILENT_PAUSE if trouble == DOES_NOT_ANSWER else FAILING_PAUSE)
        return found

    async def _ask(self, ports: tuple[int, ...], *, without_nvidia: bool) -> HostSample:
        mark = f"@{new_mark()} "
        command = words(
            ports, mark=mark, without_nvidia=without_nvidia, tool_seconds=self._tool_seconds
        )
        ended = await self._host.run(
            command, seconds=2.0 * self._tool_seconds + 6.0, largest=LARGEST_OUTPUT
        )
        if mark.encode() not in ended.output:
            said = clean_line(ended.complaint[:1000].decode("utf-8", "replace").strip(), 200)
            raise HostError(
                f"{self._host.label} can't be sampled",
                why=said or f"its shell ended with status {ended.status} and said nothing",
            )
        return host_sample(ended.output, self._clock(), self._counters, mark=mark)

    def _rest(self, trouble: str, seconds: float) -> None:
        self._trouble = trouble
        self._asked_again_at = self._monotonic() + seconds
