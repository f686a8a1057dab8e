"""Activity as text for people, and as JSON for scripts."""

from collections.abc import Iterable, Sequence

from aitui.domain.activity import (
    ActivityGroup,
    ActivityKind,
    ActivityRow,
    ActivityTotals,
    Distribution,
    time_to_first_token,
)
from aitui.domain.residency import MutualEviction
from aitui.domain.units import (
    count_of,
    format_elapsed,
    format_moment,
    format_rate,
    format_seconds,
    format_tokens,
)
from aitui.format.requests import has_failed, status_words
from aitui.format.styled import Cell, Column, Line, Span, table

JSON_VERSION = 1
"""That of the shape of what `--json` prints: fields may be added to it, none is removed or changed."""

_COLUMNS = (
    Column("TIME"),
    Column("CLIENT", need=5),
    Column("MODEL"),
    Column("CACHED", right=True, need=2),
    Column("PROMPT", right=True, need=4),
    Column("REPLY", right=True, need=4),
    Column("PP/S", right=True, need=1),
    Column("TOK/S", right=True, need=3),
    Column("TOOK", right=True, need=6),
    Column("STATUS"),
)
_MODEL = 2


def activity_report(row: ActivityRow) -> dict[str, object]:
    """Collect what `activity --json` prints of a row; what isn't known is null.

    `at` is Unix time. A first token that wasn't seen is estimated.
    """
    first = time_to_first_token(row)
    return {
        "kind": row.kind.value,
        "at": row.at,
        "server": row.server,
        "server_start": row.run or None,
        "id": row.id,
        "model": row.model,
        "client": row.who or None,
        "address": row.client or None,
        "user_agent": row.agent or None,
        "session": row.session or None,
        "path": row.path or None,
        "status": row.status,
        "failed": has_failed(row),
        "error": row.error or None,
        "by": row.by or None,
        "prompt_tokens": row.prompt,
        "cached_tokens": row.cached,
        "generated_tokens": row.tokens,
        "drafted_tokens": row.drafted,
        "accepted_tokens": row.accepted,
        "prompt_tokens_per_second": row.prompt_rate,
        "tokens_per_second": row.rate,
        "seconds": row.seconds,
        "first_token_seconds": None if first is None else first.seconds,
        "first_token_estimated": None if first is None else not first.exact,
        "has_capture": row.has_capture,
    }


def group_report(group: ActivityGroup, price: float | None) -> dict[str, object]:
    """Collect what `stats --json` prints of a group; `price` is that of a kilowatt-hour."""
    sums = group.sums
    return {
        "name": group.name or None,
        "began": group.began or None,
        "requests": sums.requests,
        "failed": sums.failed,
        "prompt_tokens": sums.prompt,
        "cached_tokens": sums.cached,
        "cached_share": sums.cached_share,
        "generated_tokens": sums.tokens,
        "drafted_tokens": sums.drafted,
        "accepted_tokens": sums.accepted,
        "draft_acceptance": sums.acceptance,
        "prompt_tokens_per_second": sums.prompt_rate,
        "tokens_per_second": sums.rate,
        "seconds": sums.seconds,
        "estimated_watt_hours": group.watt_hours,
        "estimated_watt_hours_per_1000_tokens": group.watt_hours_per_thousand,
        "estimated_cost": cost(group, price),
    }


def totals_report(totals: ActivityTotals, price: float | None) -> dict[str, object]:
    """Collect what `stats --json` prints of all requests together."""
    spreads = {
        "seconds": totals.seconds,
        "first_token_seconds": totals.first_token,
        "prompt_tokens_per_second": totals.prompt_rate,
        "tokens_per_second": totals.rate,
    }
    percentiles = {
        name: {key: getattr(spread, key) for key in ("p1", "p5", "p50", "p95", "p99")}
        for name, spread in spreads.items()
        if spread.count
    }
    report = group_report(ActivityGroup("", totals.sums), price)
    shown = {key: value for key, value in report.items() if not key.startswith("estimated")}
    return {**shown, "percentiles": percentiles}


def cost(group: ActivityGroup, price: float | None) -> float | None:
    """Return what the energy of a group cost, None if the energy or the price isn't known."""
    if price is None or group.watt_hours is None:
        return None
    return group.watt_hours / 1000 * price


def activity_words(row: ActivityRow) -> str:
    """Return how a request ended, or what happened to a model."""
    if row.kind is ActivityKind.REQUEST:
        return status_words(row)[0]
    words, separator, reason = _EVENT_WORDS[row.kind], ": ", row.by or row.error
    if row.kind is ActivityKind.READY and row.seconds is not None:
        separator, reason = " in ", format_seconds(row.seconds)
    elif row.kind is ActivityKind.EVICTION:
        separator = " by "
    return f"{words}{separator}{reason}" if reason else words


_EVENT_WORDS = {
    ActivityKind.WAITING: "waiting",
    ActivityKind.RUNNING: "running",
    ActivityKind.START: "load began",
    ActivityKind.READY: "loaded",
    ActivityKind.STOP: "unloaded",
    ActivityKind.EVICTION: "evicted",
    ActivityKind.FAILED: "load failed",
}


