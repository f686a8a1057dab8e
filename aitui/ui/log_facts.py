"""What the line above a log says, and what it says where there is no line."""

from aitui.domain.log_filter import LogFilter
from aitui.domain.log_lines import LogLevel
from aitui.monitor.log_feed import FeedPhase, FeedState
from aitui.ui.packing import LineItem, truncate
from aitui.ui.widgets.log_view import LogView
from aitui.ui.words import match_position_text

BOTH, PROXY, UPSTREAM = "", "proxy", "upstream"
SERVER_LOGS = (BOTH, PROXY, UPSTREAM)
MAX_PATTERN_CELLS = 24
LEVEL_LABELS = {
    LogLevel.INFO: "no debug",
    LogLevel.WARNING: "warnings, errors",
    LogLevel.ERROR: "errors",
}


def log_status_items(view: LogView, state: FeedState, now: float) -> tuple[LineItem, ...]:
    """The most needed stay the longest."""
    rows = view.rows
    chosen = rows.filter
    return (
        LineItem(
            _count_text(rows.hidden_polls, "poll") + " hidden" if rows.hidden_polls else "",
            1,
            "quiet",
        ),
        LineItem(_count_text(rows.end - rows.first, "line"), 2, "quiet"),
        LineItem(LEVEL_LABELS.get(chosen.level, ""), 8, "waiting"),
        LineItem(
            f"/{truncate(chosen.pattern.words, MAX_PATTERN_CELLS)}/" if chosen.pattern else "",
            8,
            "waiting",
        ),
        LineItem(_match_position(view), 9, "waiting"),
        _position_item(view),
        _link_item(state, now),
    )


def empty_log_text(state: FeedState, words: str, chosen: LogFilter, hidden: int) -> str:
    """Why there is nothing to see."""
    if chosen.pattern is not None or chosen.level > LogLevel.DEBUG:
        return "No line passes the filter\nEsc takes it away"
    if state.phase is FeedPhase.FOLLOWING:
        if hidden:
            return f"Nothing in {words} but aitui's own polls\np shows them"
        return f"Nothing in {words} yet"
    if state.error is not None:
        return f"{words} could not be read"
    return f"Waiting for {words}"


def _link_item(state: FeedState, now: float) -> LineItem:
    if state.phase is FeedPhase.FOLLOWING:
        return LineItem("● live", 10, "good")
    if state.phase is FeedPhase.WAITING:
        return LineItem("◌ connecting", 10, "waiting")
    left = max(0.0, (state.retry_at or now) - now)
    return LineItem(f"✘ lost, retry in {left:.0f} s", 10, "lost")


def _position_item(view: LogView) -> LineItem:
    if view.paused:
        return LineItem(f"‖ paused +{view.pending_lines:,}", 9, "waiting")
    return LineItem("" if view.following else "↑ scrolled", 7, "quiet")


def _match_position(view: LogView) -> str:
    if view.rows.needle is None:
        return ""
    return match_position_text(view.rows.match_number(view.cursor), view.rows.match_count)


def _count_text(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
