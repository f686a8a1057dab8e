"""Query a host for hardware samples, facts about it, and headers of model files."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from aitui.domain.gguf import GgufHeader, GgufHeaderReader, merge_headers, part_paths
from aitui.domain.hardware.gpu.nvidia import NVIDIA_SMI_UNRESPONSIVE, is_listed
from aitui.domain.hardware.host_sample import HostSample, parse_host_sample
from aitui.domain.hardware.info import HostInfo
from aitui.domain.hardware.info_output import parse_host_info
from aitui.domain.hardware.machine import CpuCounters
from aitui.domain.hardware.script import TOOL_SECONDS, host_info_command, sample_command
from aitui.domain.sanitize import sanitize_line
from aitui.errors import HostError, HostTimedOut, ModelFileUnreadable
from aitui.host.base import Host, new_mark

SHORTEST_PAUSE = 5.0
LONGEST_PAUSE = 120.0
LARGEST_OUTPUT = 2 << 20
SILENT_PAUSE = 600.0
FAILING_PAUSE = 120.0

_SHARE = 0.02
_MOST_PORTS = 64
_TOOLS = 4


def sampling_interval(cost: float) -> float:
    """Return the seconds between samples that take `cost` seconds each: sampling gets 2 %."""
    return min(max(SHORTEST_PAUSE, cost / _SHARE), LONGEST_PAUSE)


class HostSampler:
    """Samples one host, and keeps the counters that the next sample is compared with.

    A tool that hangs or fails is named in the samples, and not asked again for a while.
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
        self._counters: CpuCounters | None = None
        self._cost = 0.0
        self._nvidia_error = ""
        self._nvidia_retry_at = 0.0

    @property
    def pause(self) -> float:
        """Seconds to wait before the next sample: longer if the last one took long."""
        return sampling_interval(self._cost)

    async def sample(self, ports: Iterable[int] = ()) -> HostSample:
        """Take one sample, with the processes behind these ports.

        Raises HostError if the script can't run at all.
        """
        wanted = tuple(ports)[:_MOST_PORTS]
        began = self._monotonic()
        resting = began < self._nvidia_retry_at
        try:
            found = await self._run_script(wanted, without_tools=resting)
        except HostTimedOut:
            if resting:
                raise
            self._suspend_nvidia(NVIDIA_SMI_UNRESPONSIVE, SILENT_PAUSE)
            resting = True
            found = await self._run_script(wanted, without_tools=True)
        finally:
            self._cost = self._monotonic() - began
        self._counters = found.counters
        if resting:
            return replace(found, errors=(*found.errors, self._nvidia_error))
        # One that complains of a card and lists the others is asked again.
        for failure in () if any(map(is_listed, found.sample.gpus)) else found.errors:
            self._suspend_nvidia(
                failure, SILENT_PAUSE if failure == NVIDIA_SMI_UNRESPONSIVE else FAILING_PAUSE
            )
        return found

    async def _run_script(self, ports: tuple[int, ...], *, without_tools: bool) -> HostSample:
        mark = f"@{new_mark()} "
        command = sample_command(
            ports, mark=mark, without_tools=without_tools, tool_seconds=self._tool_seconds
        )
        seconds = 2.0 * self._tool_seconds + 6.0
        output = await _run_marked(self._host, command, mark, seconds, "can't be sampled")
        return parse_host_sample(output, self._clock(), self._counters, mark=mark)

    def _suspend_nvidia(self, failure: str, seconds: float) -> None:
        self._nvidia_error = failure
        self._nvidia_retry_at = self._monotonic() + seconds


async def read_host_info(
    host: Host, now: float, *, without_tools: bool = False, tool_seconds: int = TOOL_SECONDS
) -> HostInfo:
    """Read what a machine is, as far as it reports it; `now` is Unix time. Raises HostError."""
    mark = f"@{new_mark()} "
    command = host_info_command(mark=mark, without_tools=without_tools, tool_seconds=tool_seconds)
    seconds = _TOOLS * (tool_seconds + 1.0)
    output = await _run_marked(host, command, mark, seconds, "does not report its hardware")
    return parse_host_info(output, now, mark=mark)


async def _run_marked(
    host: Host, command: Sequence[str], mark: str, seconds: float, failure: str
) -> bytes:
    """Run a script, and return its output with the mark; raises HostError if there is none."""
    result = await host.run(command, seconds=seconds, largest=LARGEST_OUTPUT)
    if mark.encode() in result.stdout:
        return result.stdout
    stderr = sanitize_line(result.stderr[:1000].decode("utf-8", "replace").strip(), 200)
    raise HostError(
        f"{host.label} {failure}",
        why=stderr or f"its shell ended with status {result.status} without output",
    )


async def read_model_header(host: Host, path: str) -> GgufHeader:
    """Read the header of a model's file; a split model is read from all of its files.

    `path` is any of them. Raises ModelFileUnreadable if it is no GGUF file, and HostError.
    """
    first = await _read_header(host, path)
    others = [other for other in part_paths(path, first.parts) if other != path]
    headers = [first, *[await _read_header(host, other) for other in others]]
    # The first part alone has the model's metadata; the path may be that of another one.
    headers.sort(key=lambda header: header.layers is None)
    return merge_headers(headers)


async def _read_header(host: Host, path: str) -> GgufHeader:
    facts = await host.facts(await host.resolve(path))
    try:
        reader = GgufHeaderReader(facts.size)
        while (needs := reader.needs) is not None:
            content = await host.read(path, start=needs.offset, largest=needs.length)
            await asyncio.to_thread(reader.feed, content)
    except ModelFileUnreadable as error:
        raise ModelFileUnreadable(
            f"The header of {sanitize_line(path, 300)} can't be read", why=error.why
        ) from error
    return reader.header
