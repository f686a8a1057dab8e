"""Format the outcome of a request."""

import math
from typing import TYPE_CHECKING, TypeAlias

from aitui.domain.models import FinishedRequest, LoadFailure

if TYPE_CHECKING:
    from aitui.domain.activity import ActivityRow

_EndedRequest: TypeAlias = "FinishedRequest | ActivityRow"

_FAILURE_SECONDS = 30.0
"""How far apart the end of a request and the failed load that it waited for are noticed."""
_LOAD_ERRORS = ("exited prematurely", "health check timed out", "failed to start")
_BY_STATUS = {
    499: ("client disconnected", "disconnected"),
    429: ("too many requests", "too many"),
}


def has_failed(request: _EndedRequest) -> bool:
    """Return whether a finished request got an error, or nothing at all."""
    return bool(request.error) or (request.status or 200) >= 400


def status_words(request: _EndedRequest, failure: LoadFailure | None = None) -> tuple[str, ...]:
    """Return how a request ended, in fewer and fewer words; `failure` is the last of its model."""
    status = request.status or 0
    if not has_failed(request):
        return ("ok",)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    apart = math.inf if failure is None else abs(failure.at - (request.at or 0.0))
    if failure is not None and status >= 500 and apart <= _FAILURE_SECONDS:
        verb = "model crashed" if failure.crashed else "load failed"
        short = failure.reason.partition(":")[0]
        return f"{verb}: {failure.reason}", f"{verb}: {short}", short, verb
    if any(words in request.error for words in _LOAD_ERRORS):
        return ("load failed",)
    if status == 502 and not request.error.startswith("peer"):
        return (
            (f"model crashed: {request.error}", "model crashed")
            if request.error
            else ("model crashed",)
        )
    number = f"error {status}" if status >= 400 else "error"
    return (f"{number}: {request.error}", number) if request.error else (number,)