def activity_as_lines(
    rows: Sequence[ActivityRow], now: float, width: int | None, *, titled: bool = True
) -> list[Line]:
    """Lay out rows as a table of `width` cells; `now` is Unix time."""
    lines = table(_COLUMNS, [_cells(row, now) for row in rows], width, _MODEL)
    return lines if titled else lines[1:]


def _cells(row: ActivityRow, now: float) -> list[Cell]:
    is_request = row.kind is ActivityKind.REQUEST
    failed = has_failed(row)
    took = "" if row.seconds is None or not is_request else format_elapsed(row.seconds)
    style = "error" if failed else "muted" if is_request else "transit"
    return [
        Cell(format_moment(row.at, now, "%H:%M:%S"), "muted"),
        Cell(row.who),
        Cell(row.model),
        *(
            Cell(_tokens(count) if is_request else "")
            for count in (row.cached, row.prompt, row.tokens)
        ),
        *(Cell("" if rate is None else format_rate(rate)) for rate in (row.prompt_rate, row.rate)),
        Cell(took),
        Cell(activity_words(row), style),
    ]


def _tokens(count: int | None) -> str:
    return "–" if count is None else format_tokens(count)


_GROUP_COLUMNS = (
    Column(""),
    Column("REQUESTS", right=True),
    Column("FAILED", right=True, need=4),
    Column("PROMPT", right=True, need=7),
    Column("CACHED", right=True, need=5),
    Column("REPLY", right=True, need=8),
    Column("DRAFTS", right=True, need=1),
    Column("PP/S", right=True, need=3),
    Column("TOK/S", right=True, need=6),
    Column("TIME", right=True, need=6),
    Column("≈WH", right=True, need=2),
    Column("≈WH/1K", right=True, need=2),
    Column("≈COST", right=True, need=2),
)


def groups_as_lines(
    groups: Iterable[ActivityGroup],
    totals: ActivityTotals,
    by: str,
    *,
    price: float | None,
    width: int | None,
) -> list[Line]:
    """Lay out groups as a table of `width` cells, with sums and percentiles below."""
    columns = (Column(by.upper()), *_GROUP_COLUMNS[1:])
    rows = [
        *(_group_cells(group, group_name(group, by), price) for group in groups),
        _group_cells(ActivityGroup("", totals.sums), "all", price),
    ]
    spreads = (
        ("time to finish", totals.seconds, False, " s"),
        ("first token", totals.first_token, False, " s"),
        ("prompt tok/s", totals.prompt_rate, True, ""),
        ("generation tok/s", totals.rate, True, ""),
    )
    lines = [*table(columns, rows, width, 0), [Span("")]]
    for name, spread, slow_is_low, unit in spreads:
        if spread.count:
            lines.append(
                [Span(f"{name:<17}", "muted"), Span(spread_text(spread, slow_is_low, unit))]
            )
    return lines


def group_name(group: ActivityGroup, by: str) -> str:
    """Return what a group is called: a model, a client, an hour or a day."""
    if by in {"hour", "day"}:
        form = "%Y-%m-%d" if by == "day" else "%Y-%m-%d %H:00"
        return format_moment(group.began, group.began, form)
    return group.name or "unnamed"


def spread_text(spread: Distribution, slow_is_low: bool, unit: str = "") -> str:  # noqa: FBT001
    """Return the median and the slow end of figures: of rates, those are the lowest."""
    slow = (("p5", spread.p5), ("p1", spread.p1)) if slow_is_low else ()
    ends = (("p50", spread.p50), *(slow or (("p95", spread.p95), ("p99", spread.p99))))
    return "  ".join(f"{name} {format_rate(value)}{unit}" for name, value in ends)


def _group_cells(group: ActivityGroup, name: str, price: float | None) -> list[Cell]:
    sums, spent = group.sums, cost(group, price)
    per_thousand = group.watt_hours_per_thousand
    return [
        Cell(name),
        Cell(f"{sums.requests:,}"),
        Cell(f"{sums.failed:,}" if sums.failed else "", "error"),
        Cell(f"{sums.prompt:,}"),
        Cell(_share(sums.cached_share), "muted"),
        Cell(f"{sums.tokens:,}"),
        Cell(_share(sums.acceptance), "muted"),
        Cell("" if sums.prompt_rate is None else format_rate(sums.prompt_rate)),
        Cell("" if sums.rate is None else format_rate(sums.rate)),
        Cell(format_seconds(sums.seconds), "muted"),
        Cell("" if group.watt_hours is None else f"{group.watt_hours:,.1f}"),
        Cell("" if per_thousand is None else f"{per_thousand:,.2f}"),
        Cell("" if spent is None else f"{spent:,.2f}"),
    ]


def _share(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.0f} %"


def eviction_sentence(mutual: Sequence[MutualEviction], period: str) -> str:
    """Say which two models evict each other again and again in a period like "the last hour"."""
    if not mutual or mutual[0].times < 2:
        return ""
    one, other = mutual[0].models
    more = len(mutual) - 1
    also = f"; {count_of(more, 'more pair')} of models did so too" if more else ""
    return (
        f"{one} and {other} evicted each other {mutual[0].times} times in {period} and spent "
        f"{format_seconds(mutual[0].loading)} loading{also}."
    )
