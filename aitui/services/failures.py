"""Find the reason of a failed load in the model's log."""

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING
from urllib.parse import unquote

from msgspec import Struct

from aitui.domain.logs import last_reload
from aitui.domain.models import IdleUnload, LoadFailure
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import Clock
from aitui.domain.upstream_runs import last_run_lines
from aitui.errors import AituiError

if TYPE_CHECKING:
    from aitui.llamaswap.client import LlamaSwapClient


MOST_LINES = 5
_LONGEST_LINE = 2000
_LONGEST_DETAIL = 120


class FailurePattern(Struct, frozen=True):
    """A line that gives a reason; named groups of the pattern fill the braces of the words."""

    words: str
    pattern: re.Pattern[str]


_DEVICE = r"(?:CUDA|ROCm|HIP|Vulkan|Metal|MTL|SYCL|OpenCL|CANN|MUSA)"

# The words of each reason, and below them the patterns of a line that gives it; their named groups
# fill the braces. The most specific first: a later one often follows from an earlier one.
# `^(?>.*?x)` is the first x of a line: to go on from each x costs the square of a line full of them.
_CAUSES = r"""
the shared library {what} is missing
    error while loading shared libraries: (?P<what>[^\s:]+)
the shared library {what} is missing
    Library not loaded: (?P<what>\S+)
a shared library is of the wrong version
    symbol lookup error
    ^(?>.*?version `).+' not found
the program {what} does not exist
    ^(?>.*?fork/exec )(?P<what>.+?): no such file or directory
the program {what} does not exist
    exec: "(?P<what>[^"]+)": (?:executable file not found|stat )
the program {what} does not exist
    ^(?>.*?\b(?:ba|da|a|z)?sh: )(?:\S++ )*?(?P<what>[^\s:]+): (?:command )?not found
the program {what} can't be run: permission denied
    ^(?>.*?fork/exec )(?P<what>.+?): permission denied
the program was built for a different architecture
    exec format error
port {what} is taken
    ^(?>.*?couldn't bind (?:HTTP server|to server) socket).*?port\s*[:=]\s*(?P<what>\d+)
its port is taken
    address already in use
    port is already allocated
out of memory: {what} MiB did not fit on device {device}
    allocating (?P<what>[\d.]+) MiB on device (?P<device>\d+): \w+ failed
out of memory: {what} MiB did not fit into the host's memory
    ^(?>.*?(?:CPU|Host)\w{0,40}_buffer)(?>.*?failed to allocate).*?(?<![\d.])(?P<what>[\d.]++) MiB
out of GPU memory
    (?:unable|failed) to allocate <DEVICE>\S* buffer
    <DEVICE> error: out of memory
    (?:cuda|hip)Malloc\w{0,40} failed
    ErrorOutOfDeviceMemory
    Device memory allocation of size \d+ failed
    ggml_(?:backend_)?metal\w{0,60}: (?:error: )?failed to allocate
    kIOGPUCommandBufferCallbackErrorOutOfMemory
out of memory on the host
    (?:unable|failed) to allocate (?:CPU|Host)\S* buffer
    ^(?>.*?(?:aligned_malloc|cpu_buffer)).*(?:insufficient memory|failed to allocate)
    std::bad_alloc
    cannot allocate memory
    ErrorOutOfHostMemory
    oom[-_]?kill
out of memory: the context did not fit
    failed to allocate (?:buffer for kv cache|compute (?:pp )?buffers)
out of memory
    out of memory
    unable to allocate \w+ buffer
llama-server does not know the argument {what}
    (?:unknown|invalid|unrecognized) (?:argument|option)s?:? ['\"]?(?P<what>[^\s'\"]+)
the value of the argument {what} is invalid
    error while handling argument \"?(?P<what>[^\s\":]+)
an argument has no value
    expected value for argument
llama-server does not know the model's architecture {what}
    unknown model architecture: '?(?P<what>[^']+)
llama-server does not know the model's tokenizer {what}
    unknown (?:pre-)?tokenizer(?: type)?: '?(?P<what>[^']+)
the file {what} does not exist
    failed to open (?:GGUF )?(?:file )?'?(?P<what>[^'():]{1,400}?)'?[:\s(]{1,9}No such file
the file {what} does not exist
    (?:file|model) '?(?P<what>[^']{1,400}?)'? does not exist
no permission to read the file {what}
    failed to open (?:GGUF )?(?:file )?'?(?P<what>[^'():]{1,400}?)'?[:\s(]{1,9}Permission denied
the model's file is damaged or incomplete
    not within the file bounds
    corrupted or incomplete
    invalid magic
    failed to read (?:magic|header|tensor|key)
    unexpectedly reached end of file
    invalid split file
this llama-server can't use the model's file
    wrong number of tensors
    missing tensor '
    key not found in model
    has wrong shape
    invalid ggml type
the model could not be downloaded
    failed to download
    error from HF API
    ^(?>.*?(?:curl|download)).*(?:could not resolve|HTTP (?:error )?4\d\d)
a file or folder of its command does not exist
    no such file or directory
its context could not be created: {what}
    failed to initialize (?:the )?context: (?P<what>.+)
its context could not be created
    failed to (?:create|initialize) (?:the )?context
the GPU driver failed: {what}
    <DEVICE> error: (?P<what>.+)
it crashed: {what} failed
    ^(?>.*?(?=GGML_ASSERT\())(?P<what>GGML_ASSERT\(.+\)) failed
it crashed
    segmentation fault
    signal: aborted
    core dumped
the program uses instructions that this CPU does not support
    illegal instruction
it was killed by the system, most often because the host ran out of memory
    signal: killed
    ^killed$
    exit (?:status|code:?) 137
it was not ready within {what}
    health check timed out after (?P<what>\S+)
the load was aborted
    ^(?>.*?starting ).+ failed: aborted
the model could not be loaded
    failed to load model
    model loading error
it exited with status {what}
    exit(?: status|ed: code=| code:?) ?(?P<what>\d+)
it ended before it was ready
    upstream command exited prematurely
"""


