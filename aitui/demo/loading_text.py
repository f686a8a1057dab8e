"""The text that `sendLoadingState` puts before an answer while the model loads."""

from __future__ import annotations

from collections.abc import Iterator

from aitui.demo.answers import go_json
from aitui.demo.dialect import Habits

_RULE = "━━━━━"
_PIECE = 5


def opening(habits: Habits, model_id: str) -> Iterator[bytes]:
    """What comes at once."""
    yield from _line(habits, _RULE)
    yield from _line(habits, f"llama-swap loading model: {model_id}")
    if not habits.loading_in_lines:
        yield _event("\n")


def queued(habits: Habits, position: int) -> Iterator[bytes]:
    """The place in the queue; the oldest build says nothing of it."""
    if position and not habits.loading_in_lines:
        yield from _pieces(f"Queue position: #{position} ")


def patience() -> bytes:
    """One more second has passed."""
    return _event(".")


def closing(habits: Habits, seconds: float) -> Iterator[bytes]:
    """What comes when the load has ended, well or not."""
    if habits.loading_in_lines:
        yield _event(f"\nDone! ({seconds:.2f}s)\n")
    else:
        yield from _line(habits, f"Done! ({seconds:.2f}s)")
    yield from _line(habits, _RULE)
    yield from _line(habits, " ")


def failed(habits: Habits, text: str, body: bytes) -> Iterator[bytes]:
    """The failure inside a 200: a bare line, or for the oldest build more reasoning."""
    if habits.loading_in_lines:
        yield _event(f"Unable to swap model err: {text}\n")
    else:
        yield body


def glued(body: bytes) -> Iterator[bytes]:
    """A failure so quick that the loading text comes after it, on the same line."""
    yield body + _event("\n")
    yield _event("Done!")


def _line(habits: Habits, text: str) -> Iterator[bytes]:
    if habits.loading_in_lines:
        yield _event(f"{text}\n")
    else:
        yield from _pieces(text)
        yield _event("\n")


def _pieces(text: str) -> Iterator[bytes]:
    for start in range(0, len(text), _PIECE):
        yield _event(text[start : start + _PIECE])


def _event(text: str) -> bytes:
    return f"data: {go_json({'choices': [{'delta': {'reasoning_content': text}}]})}\n\n".encode()
