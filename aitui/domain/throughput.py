"""Tokens per second of all clients over time, from requests that have ended and those under way."""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from aitui.domain.models import ActiveRequest, FinishedRequest


class TokenSpan(Struct, frozen=True):
    """A time (Unix) in which one request got tokens of a model, at a steady rate a second."""

    model: str
    begin: float
    end: float
    rate: float


class RateColumn(Struct, frozen=True):
    """What a plot shows of a short time: tokens per second, and the model that most of them are of."""

    rate: float | None = None
    model: str = ""


def finished_spans(
    requests: Iterable[FinishedRequest], *, prompt: bool = False
) -> Iterator[TokenSpan]:
    """Yield when each reply was generated; with `prompt` when its prompt was read, just before that."""
    for request in requests:
        if request.at is None:
            continue
        tokens, rate = request.tokens or 0, request.rate or 0.0
        begin = request.at - (tokens / rate if rate else 0.0)
        if not prompt and rate and tokens:
            yield TokenSpan(request.model, begin, request.at, rate)
        read = (request.prompt or 0) - (request.cached or 0)
        # Embeddings are read ten times as fast: their peaks would leave nothing to see of others.
        if prompt and tokens and request.prompt_rate and read > 0:
            began = begin - read / request.prompt_rate
            yield TokenSpan(request.model, began, begin, request.prompt_rate)


def active_spans(requests: Iterable[ActiveRequest], now: float, wall: float) -> Iterator[TokenSpan]:
    """Yield when each reply under way was generated until now; `now` is monotonic, `wall` Unix time."""
    for request in requests:
        if request.rate and request.replied is not None:
            yield TokenSpan(request.model, wall - (now - request.replied), wall, request.rate)


def rate_columns(
    spans: Iterable[TokenSpan],
    columns: int,
    seconds: float,
    end: float,
    *,
    known: tuple[float, float],
    highest: bool = False,
) -> list[RateColumn]:
    """Return the mean rate of each column until `end` (Unix time), or the `highest` of a request.

    Nothing is known of columns outside of the times `known`; of one that is known in part, this part
    counts.
    """
    step = seconds / max(columns, 1)
    begin = end - seconds
    rates: list[dict[str, float]] = [{} for _ in range(columns)]
    for span in spans:
        first = max(0, int((span.begin - begin) // step))
        last = min(columns - 1, int((span.end - begin) // step))
        for column in range(first, last + 1):
            start = begin + column * step
            shown = min(start + step, known[1]) - start
            covered = min(span.end, start + shown) - max(span.begin, start)
            if covered <= 0 or shown <= 0:
                continue
            by_model = rates[column]
            before = by_model.get(span.model, 0.0)
            mean = span.rate * covered / shown
            by_model[span.model] = max(before, span.rate) if highest else before + mean
    found = []
    for column, by_model in enumerate(rates):
        start = begin + column * step
        if start + step <= known[0] or start >= known[1]:
            found.append(RateColumn())
        else:
            most = max(by_model, key=by_model.__getitem__, default="")
            total = by_model[most] if highest and most else sum(by_model.values())
            found.append(RateColumn(total, most))
    return found
