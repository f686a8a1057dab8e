"""`aitui activity`, `stats`, `metrics` and `record`: what the server did, with or without it."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from aitui.aio import background_task
from aitui.cli.arguments import Arguments
from aitui.cli.output import WaitNotice, print_lines, terminal_width
from aitui.cli.session import terminal_session
from aitui.domain.activity import MODEL_KINDS, ActivityFilter, ActivityKind, ActivityRow
from aitui.domain.sanitize import sanitize_line
from aitui.domain.server import Server
from aitui.domain.units import format_elapsed
from aitui.errors import ActionRefused, AituiError, HistoryError, NotSupported
from aitui.format.activity import (
    JSON_VERSION,
    activity_as_lines,
    activity_report,
    eviction_sentence,
    group_report,
    groups_as_lines,
    totals_report,
)
from aitui.format.report import format_json
from aitui.paths import Paths
from aitui.services.activity_recorder import ActivityRecorder
from aitui.services.activity_stats import group_requests, load_timeline
from aitui.services.session import Session, run_monitor
from aitui.store.activity_db import FILE_NAME

_PAGE = 1000
_JSON_LINE = msgspec.json.Encoder()


@asynccontextmanager
async def _with_record(
    server: Server, paths: Paths
) -> AsyncIterator[tuple[Session, ActivityRecorder]]:
    """Open the record, with what the server still has; without the server it is as it was."""
    async with terminal_session(server, paths) as session:
        recorder = session.activity()
        try:
            await recorder.store()
            try:
                with WaitNotice(server.label):
                    await recorder.fetch()
            except HistoryError:
                raise
            except NotSupported:
                print(
                    f"{server.label} keeps no requests: only what was seen is listed",
                    file=sys.stderr,
                )
            except AituiError as error:
                print(f"{error}: only what was recorded before is listed", file=sys.stderr)
            yield session, recorder
        finally:
            await recorder.close()


def _filter(server: Server, arguments: Arguments, now: float) -> ActivityFilter:
    # A client loads no model: only requests have one.
    kinds = (ActivityKind.REQUEST,) if arguments.client else (ActivityKind.REQUEST, *MODEL_KINDS)
    return ActivityFilter(
        server.identity,
        model=arguments.model,
        client=arguments.client,
        since=now - arguments.since,
        kinds=kinds,
    )


async def print_activity(server: Server, arguments: Arguments, paths: Paths) -> None:
    """Print the rows; with `follow`, go on with new ones until interrupted."""
    async with _with_record(server, paths) as (session, recorder):
        store, now = await recorder.store(), session.clock.wall()
        wanted = _filter(server, arguments, now)
        revision = recorder.revision
        numbers = await store.select(wanted, descending=False)
        rows: list[ActivityRow] = []
        for start in range(0, len(numbers), _PAGE):
            rows += await store.read(numbers[start : start + _PAGE])
        if arguments.json and not arguments.follow:
            report = {"version": JSON_VERSION, "server": server.identity}
            print(format_json({**report, "rows": [activity_report(row) for row in rows]}))
            return
        _print_rows(rows, arguments, now, titled=True)
        if not arguments.follow:
            return
        shown = set(numbers)
        async with run_monitor(session), background_task(recorder.run(), "record activity"):
            while True:
                revision = await recorder.wait_for_change(revision)
                found = await store.select(wanted, descending=False)
                new = [number for number in found if number not in shown]
                shown.update(new)
                _print_rows(await store.read(new), arguments, session.clock.wall(), titled=False)


def _print_rows(
    rows: Sequence[ActivityRow], arguments: Arguments, now: float, *, titled: bool
) -> None:
    if arguments.json:
        for row in rows:
            line = _JSON_LINE.encode({"version": JSON_VERSION, **activity_report(row)})
            print(line.decode(), flush=True)
    elif rows:
        print_lines(activity_as_lines(rows, now, terminal_width(), titled=titled))
    elif titled:
        print("no activity in that time", file=sys.stderr)


async def print_stats(server: Server, arguments: Arguments, paths: Paths) -> None:
    """Print the requests in groups, with sums and percentiles."""
    async with _with_record(server, paths) as (session, recorder):
        store, now = await recorder.store(), session.clock.wall()
        wanted = _filter(server, arguments, now)
        wanted = msgspec.structs.replace(wanted, kinds=(ActivityKind.REQUEST,))
        totals = await store.totals(wanted)
        groups = await group_requests(store, wanted, arguments.by, now)
        timeline = await load_timeline(store, server.identity, now - arguments.since, now)
    price = server.activity.electricity_price
    if arguments.json:
        report = {
            "version": JSON_VERSION,
            "server": server.identity,
            "since": now - arguments.since,
            "by": arguments.by,
            "groups": [group_report(group, price) for group in groups],
            "totals": totals_report(totals, price),
            "mutual_evictions": [msgspec.to_builtins(pair) for pair in timeline.mutual],
        }
        print(format_json(report))
    elif groups:
        width = terminal_width()
        print_lines(groups_as_lines(groups, totals, arguments.by, price=price, width=width))
        period = f"the last {format_elapsed(arguments.since)}"
        if sentence := eviction_sentence(timeline.mutual, period):
            print(f"\n{sentence}")
    else:
        print("no requests in that time", file=sys.stderr)


async def print_metrics(server: Server, arguments: Arguments, paths: Paths) -> None:
    """Print the metrics, or replace a file by them; a server that is down is one of them."""
    from aitui.format.prometheus import prometheus_text
    from aitui.store.files import replace_atomically

    async with _with_record(server, paths) as (session, recorder):
        with contextlib.suppress(AituiError):  # it is down: that is what the metrics say then
            await session.monitor.fetch()
            await session.hardware.sample_once(with_host=False)
        counters = await (await recorder.store()).counters(server.identity)
        text = prometheus_text(server.identity, session.snapshot, counters)
    if arguments.textfile is None:
        print(text, end="")
        return
    path = arguments.textfile
    try:
        # Another user's node_exporter reads it.
        await asyncio.to_thread(replace_atomically, path, text.encode(), 0o644)
    except OSError as error:
        name, why = sanitize_line(str(path)), sanitize_line(error.strerror or str(error))
        raise AituiError(f"{name} can't be written", why=why) from error


async def record(server: Server, _: Arguments, paths: Paths) -> None:
    """Record until interrupted or terminated; what waits is written then."""
    if not server.activity.days:
        raise ActionRefused(
            "Nothing is recorded", why="activity_days is 0", remedy="set it in config.toml"
        )
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with terminal_session(server, paths) as session:
        place = sanitize_line(str(paths.data / FILE_NAME))
        print(f"recording {server.label} into {place}", file=sys.stderr, flush=True)
        async with background_task(session.run(), "record") as running:
            stopping = asyncio.create_task(stopped.wait())
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
        if running.done() and not running.cancelled():
            running.result()
