"""The figures of a reply that has ended, for the line below it."""

from aitui.domain.chat.conversation import Turn
from aitui.domain.units import count_of, format_elapsed, format_rate


def reply_figures(turn: Turn) -> tuple[str, ...]:
    """Format tokens, rate, times, and what was cached or drafted, as far as known."""
    parts = []
    if turn.usage is not None:
        parts.append(count_of(turn.usage.completion_tokens, "token"))
    if rate := _rate(turn):
        parts.append(f"{format_rate(rate)} tok/s")
    if turn.ended is not None and turn.began:
        parts.append(format_elapsed(max(0.0, turn.ended - turn.began)))
    if turn.first_token is not None:
        parts.append(f"first token {turn.first_token:.2f} s")
    if (timings := turn.timings) is not None:
        if timings.prompt_rate:
            parts.append(f"prompt {format_rate(timings.prompt_rate)} tok/s")
        if timings.cached:
            share = timings.cached * 100 // (timings.cached + timings.prompt_tokens)
            parts.append(f"{share} % of the prompt cached")
        if timings.drafted:
            parts.append(f"{timings.accepted or 0:,} of {timings.drafted:,} drafted accepted")
    return tuple(parts)


def _rate(turn: Turn) -> float:
    """The tokens per second that the server reports, else those between the first and the last."""
    if turn.timings is not None and turn.timings.rate:
        return turn.timings.rate
    if turn.usage is None or turn.ended is None or turn.first_token is None or not turn.began:
        return 0.0
    seconds = turn.ended - turn.began - turn.first_token
    return turn.usage.completion_tokens / seconds if seconds > 0 else 0.0
