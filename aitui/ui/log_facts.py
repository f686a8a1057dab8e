"""What the line above a log says, and what it says where there is no line."""

from aitui.domain.log_filter import LogFilter
from aitui.domain.log_lines import Level
from aitui.monitor.log_feed import FeedState, Phase
from aitui.ui.packing import Item, cut_at_end
from aitui.ui.widgets.log_view import LogView
from aitui.ui.words import found_words

BOTH, PROXY, UPSTREAM = "", "proxy", "upstream"
SERVER_LOGS = (BOTH, PROXY, UPSTREAM)
LONGEST_PATTERN = 24
LEVELS = {Level.INFO: "no debug", Level.WARNING: "warnings, errors", Level.ERROR: "errors"}


def facts(view: LogView, state: FeedState, now: float) -> tuple[Item, ...]:
    """The most needed stay the longest."""
    rows = view.rows
    chosen = rows.filter
    return (
        Item(_counted(rows.hidden_own, "poll") + " hidden" if rows.hidden_own else "", 1, "quiet"),
        Item(_counted(rows.end - rows.first, "line"), 2, "quiet"),
        Item(LEVELS.get(chosen.level, ""), 8, "waiting"),
        Item(
            f"/{cut_at_end(chosen.pattern.words, LONGEST_PATTERN)}/" if chosen.pattern else "",
            8,
            "waiting",
        ),
        Item(_found(view), 9, "waiting"),
        _place(view),
        _link(state, now),
    )


def empty_text(state: FeedState, words: str, chosen: LogFilter, hidden: int) -> str:
    """Why there is nothing to see."""
    if chosen.pattern is not None or chosen.level > Level.DEBUG:
        return "No line passes the filter\nEsc takes it away"
    if state.phase is Phase.FOLLOWING:
        if hidden:
            return f"Nothing in {words} but aitui's own polls\np shows them"
        return f"Nothing in {words} yet"
    if state.error is not None:
        return f"{words} could not be read"
    return f"Waiting for {words}"


def _link(state: FeedState, now: float) -> Item:
    if state.phase is Phase.FOLLOWING:
        return Item("● live", 10, "good")
    if state.phase is Phase.WAITING:
        return Item("◌ connecting", 10, "waiting")
    left = max(0.0, (state.retry_at or now) - now)
    return Item(f"✘ lost, retry in {left:.0f} s", 10, "lost")


def _place(view: LogView) -> Item:
    if view.paused:
        return Item(f"‖ paused +{view.waiting:,}", 9, "waiting")
    return Item("" if view.following else "↑ scrolled", 7, "quiet")


def _found(view: LogView) -> str:
    if view.rows.needle is None:
        return ""
    return found_words(view.rows.place_found(view.cursor), view.rows.found)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
