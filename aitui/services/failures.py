"""Why a model that was loading has stopped: found in its log, one model at a time."""

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aitui.domain.models import LoadFailure
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import Clock
from aitui.errors import AituiError

if TYPE_CHECKING:
    from aitui.llamaswap.client import LlamaSwapClient


MOST_LINES = 5
_LONGEST_LINE = 2000
_LONGEST_DETAIL = 120


@dataclass(frozen=True, slots=True)
class FailurePattern:
    """A line that gives a reason; named groups of the pattern fill the braces of the words."""

    words: str
    pattern: re.Pattern[str]


def _build_cause(words: str, *patterns: str) -> FailurePattern:
    return FailurePattern(words, re.compile("|".join(patterns), re.IGNORECASE))


_DEVICE = r"(?:CUDA|ROCm|HIP|Vulkan|Metal|MTL|SYCL|OpenCL|CANN|MUSA)"

# The most specific first: a later one often follows from an earlier one.
CAUSES = (
    _build_cause(
        "the shared library {what} is missing",
        r"error while loading shared libraries: (?P<what>[^\s:]+)",
    ),
    _build_cause("the shared library {what} is missing", r"Library not loaded: (?P<what>\S+)"),
    _build_cause(
        "a shared library is of the wrong version",
        r"symbol lookup error",
        r"version `.+' not found",
    ),
    _build_cause(
        "the program {what} does not exist",
        r"fork/exec (?P<what>.+?): no such file or directory",
    ),
    _build_cause(
        "the program {what} does not exist",
        r'exec: "(?P<what>[^"]+)": (?:executable file not found|stat )',
    ),
    _build_cause(
        "the program {what} does not exist",
        r"\b(?:ba|da|a|z)?sh: (?:\S+ )*?(?P<what>[^\s:]+): (?:command )?not found",
    ),
    _build_cause(
        "the program {what} may not be run", r"fork/exec (?P<what>.+?): permission denied"
    ),
    _build_cause("the program is made for another kind of machine", r"exec format error"),
    _build_cause(
        "port {what} is taken",
        r"couldn't bind (?:HTTP server|to server) socket.*?port\s*[:=]\s*(?P<what>\d+)",
    ),
    _build_cause("its port is taken", r"address already in use", r"port is already allocated"),
    _build_cause(
        "out of memory: {what} MiB did not fit on device {device}",
        r"allocating (?P<what>[\d.]+) MiB on device (?P<device>\d+): \w+ failed",
    ),
    _build_cause(
        "out of memory: {what} MiB did not fit into the host's memory",
        r"(?:CPU|Host)\w*_buffer\w*.*failed to allocate.*?(?P<what>[\d.]+) MiB",
    ),
    _build_cause(
        "out of memory on the graphics card",
        rf"(?:unable|failed) to allocate {_DEVICE}\S* buffer",
        rf"{_DEVICE} error: out of memory",
        r"(?:cuda|hip)Malloc\w* failed",
        r"ErrorOutOfDeviceMemory",
        r"Device memory allocation of size \d+ failed",
        r"ggml_(?:backend_)?metal\w*: (?:error: )?failed to allocate",
        r"kIOGPUCommandBufferCallbackErrorOutOfMemory",
    ),
    _build_cause(
        "out of memory on the host",
        r"(?:unable|failed) to allocate (?:CPU|Host)\S* buffer",
        r"(?:aligned_malloc|cpu_buffer\w*).*(?:insufficient memory|failed to allocate)",
        r"std::bad_alloc",
        r"cannot allocate memory",
        r"ErrorOutOfHostMemory",
        r"oom[-_]?kill",
    ),
    _build_cause(
        "out of memory: the context did not fit",
        r"failed to allocate (?:buffer for kv cache|compute (?:pp )?buffers)",
        r"failed to (?:create|initialize) (?:the )?context",
    ),
    _build_cause("out of memory", r"out of memory", r"unable to allocate \w+ buffer"),
    _build_cause(
        "llama-server does not know the argument {what}",
        r"(?:unknown|invalid|unrecognized) (?:argument|option)s?:? ['\"]?(?P<what>[^\s'\"]+)",
    ),
    _build_cause(
        "the value of the argument {what} is wrong",
        r"error while handling argument \"?(?P<what>[^\s\":]+)",
    ),
    _build_cause("an argument lacks its value", r"expected value for argument"),
    _build_cause(
        "llama-server does not know the model's architecture {what}",
        r"unknown model architecture: '?(?P<what>[^']+)",
    ),
    _build_cause(
        "llama-server does not know the model's tokenizer {what}",
        r"unknown (?:pre-)?tokenizer(?: type)?: '?(?P<what>[^']+)",
    ),
    _build_cause(
        "the file {what} does not exist",
        r"failed to open (?:GGUF )?(?:file )?'?(?P<what>[^'():]+?)'?[:\s(]+No such file",
    ),
    _build_cause(
        "the file {what} does not exist", r"(?:file|model) '?(?P<what>[^']+?)'? does not exist"
    ),
    _build_cause(
        "the file {what} may not be read",
        r"failed to open (?:GGUF )?(?:file )?'?(?P<what>[^'():]+?)'?[:\s(]+Permission denied",
    ),
    _build_cause(
        "the model's file is damaged or incomplete",
        r"not within the file bounds",
        r"corrupted or incomplete",
        r"invalid magic",
        r"failed to read (?:magic|header|tensor|key)",
        r"unexpectedly reached end of file",
        r"invalid split file",
    ),
    _build_cause(
        "the model's file and this llama-server do not fit together",
        r"wrong number of tensors",
        r"missing tensor '",
        r"key not found in model",
        r"has wrong shape",
        r"invalid ggml type",
    ),
    _build_cause(
        "the model could not be downloaded",
        r"failed to download",
        r"error from HF API",
        r"(?:curl|download).*(?:could not resolve|HTTP (?:error )?4\d\d)",
    ),
    _build_cause("a file or folder of its command does not exist", r"no such file or directory"),
    _build_cause(
        "the graphics card's driver does not work: {what}", rf"{_DEVICE} error: (?P<what>.+)"
    ),
    _build_cause("it crashed: {what} failed", r"(?P<what>GGML_ASSERT\(.+\)) failed"),
    _build_cause("it crashed", r"segmentation fault", r"signal: aborted", r"core dumped"),
    _build_cause("the program uses instructions that this processor lacks", r"illegal instruction"),
    _build_cause(
        "it was killed by the system, most often because the host ran out of memory",
        r"signal: killed",
        r"^killed$",
        r"exit (?:status|code:?) 137",
    ),
    _build_cause("it was not ready within {what}", r"health check timed out after (?P<what>\S+)"),
    _build_cause("the load was aborted", r"starting .+ failed: aborted"),
    _build_cause("the model could not be loaded", r"failed to load model", r"model loading error"),
    _build_cause(
        "it ended with exit status {what}", r"exit(?: status|ed: code=| code:?) ?(?P<what>\d+)"
    ),
    _build_cause("it ended before it was ready", r"upstream command exited prematurely"),
)


