"""The bodies of recorded chat streams, and what a chunking of them says."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from aitui.domain.chat.reply import (
    Delta,
    GenerationFinished,
    GenerationTimings,
    LoadProgress,
    LoadQueued,
    PromptProgress,
    ReasoningDelta,
    StreamError,
    TextDelta,
    TokenUsage,
    ToolCalled,
)
from aitui.errors import AituiError
from aitui.llamaswap.chat_stream import ChatStreamParser

_FOLDER = Path(__file__).parents[2] / "recordings"
_STAMP = re.compile(r"(?m)^\[ *[0-9.]+\] ?")
_CHUNK_SIZE = re.compile(r"(?m)^[0-9a-f]+\n")
_CURL = re.compile(r"\n?\[curl[ :][^\n]*\]\n?\Z|\n?curl: \(\d+\)[^\n]*\n?", re.MULTILINE)
_LLAMA_SWAP = ("chat_*stream*", "chat_dies*", "chat_client*", "loading_*", "reload_*", "sigterm_*")


def stream_names() -> list[str]:
    """The recordings whose answer is an event stream."""
    files = sorted(_FOLDER.glob("llama-server/*.txt"))
    for pattern in _LLAMA_SWAP:
        files += sorted(_FOLDER.glob(f"llama-swap/*/{pattern}.txt"))
    names = dict.fromkeys(str(file.relative_to(_FOLDER)) for file in files)
    return [name for name in names if "text/event-stream" in _text(name)[:4000]]


def body(name: str) -> bytes:
    """The body of a recorded stream, without its framing."""
    text = _text(name)
    if _STAMP.search(text[:40_000]) and "connection end" in text:
        text = _CHUNK_SIZE.sub("", _STAMP.sub("", text).partition("connection end")[0])
        return text.partition("\n\n")[2].encode()
    return _CURL.sub("", text.partition("\n\n")[2]).encode()


@dataclass
class Said:
    """Everything that a stream said, put together."""

    text: str = ""
    reasoning: str = ""
    pieces: int = 0
    loading: list[LoadQueued | LoadProgress] = field(default_factory=list)
    progress: PromptProgress | None = None
    timings: GenerationTimings | None = None
    usage: TokenUsage | None = None
    finish: str = ""
    tools: list[str] = field(default_factory=list)
    done: bool = False
    error: StreamError | AituiError | str | None = None

    def add(self, deltas: Iterable[Delta]) -> None:
        for delta in deltas:
            match delta:
                case TextDelta():
                    self.text += delta.text
                    self.pieces += delta.pieces
                case ReasoningDelta():
                    self.reasoning += delta.text
                    self.pieces += delta.pieces
                case LoadQueued() | LoadProgress():
                    self.loading.append(delta)
                case PromptProgress():
                    self.progress = delta
                case GenerationTimings():
                    self.timings = delta
                case TokenUsage():
                    self.usage = delta
                case GenerationFinished():
                    self.finish = delta.reason
                case ToolCalled():
                    self.tools.append(delta.name)
                case _:
                    raise AssertionError(f"unexpected {delta}")


def said(data: bytes, cuts: Sequence[int] = ()) -> Said:
    """What the bytes say when they come in pieces that end at these places."""
    stream, result = ChatStreamParser(), Said()
    edges = [0, *sorted(cuts), len(data)]
    for start, end in pairwise(edges):
        result.add(stream.feed(data[start:end]))
    result.add(stream.finish())
    result.done = stream.done
    result.error = str(stream.error) if isinstance(stream.error, AituiError) else stream.error
    return result


def _text(name: str) -> str:
    return (_FOLDER / name).read_bytes().replace(b"\r\n", b"\n").decode()
