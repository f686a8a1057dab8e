"""What the app says about errors and outcomes."""

from aitui.domain.question import Confirmation
from aitui.errors import AituiError, ConfigRefused, LoadFailed

LOG_LINES = 6
NOT_REACHED = "The server isn't reached: F5 tries at once, D says what is wrong"


def error_text(error: AituiError) -> str:
    """Where and why it happened and what mends it, a line each."""
    place = error.location if isinstance(error, ConfigRefused) else ""
    return "\n".join(part for part in (place, error.why, error.remedy) if part)


def seconds_text(seconds: float) -> str:
    """Seconds of something that just ended, as exact as they are known."""
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def match_position_text(place: int, count: int) -> str:
    """Which of the lines that were found one is on; `place` is 0 on none of them."""
    return f"{place or '–'} of {count:,}" if count else "not found"


def restore_confirmation(error: LoadFailed, victim: str) -> Confirmation:
    """Offers to bring back a model that was evicted in vain."""
    return Confirmation(
        f"{error.what}. Load {victim} again?",
        (error.why, *error.log[-LOG_LINES:], "", f"{victim} was evicted for it."),
        yes=f"Load {victim}",
        no="Leave it",
        unprompted=True,
    )
