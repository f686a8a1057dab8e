"""The fake llama-server's replies: words at a steady rate, in llama-server's chunks."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from itertools import cycle, islice, repeat
from typing import Any

from msgspec import Struct

from aitui.demo.activity import TokenCounts
from aitui.demo.fake_flags import FakeFlags
from aitui.demo.replies import choose_reply, split_tokens

_FINGERPRINT = "b6789-abcdef12"
_THINKING_SHARE = 4
_SHORTEST_CACHED = 2
_THOUGHT = "The user wants an answer from a stand-in, so a short and friendly one will do. "
_REPLY_TEXT = """This answer comes from a **stand-in**: no weights were loaded, and no GPU was warmed.

- The server, its models and its log are made up.
- The sockets, the certificates and the waiting are real.

```python
def loaded(model: str) -> bool:
    return model in running()
```

Load another model and watch this one go. """


_IMAGE_DATA = re.compile(r"data:image/[^\"]*")


def has_image(body: dict[str, Any]) -> bool:
    """Return whether any message of a chat request holds an image."""
    messages = body.get("messages")
    contents = [m.get("content") for m in messages or () if isinstance(m, dict)]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return any(isinstance(part, dict) and part.get("type") == "image_url" for part in parts)


class GenerationRequest(Struct, frozen=True):
    """The fields of a chat request that matter here."""

    model: str
    stream: bool
    include_usage: bool
    prompt_tokens: int
    cached_tokens: int
    prompt: str
    max_tokens: int | None

    @classmethod
    def read(cls, body: dict[str, Any], model: str) -> GenerationRequest:
        """Read the body of `POST /v1/chat/completions`."""
        options = body.get("stream_options")
        limit = body.get("max_tokens", body.get("max_completion_tokens"))
        messages = body.get("messages", [])
        messages = messages if isinstance(messages, list) else []
        text = _IMAGE_DATA.sub("", json.dumps(messages))
        return cls(
            model=model,
            stream=bool(body.get("stream", False)),
            include_usage=isinstance(options, dict) and bool(options.get("include_usage")),
            prompt_tokens=max(1, len(text) // 4),
            cached_tokens=max(_SHORTEST_CACHED, len(json.dumps(messages[:-1])) // 4),
            prompt=_text_of(messages[-1:]),
            max_tokens=limit if isinstance(limit, int) and limit > 0 else None,
        )


class Generation:
    """One reply as it is generated."""

    def __init__(self, request: GenerationRequest, flags: FakeFlags, number: int) -> None:
        self._request = request
        self._flags = flags
        self._id = f"chatcmpl-fake{number:06d}"
        self._created = int(time.time())
        self.pieces, whole = _pieces(request, flags, number)
        self._finish = "stop" if whole else "length"

    @property
    def seconds_per_piece(self) -> float:
        """Seconds for one token."""
        return 1 / self._flags.tokens_per_second

    def pause(self, done: int, seconds: float) -> float:
        """Return the seconds until the next token, `seconds` after the first one was begun.

        A model that is known, or has `--keep-pace`, makes up for what sending took.
        """
        each = self.seconds_per_piece
        return max(0.0, (done + 1) * each - seconds) if self._flags.keeps_pace else each

    @property
    def seconds_until_first(self) -> float:
        """Seconds for the prompt, if the model is one that is known."""
        return 0.0 if self._flags.chunks is not None else 0.2 + self._read / self._prompt_rate

    @property
    def _read(self) -> int:
        """The tokens of the prompt that weren't cached."""
        cached = self._request.cached_tokens
        return self._request.prompt_tokens - (cached if cached > _SHORTEST_CACHED else 0)

    @property
    def _prompt_rate(self) -> float:
        return self._flags.prompt_tokens_per_second

    def first_chunk(self) -> bytes:
        """Return the first chunk, with the role only."""
        return self._event(self._chunk({"role": "assistant", "content": None}))

    def token_chunk(self, kind: str, word: str) -> bytes:
        """Return a chunk of one token."""
        return self._event(self._chunk({kind: word}))

    def last_chunks(self, seconds: float) -> bytes:
        """Return the last chunks: finish reason, usage if requested, timings, `[DONE]`."""
        last = self._chunk({}, finish=self._finish)
        timings = self.timings(seconds)
        if not self._request.include_usage:
            return self._event({**last, "timings": timings}) + b"data: [DONE]\n\n"
        usage = {**self._chunk({}), "choices": [], "usage": self._usage(), "timings": timings}
        return self._event(last) + self._event(usage) + b"data: [DONE]\n\n"

    def full_response(self, seconds: float) -> dict[str, Any]:
        """Return the response to a request that doesn't stream."""
        message = {"role": "assistant", "reasoning_content": "", "content": ""}
        for kind, word in self.pieces:
            message[kind] += word
        return {
            "choices": [{"finish_reason": self._finish, "index": 0, "message": message}],
            "created": self._created,
            "model": self._request.model,
            "system_fingerprint": _FINGERPRINT,
            "object": "chat.completion",
            "usage": self._usage(),
            "id": self._id,
            "timings": self.timings(seconds),
        }

    def timings(self, seconds: float) -> dict[str, float]:
        """Return llama-server's `timings`."""
        written, read = len(self.pieces), self._read
        read_ms = max(read * 1000 / self._prompt_rate, 1.0)
        written_ms = max(seconds * 1000, 1.0)
        return {
            "cache_n": self._request.cached_tokens,
            "prompt_n": read,
            "prompt_ms": read_ms,
            "prompt_per_token_ms": read_ms / read,
            "prompt_per_second": read / read_ms * 1000,
            "predicted_n": written,
            "predicted_ms": written_ms,
            "predicted_per_token_ms": written_ms / max(written, 1),
            "predicted_per_second": written / written_ms * 1000,
        }

    def tokens(self, seconds: float) -> TokenCounts:
        """Return the reply's tokens for the activity."""
        timings = self.timings(seconds)
        return TokenCounts(
            cached=self._request.cached_tokens,
            read=self._read,
            written=len(self.pieces),
            read_per_second=timings["prompt_per_second"],
            written_per_second=timings["predicted_per_second"],
        )

    def _usage(self) -> dict[str, Any]:
        written, read = len(self.pieces), self._request.prompt_tokens
        return {
            "completion_tokens": written,
            "prompt_tokens": read,
            "total_tokens": written + read,
            "prompt_tokens_details": {"cached_tokens": self._request.cached_tokens},
        }

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {
            "choices": [{"finish_reason": finish, "index": 0, "delta": delta}],
            "created": self._created,
            "id": self._id,
            "model": self._request.model,
            "system_fingerprint": _FINGERPRINT,
            "object": "chat.completion.chunk",
        }

    @staticmethod
    def _event(value: dict[str, Any]) -> bytes:
        return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def _pieces(
    request: GenerationRequest, flags: FakeFlags, number: int
) -> tuple[list[tuple[str, str]], bool]:
    """Return the tokens of a reply, each with the key of its chunk, and whether they are all."""
    limit = request.max_tokens
    if flags.chunks is None:
        reply = choose_reply(request.prompt, number)
        thoughts = split_tokens(reply.reasoning if flags.reasons else "")
        words = split_tokens(reply.text)
    else:
        total = flags.chunks if limit is None else min(flags.chunks, limit)
        thoughts = list(_words(_THOUGHT, total // _THINKING_SHARE))
        words = list(_words(_REPLY_TEXT, total - len(thoughts)))
    length = flags.chunks or len(thoughts) + len(words)
    pieces = [*zip(repeat("reasoning_content"), thoughts), *zip(repeat("content"), words)]
    return pieces[:limit], limit is None or limit >= length


def _text_of(messages: list[Any]) -> str:
    """Return the text of the last message, whatever else is attached to it."""
    content = messages[0].get("content") if messages and isinstance(messages[0], dict) else ""
    if isinstance(content, list):
        content = " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


def _words(text: str, count: int) -> Iterator[str]:
    return islice(cycle(re.findall(r"\S+\s*", text)), count)
