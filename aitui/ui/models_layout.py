"""The layout of view 1: which panes and columns fit, and where; pure, so that sizes are cheap to test."""

from collections.abc import Mapping, Sequence
from enum import Enum

from msgspec import Struct
from textual.geometry import Region, Size

MIN_SCREEN = Size(40, 10)
"""The smallest terminal in which everything works."""
MAX_TABLE = 80
"""Cells of the left column that other panes have to leave it."""
MIN_SIDE, MAX_SIDE = 40, 62
"""Cells of the right column; from MAX_SIDE on the table grows instead."""
CHAT_SIDE_FROM = 110
"""Columns from which a chat leaves the table in sight, and a zoomed one has a rail."""
MIN_RAIL = 36
LOG_FROM = 45
"""Rows from which a log is shown below the activity."""
_CHAT_TABLE, _CHAT_WIDTH = 54, 84
_ACTIVITY_ROWS, _DETAIL_ROWS = 16, 17
_SHORTEST_PANE = 6
_USUAL_MODELS = 14
_ID_CELLS = {"about": 60, "users": 60, "rate": 60}
_USUAL_ID, _SHORT_ID = 44, 40
"""Cells of an id for which other columns leave; a longer one loses words first, down to the second."""


class Frame(Enum):
    """The framing of the panes: one frame each, one shared frame with rules, or none."""

    EACH = "-frames"
    SHARED = "-one-frame"
    NONE = "-bare"


class PaneNeeds(Struct, frozen=True):
    """What the panes have to show; widths are those of the Models pane, with its frame.

    `table` is the width with the columns up to TTL, `full` that with all of them, `short` that with
    the id and a short state. `models` is 0 while they aren't known, `panes` are the ids of those that
    can be shown.
    """

    table: int = 77
    full: int = 138
    short: int = 54
    models: int = 0
    cards: int = 0
    panes: frozenset[str] = frozenset({"models", "detail", "activity"})
    chat: bool = False
    zoomed: str = ""


class PaneRegions(Struct, frozen=True):
    """The region of each pane that is shown by its id, within the body."""

    frame: Frame
    panes: Mapping[str, Region]


