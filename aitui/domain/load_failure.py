"""Why a model didn't come up, told by its log.

The wordings are those of llama-server and ggml, of llama-swap, Go's os/exec, the dynamic loader
and the shells, as recorded or as reported in their issue trackers.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aitui.domain.clean import sanitize_line

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

# The most telling first: a later one often follows from an earlier one.
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
    """The reason of a failed load in words, and at most five lines that say so.

    Expects the lines of one run. Where none gives a known reason the words are empty, and the
    lines are the last ones that aren't blank.
    """
    lines = tuple(line[:_LONGEST_LINE] for line in log_lines if line.strip())
    for cause in CAUSES:
        told = [(line, match) for line in lines if (match := cause.pattern.search(line))]
        if told:
            evidence = tuple(dict.fromkeys(line for line, _ in told))
            return _format_cause(cause, told[-1][1]), evidence[-MOST_LINES:]
    return "", lines[-MOST_LINES:]


def _format_cause(cause: FailurePattern, match: re.Match[str]) -> str:
    details = {
        name: sanitize_line(text or "", _LONGEST_DETAIL).strip()
        for name, text in match.groupdict().items()
    }
    return cause.words.format(**details)
