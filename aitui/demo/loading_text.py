"""The text that `sendLoadingState` puts before a reply while the model loads."""

from __future__ import annotations

from collections.abc import Iterator

from aitui.demo.answers import go_json
from aitui.demo.dialect import BuildTraits

_RULE = "━━━━━"
_CHUNK_LENGTH = 5


def loading_start(traits: BuildTraits, model_id: str) -> Iterator[bytes]:
    """Yield the text at the start of a load."""
    yield from _line(traits, _RULE)
    yield from _line(traits, f"llama-swap loading model: {model_id}")
    if not traits.loading_in_lines:
        yield _event("\n")


def queue_position(traits: BuildTraits, position: int) -> Iterator[bytes]:
    """Yield the position in the queue, which the oldest build doesn't report."""
    if position and not traits.loading_in_lines:
        yield from _split_line(f"Queue position: #{position} ")


def progress_dot() -> bytes:
    """Return the dot of one more second."""
    return _event(".")


def loading_end(traits: BuildTraits, seconds: float) -> Iterator[bytes]:
    """Yield the text at the end of a load, successful or not."""
    if traits.loading_in_lines:
        yield _event(f"\nDone! ({seconds:.2f}s)\n")
    else:
        yield from _line(traits, f"Done! ({seconds:.2f}s)")
    yield from _line(traits, _RULE)
    yield from _line(traits, " ")


def load_failure(traits: BuildTraits, text: str, body: bytes) -> Iterator[bytes]:
    """The failure inside a 200: a bare line, more reasoning (v217), or an event (from v251)."""
    if traits.loading_in_lines:
        yield _event(f"Unable to swap model err: {text}\n")
    elif traits.frames_failure:
        yield b"data: " + body + b"\n\ndata: [DONE]\n\n"
    else:
        yield body


def early_failure(body: bytes) -> Iterator[bytes]:
    """A failure so quick that the loading text comes after it, on the same line."""
    yield body + _event("\n")
    yield _event("Done!")


def _line(traits: BuildTraits, text: str) -> Iterator[bytes]:
    if traits.loading_in_lines:
        yield _event(f"{text}\n")
    else:
        yield from _split_line(text)
        yield _event("\n")


def _split_line(text: str) -> Iterator[bytes]:
    for start in range(0, len(text), _CHUNK_LENGTH):
        yield _event(text[start : start + _CHUNK_LENGTH])


def _event(text: str) -> bytes:
    return f"data: {go_json({'choices': [{'delta': {'reasoning_content': text}}]})}\n\n".encode()