def pane_regions(body: Size, screen: Size, needs: PaneNeeds) -> PaneRegions:
    """Place the panes; what has no room is left out, in the order of its importance."""
    whole = Region(0, 0, body.width, body.height)
    if needs.zoomed == "chat" and screen.width >= CHAT_SIDE_FROM:
        rail = max(MIN_RAIL, min(MAX_SIDE, body.width - _CHAT_WIDTH))
        chat = Region(0, 0, body.width - rail, body.height)
        return PaneRegions(
            Frame.EACH, {"chat": chat, "rail": Region(chat.width, 0, rail, body.height)}
        )
    if needs.zoomed:
        return PaneRegions(Frame.EACH, {needs.zoomed: whole})
    if needs.chat:
        if screen.width < CHAT_SIDE_FROM:
            return PaneRegions(Frame.NONE, {"chat": whole})
        left = max(body.width - _CHAT_WIDTH, min(needs.short, _CHAT_TABLE))
        left = min(left, max(needs.short, needs.table), body.width // 2)
        heights = _left_heights(body.height, screen.height, needs, log=False)
        memory = memory_rows(needs.cards, body.height)
        if memory and heights.get("activity", 0) - memory >= _SHORTEST_PANE:
            heights["activity"] -= memory
            heights["memory"] = memory
        chat = Region(left, 0, body.width - left, body.height)
        return PaneRegions(Frame.EACH, _stack(0, left, heights) | {"chat": chat})
    left = min(needs.table, MAX_TABLE)
    if body.width - left < MIN_SIDE:
        return _one_column(body, screen, needs)
    left = max(left, min(body.width - MAX_SIDE, max(needs.full, body.width // 2)))
    panes = _stack(0, left, _left_heights(body.height, screen.height, needs))
    side = _right_heights(body.height, panes["models"].height, needs)
    return PaneRegions(Frame.EACH, panes | _stack(left, body.width - left, side))


def memory_rows(cards: int, room: int) -> int:
    """Return the rows of the GPU memory pane: a label and a bar a card, with a blank row if it has room."""
    if not cards:
        return 0
    generous = 2 + 3 * cards - 1
    return next(
        rows
        for rows in (generous, 2 + 2 * cards, 2 + cards)
        if rows <= room // 3 or rows == 2 + cards
    )


def _left_heights(height: int, rows: int, needs: PaneNeeds, *, log: bool = True) -> dict[str, int]:
    models = min((needs.models or _USUAL_MODELS) + 3, rows * 6 // 10)
    rest = height - models
    if rest < _SHORTEST_PANE - 1:
        return {"models": height}
    if (
        "log" in needs.panes
        and log
        and rows >= LOG_FROM
        and rest >= _ACTIVITY_ROWS + _SHORTEST_PANE
    ):
        activity = max(_ACTIVITY_ROWS, rest // 2)
        return {"models": models, "activity": activity, "log": rest - activity}
    return {"models": models, "activity": rest}


def _right_heights(height: int, models: int, needs: PaneNeeds) -> dict[str, int]:
    # The frames of both columns end on the same rows where the table is about as long as the detail.
    detail = models if abs(models - _DETAIL_ROWS) <= 2 else _DETAIL_ROWS
    memory = memory_rows(needs.cards, height)
    if height - memory < 10:
        return {"detail": height}
    heights = {"detail": detail, "memory": memory} if memory else {"detail": detail}
    rest = height - detail - memory
    if rest < _SHORTEST_PANE or "throughput" not in needs.panes:
        heights["detail"] = height - memory
    elif rest < 3 * _SHORTEST_PANE or "prompts" not in needs.panes:
        heights["throughput"] = rest
    else:
        heights |= {"throughput": rest - rest // 2, "prompts": rest // 2}
    return heights


def _stack(x: int, width: int, heights: Mapping[str, int]) -> dict[str, Region]:
    regions, y = {}, 0
    for pane, height in heights.items():
        regions[pane] = Region(x, y, width, height)
        y += height
    return regions


def _one_column(body: Size, screen: Size, needs: PaneNeeds) -> PaneRegions:
    width, height = body
    if screen.width < 50 or screen.height < 13:
        return PaneRegions(Frame.NONE, {"models": Region(0, 0, width, height)})
    heights = {"models": height - 1, "bottom": 1}
    if screen.width >= 60 and screen.height >= 16:
        detail = 1 if screen.height < 30 else 5
        rest = height - detail - 3
        # One row is that of the titles.
        models = min(needs.models or _USUAL_MODELS, screen.height * 6 // 10, rest - 2) + 1
        heights = {"models": models, "detail-rule": 1, "detail": detail, "activity-rule": 1}
        heights |= {"activity": rest - models, "bottom": 1}
    return PaneRegions(Frame.SHARED, _stack(0, width, heights))


class ColumnNeed(Struct, frozen=True):
    """Cells that a column takes: `width` for its content, `least` where it can be shorter."""

    key: str
    width: int
    least: int = 0


FIRST_TO_LEAVE = ("about", "users", "rate", "ttl", "context", "memory")
"""The columns that a narrow table does without; the id and the state stay."""


def fit_columns(needs: Sequence[ColumnNeed], room: int) -> dict[str, int]:
    """Return the cells of each column that fits into `room`, one blank cell before each but the first.

    Columns leave in the order of FIRST_TO_LEAVE, then the state is shortened, then the id. A very
    long id is shortened before the columns of figures leave.
    """
    widths = {need.key: need.width for need in needs}
    least = {need.key: need.least or need.width for need in needs}
    longest = widths["id"]
    usual = longest if longest <= _USUAL_ID else _SHORT_ID

    def total() -> int:
        return sum(widths.values()) + len(widths) - 1

    for key in FIRST_TO_LEAVE:
        widths["id"] = min(longest, _ID_CELLS.get(key, usual))
        if total() <= room:
            break
        if key in widths and total() - widths[key] + least[key] <= room:
            widths[key] -= total() - room
            break
        widths.pop(key, None)
    if total() > room:
        widths["state"] = least["state"]
    widths["id"] = min(longest, widths["id"] + room - total())
    return {key: max(1, width) for key, width in widths.items()}