def _read_causes() -> Iterator[FailurePattern]:
    for entry in re.split(r"\n(?=\S)", _CAUSES.strip().replace("<DEVICE>", _DEVICE)):
        words, *patterns = (line.strip() for line in entry.split("\n"))
        yield FailurePattern(words, re.compile("|".join(patterns), re.IGNORECASE))


CAUSES = tuple(_read_causes())
_VAGUE = "the model could not be loaded"
_SPECIFIC = tuple(takewhile(lambda cause: cause.words != _VAGUE, CAUSES))
_PREFIX = re.compile(r"^\s*\d+\.\d\d\.\d{3}\.\d{3} (?P<level>[A-Z]) ")


def find_cause(log_lines: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the reason of a failed load in words, and at most five lines that show it.

    Expects the lines of one run. What it logged as an error counts for more than warnings, since it
    goes on after those. If no line gives a known reason the words are empty, and the lines are the
    last ones that aren't blank. Lines that differ in their times only are returned once.
    """
    lines = tuple(line[:_LONGEST_LINE] for line in log_lines if line.strip())
    prefixes = map(_PREFIX.match, lines)
    errors = tuple(line for line, at in zip(lines, prefixes, strict=True) if at and at[1] == "E")
    for causes, chosen in ((_SPECIFIC, errors), (CAUSES, lines)):
        for cause in causes:
            matches = [(line, match) for line in chosen if (match := cause.pattern.search(line))]
            if matches:
                found = _distinct_lines(line for line, _ in matches)
                return _format_cause(cause, matches[-1][1]), found[-MOST_LINES:]
    return "", _distinct_lines(lines)[-MOST_LINES:]


def _distinct_lines(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple({_PREFIX.sub("", line): line for line in lines}.values())


def _format_cause(cause: FailurePattern, match: re.Match[str]) -> str:
    details = {
        name: sanitize_line(text or "", _LONGEST_DETAIL).strip()
        for name, text in match.groupdict().items()
    }
    return cause.words.format(**details)


TAIL_LINES = 200
QUIET_SECONDS = 0.4
FIRST_LINE_SECONDS = 2.0
TAIL_SECONDS = 4.0
ABORTED = re.compile(r"(?:failed|exited): aborted|model unloaded|state is stopping")
_REQUESTS_CONSIDERED = 20
_UNLOADED = re.compile(
    r'Request (?P<address>\S+) "POST (?>\S*?/api/models/unload)(?:/(?P<model>[^ "?]+))?(?:\?\S*)? HTTP[^"]*" 200 -?\d+ "(?P<agent>[^"]*)"'
)
CRASHED = re.compile(
    r"upstream (?:process )?exited unexpectedly"
    r"|process exited but not StateStopping(?=, current state: ready)"
)
TIMED_OUT = re.compile(r"Unloading model, TTL of (\d+(?:\.\d+)?)s reached")
NEVER_RAN = re.compile(r"^the program ")


async def read_log_tail(client: "LlamaSwapClient", name: str) -> tuple[str, ...]:
    """Return the last lines in the history of `/logs/stream/<name>`; reading it loads nothing.

    The stream goes on after its history, so it is read until it falls silent. v217 sends no headers for
    a silent model, hence the limit on those.
    """
    lines: deque[str] = deque(maxlen=TAIL_LINES)
    rest = ""
    with contextlib.suppress(TimeoutError):
        async with (
            asyncio.timeout(FIRST_LINE_SECONDS) as limit,
            client.log(name, history=True) as chunks,
        ):
            loop = asyncio.get_running_loop()
            deadline = loop.time() + TAIL_SECONDS
            limit.reschedule(loop.time() + QUIET_SECONDS)
            async for chunk in chunks:
                *whole, rest = (rest + chunk).split("\n")
                lines.extend(whole)
                limit.reschedule(min(deadline, loop.time() + QUIET_SECONDS))
    if rest:
        lines.append(rest)
    return tuple(lines)


class FailureDiagnosis(Struct, frozen=True):
    """Why a load failed: in words, empty if unknown, and the log lines that show it.

    `idle_timeout` in seconds is set if nothing failed: llama-swap unloaded an idle model. So is
    `unloaded_by`, address and User-Agent of the client that had it unloaded.
    """

    words: str
    failure_lines: tuple[str, ...] = ()
    aborted: bool = False
    idle_timeout: float | None = None
    unloaded_by: tuple[str, str] | None = None


async def diagnose_load_failure(
    client: "LlamaSwapClient", model_id: str, response: str = ""
) -> FailureDiagnosis:
    """Find the reason of a failed load in `response`, what the server answered, and in logs.

    A program that can't even be started logs nothing itself: what its log holds is of an earlier run,
    so the proxy's log comes first. v217 forgets the log of a model that has stopped.
    """
    by_proxy = _reason_from_proxy(model_id, (), response)
    if by_proxy.aborted or NEVER_RAN.search(by_proxy.words):
        return by_proxy
    try:
        own = await read_log_tail(client, model_id)
        proxy = await read_log_tail(client, "proxy")
        run = last_run_lines(own or await read_log_tail(client, "upstream"))
    except AituiError as error:
        return FailureDiagnosis(find_cause((response,))[0], (str(error),))
    by_proxy = _reason_from_proxy(model_id, proxy, response)
    if by_proxy.aborted or NEVER_RAN.search(by_proxy.words):
        return by_proxy
    ran = FailureDiagnosis(*find_cause(run))
    if ran.words:
        return ran
    if by_proxy.words:
        return by_proxy
    return FailureDiagnosis("", ran.failure_lines or by_proxy.failure_lines)


async def diagnose_crash(client: "LlamaSwapClient", model_id: str) -> FailureDiagnosis:
    """Find out whether a model that was ready has died, by the proxy's log; empty if it hasn't.

    The reason begins with the words of that log; the lines are the last ones of the model's own.
    """
    try:
        tail = await read_log_tail(client, "proxy")
        proxy = _lines_about(model_id, tail)
        ready = [number for number, line in enumerate(proxy) if "Health check passed" in line]
        since = proxy[ready[-1] :] if ready else proxy
        crash = next(filter(None, map(CRASHED.search, since)), None)
        if crash is None:
            timed_out = next(filter(None, map(TIMED_OUT.search, since)), None)
            if timed_out is not None:
                return FailureDiagnosis("", idle_timeout=float(timed_out[1]))
            return FailureDiagnosis("", unloaded_by=await _find_unload(client, model_id, tail))
        own = [line for line in await read_log_tail(client, model_id) if line.strip()]
    except AituiError:
        return FailureDiagnosis("")
    last = last_run_lines(own)[-MOST_LINES:]
    words = crash[0].replace("upstream process", "upstream")
    cause, _ = find_cause((*last, *(line for line in since if "ExitError" in line)))
    return FailureDiagnosis(f"{words}: {cause}" if cause else words, last or tuple(since[-1:]))


async def _find_unload(
    client: "LlamaSwapClient", model_id: str, proxy: tuple[str, ...]
) -> tuple[str, str] | None:
    """Return address and User-Agent of the request that unloaded a model; None if the log has none.

    From v259 on requests have a log of their own.
    """
    ready = [at for at, line in enumerate(proxy) if f"<{model_id}> Health check passed" in line]
    lines = proxy[ready[-1] :] if ready else proxy
    if last_reload(lines) is not None:
        return None
    if not any("Request " in line for line in proxy):
        lines = (await read_log_tail(client, "http"))[-_REQUESTS_CONSIDERED:]
    for found in filter(None, map(_UNLOADED.search, reversed(lines))):
        if unquote(found["model"] or model_id) == model_id:
            return found["address"], found["agent"]
    return None


def _lines_about(model_id: str, lines: tuple[str, ...]) -> list[str]:
    names = (f"<{model_id}>", f" {model_id} ")
    about = (line for line in lines if any(name in line for name in names))
    return [line for line in about if "Request " not in line]


def _reason_from_proxy(model_id: str, lines: tuple[str, ...], response: str) -> FailureDiagnosis:
    """Return the last reason that llama-swap itself logged, apart from its records of requests."""
    about = _lines_about(model_id, lines[-80:])
    for line in (response, *reversed(about)):
        if ABORTED.search(line):
            return FailureDiagnosis(find_cause((line,))[0], (line,), aborted=True)
        words, found = find_cause((line,))
        if words:
            return FailureDiagnosis(words, found)
    return FailureDiagnosis("", tuple(about[-MOST_LINES:]))


class FailureDiagnoser:
    """Diagnoses models that vanished.

    `stays_ended` says whether one that was ready has ended for good: not loaded again since, nor
    unloaded by aitui. `failed` is awaited for those that failed, `timed_out` for those that reached their idle timeout,
    and `unloaded` with time (Unix), address and User-Agent for those that a client had unloaded.
    """

    def __init__(
        self,
        client: "LlamaSwapClient",
        clock: Clock,
        *,
        stays_ended: Callable[[str], bool],
        failed: Callable[[str, LoadFailure], Awaitable[None]],
        timed_out: Callable[[str, IdleUnload], Awaitable[None]],
        unloaded: Callable[[str, float, str, str], Awaitable[None]],
    ) -> None:
        self._client = client
        self._clock = clock
        self._stays_ended = stays_ended
        self._on_failure = failed
        self._on_timeout = timed_out
        self._on_unload = unloaded
        self._under_way: set[str] = set()
        self._lock = asyncio.Lock()

    async def diagnose(self, model_id: str, *, ready_seconds: float | None = None) -> None:
        """Diagnose a model, once at a time: a server may report any number of failures.

        `ready_seconds` says for how long it was ready, None if it never was.
        """
        was_ready = ready_seconds is not None
        if model_id in self._under_way:
            return
        self._under_way.add(model_id)
        try:
            async with self._lock:
                diagnose = diagnose_crash if was_ready else diagnose_load_failure
                reason = await diagnose(self._client, model_id)
        finally:
            self._under_way.discard(model_id)
        if was_ready and not self._stays_ended(model_id):
            return  # The logs took so long to read that they may speak of a newer run.
        now, lines = self._clock.wall(), reason.failure_lines
        if reason.idle_timeout is not None and ready_seconds is not None:
            # Half: when it became ready is known to a poll, and servers look each second or rarer.
            unused = ready_seconds < reason.idle_timeout / 2
            await self._on_timeout(model_id, IdleUnload(now, reason.idle_timeout, unused))
        elif reason.unloaded_by is not None:
            await self._on_unload(model_id, now, *reason.unloaded_by)
        elif reason.words and not reason.aborted:
            failed = LoadFailure(now, reason.words, lines, crashed=was_ready)
            await self._on_failure(model_id, failed)