def find_cause(log_lines: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the reason of a failed load in words, and at most five lines that show it.

    Expects the lines of one run. If none gives a known reason the words are empty, and the lines are
    the last ones that aren't blank.
    """
    lines = tuple(line[:_LONGEST_LINE] for line in log_lines if line.strip())
    for cause in CAUSES:
        matches = [(line, match) for line in lines if (match := cause.pattern.search(line))]
        if matches:
            found = tuple(dict.fromkeys(line for line, _ in matches))
            return _format_cause(cause, matches[-1][1]), found[-MOST_LINES:]
    return "", lines[-MOST_LINES:]


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
NEVER_RAN = re.compile(r"^the program ")
RUN_START = re.compile(r"^build: \d|^build_info|llama_server: initializing")


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


@dataclass(frozen=True, slots=True)
class FailureDiagnosis:
    """Why a load failed: in words, empty if unknown, and the log lines that show it."""

    words: str
    failure_lines: tuple[str, ...] = ()
    aborted: bool = False


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
        run = _last_run_lines(own or await read_log_tail(client, "upstream"))
    except AituiError as error:
        return FailureDiagnosis(find_cause((response,))[0], (str(error),))
    by_proxy = _reason_from_proxy(model_id, proxy, response)
    if by_proxy.aborted or NEVER_RAN.search(by_proxy.words):
        return by_proxy
    ran = FailureDiagnosis(*find_cause(run))
    if ran.words:
        return ran
    return (
        by_proxy
        if by_proxy.words
        else FailureDiagnosis("", ran.failure_lines or by_proxy.failure_lines)
    )


def _reason_from_proxy(model_id: str, lines: tuple[str, ...], response: str) -> FailureDiagnosis:
    """Return the last reason that llama-swap itself logged, apart from its records of requests."""
    names = (f"<{model_id}>", f" {model_id} ")
    about = [
        line
        for line in lines[-80:]
        if any(name in line for name in names) and "Request " not in line
    ]
    for line in (response, *reversed(about)):
        if ABORTED.search(line):
            return FailureDiagnosis(find_cause((line,))[0], (line,), aborted=True)
        words, found = find_cause((line,))
        if words:
            return FailureDiagnosis(words, found)
    return FailureDiagnosis("", tuple(about[-MOST_LINES:]))


def _last_run_lines(lines: tuple[str, ...]) -> tuple[str, ...]:
    for index in range(len(lines) - 1, -1, -1):
        if RUN_START.search(lines[index]):
            return lines[index:]
    return lines[-60:]


class FailureDiagnoser:
    """Diagnoses models that vanished; `failed` is awaited for those that the log explains.

    The others were unloaded.
    """

    def __init__(
        self,
        client: "LlamaSwapClient",
        clock: Clock,
        failed: Callable[[str, LoadFailure], Awaitable[None]],
    ) -> None:
        self._client = client
        self._clock = clock
        self._on_failure = failed
        self._under_way: set[str] = set()
        self._lock = asyncio.Lock()

    async def diagnose(self, model_id: str) -> None:
        """Diagnose a model, once at a time: a server may report any number of failures."""
        if model_id in self._under_way:
            return
        self._under_way.add(model_id)
        try:
            async with self._lock:
                reason = await diagnose_load_failure(self._client, model_id)
        finally:
            self._under_way.discard(model_id)
        if reason.words and not reason.aborted:
            failed = LoadFailure(self._clock.wall(), reason.words, reason.failure_lines)
            await self._on_failure(model_id, failed)
