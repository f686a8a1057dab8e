"""`make bench`: how the transcript keeps up, in ratios whose references run beside it.

Arguments: the sections to run, all of them without any.
"""

import sys
from collections.abc import Callable
from itertools import pairwise
from statistics import mean, median

from bench.activity import activity
from bench.measured import Measured
from bench.polling import polling
from bench.processes import Bench
from bench.report import Line, p95, print_lines
from bench.start import start

RATE = 2000
BURST = "mixed:10000:10000"
CALM = "plain:40:10"
MINUTES = 3
SHAPE_TOKENS, SHAPE_RUNS = 4000, 5


def stream(bench: Bench) -> list[Line]:
    """2,000 tokens a second: what it costs, what a key waits, and what goes to the terminal."""
    model = f"mixed:10000:{RATE}"
    bare, ours = bench.least("bare", model), bench.least("transcript", model)
    unseen = bench.run("unseen", model)
    return [
        Line("bare httpx drains 10,000 tokens at 2,000/s", f"{bare.cpu:.2f} s of CPU"),
        Line("transcript, the same stream", f"{ours.cpu:.2f} s of CPU"),
        Line("… to bare httpx", f"{ours.cpu / bare.cpu:.2f} ×", "≤ 2 ×", ours.cpu <= 2 * bare.cpu),
        Line("… last row after the last byte", f"{ours.late * 1000:.0f} ms"),
        Line("… text lost", "yes" if ours.lost else "none", "none", not ours.lost),
        Line("… key handled, median", f"{median(ours.key_waits) * 1000:.0f} ms"),
        _keys("… key handled, p95", ours.key_waits),
        _keys("… p95 of an app that shows nothing of it", unseen.key_waits, wanted=False),
        _keys("… p95 at 10 tokens/s", bench.run("transcript", CALM).key_waits, wanted=False),
        Line("… bytes to the terminal", f"{ours.sent_bytes / ours.wall / 1000:.0f} kB/s"),
    ]


def long(bench: Bench) -> list[Line]:
    """100,000 tokens: whether a token costs more the longer the answer is.

    Compared is the work that a token makes: its CPU time in those of work that never changes, since
    in the minute that this takes the machine may become slower or faster.
    """
    ours = bench.run("transcript", f"mixed:100000:{RATE}")
    costs = [after - before for before, after in pairwise((0.0, *ours.marks))]
    work = [cost / pace for cost, pace in zip(costs, ours.pace, strict=True)]
    first, last, all_of_it = mean(work[:10]), mean(work[-10:]), mean(work)
    ratio, memory = all_of_it / first, ours.grown / 100_000
    machine = median(ours.pace[-10:]) / median(ours.pace[:10])
    return [
        Line("a token of the first 10,000, CPU", f"{ours.marks[9] / 10_000 * 1e6:.0f} µs"),
        Line("a token of 100,000, to that", f"{ratio:.2f} ×", "≤ 1.2 ×", ratio <= 1.2),
        Line(
            "… one of the last 10,000, to that",
            f"{last / first:.2f} ×",
            "≤ 1.2 ×",
            last <= 1.2 * first,
        ),
        Line("… the machine's own time for the same work", f"{machine:.2f} ×"),
        Line("… memory a token", f"{memory:.0f} bytes", "≤ 1024", memory <= 1024),
        Line("… text lost", "yes" if ours.lost else "none", "none", not ours.lost),
        _keys("… key handled, p95", ours.key_waits),
    ]


def minutes(bench: Bench) -> list[Line]:
    """Three minutes at 2,000 tokens a second: whether it still keeps up at their end."""
    ours = bench.run("transcript", f"mixed:{MINUTES * 60 * RATE}:{RATE}", limit=MINUTES * 120)
    memory = ours.grown / (MINUTES * 60 * RATE)
    return [
        Line(f"{MINUTES} minutes at 2,000 tokens/s, time to the stream's", f"{_pace(ours):.2f} ×"),
        Line("… last row after the last byte", f"{ours.late * 1000:.0f} ms"),
        Line("… CPU of the process", f"{ours.cpu / ours.wall:.0%} of a core"),
        Line("… memory a token", f"{memory:.0f} bytes", "≤ 1024", memory <= 1024),
        Line("… text lost", "yes" if ours.lost else "none", "none", not ours.lost),
        _keys("… key handled, p95", ours.key_waits),
    ]


def _pace(measured: Measured) -> float:
    return measured.wall / (MINUTES * 60)


def lines(bench: Bench) -> list[Line]:
    """10,000 lines of a log a second, beside Textual's widget for that."""
    ours, theirs = (bench.least("lines", widget) for widget in ("log", "richlog"))
    ratio = ours.cpu / theirs.cpu
    return [
        Line("RichLog, 5 s of 10,000 log lines/s", f"{theirs.cpu:.2f} s of CPU"),
        Line("… time", f"{theirs.wall:.1f} s"),
        Line("log view, the same lines", f"{ours.cpu:.2f} s of CPU"),
        Line("… time", f"{ours.wall:.1f} s"),
        Line("… CPU to RichLog's", f"{ratio:.2f} ×", "≤ 0.33 ×", ratio <= 1 / 3),
    ]


def shapes(bench: Bench) -> list[Line]:
    """One unbroken fence and one list against paragraphs; as in `long`, the work is compared."""
    work: dict[str, list[float]] = {"plain": [], "fence": [], "list": []}
    seconds = 0.0
    for _ in range(SHAPE_RUNS):
        for shape, figures in work.items():
            run = bench.run("transcript", f"{shape}:{SHAPE_TOKENS}:{RATE}")
            figures.append(run.cpu / median(run.pace))
            if shape == "plain":
                seconds = run.cpu
    lines = [Line("4,000 tokens of plain text", f"{seconds:.2f} s of CPU")]
    for shape in ("fence", "list"):
        ratio = median(work[shape]) / median(work["plain"])
        lines.append(Line(f"… one {shape}, to that", f"{ratio:.2f} ×", "≤ 1.2 ×", ratio <= 1.2))
    return lines


def burst(bench: Bench) -> list[Line]:
    """10,000 tokens within a second."""
    bare, ours = bench.least("bare", BURST), bench.run("transcript", BURST)
    late = ours.late
    return [
        Line("10,000 tokens in a second: bare httpx is through", f"{bare.wall:.2f} s"),
        Line("… on screen, after the last was sent", f"{late:.2f} s", "≤ 2 s", late <= 2),
        Line("… text lost", "yes" if ours.lost else "none", "none", not ours.lost),
        _keys("… key handled, p95", ours.key_waits, wanted=False),
    ]


def markdown(bench: Bench) -> list[Line]:
    """What Textual's own widget makes of the same stream."""
    model = f"mixed:10000:{RATE}"
    ours = bench.least("transcript", model)
    try:
        theirs = bench.run("markdown", model, limit=120)
    except TimeoutError:
        return [Line("Markdown.get_stream, 10,000 tokens", "not finished after 120 s")]
    return [
        Line("Markdown.get_stream, 10,000 tokens", f"{theirs.cpu:.2f} s of CPU"),
        Line("… to the transcript", f"{theirs.cpu / ours.cpu:.1f} ×"),
        Line("… time, to the stream's", f"{theirs.wall / (10_000 / RATE):.1f} ×"),
        _keys("… key handled, p95", theirs.key_waits, wanted=False),
    ]


def table(bench: Bench) -> list[Line]:
    """One changed row of the model table."""
    small, large = (bench.least("table", str(rows), times=2) for rows in (100, 1000))
    return [
        Line("a changed row among 100 models", f"{small.cpu / small.updates * 1000:.2f} ms of CPU"),
        Line("… among 1,000, to that", f"{large.cpu / small.cpu:.2f} ×"),
        *_merging(bench),
    ]


def _merging(bench: Bench) -> list[Line]:
    few, many = (bench.least("merging", str(models)) for models in (1000, 5000))
    return [
        Line("a changed model among 1,000 merged", f"{few.cpu / few.updates * 1000:.2f} ms of CPU"),
        Line("… among 5,000", f"{many.cpu / many.updates * 1000:.2f} ms of CPU"),
    ]


SECTIONS: dict[str, Callable[[Bench], list[Line]]] = {
    "start": start,
    "stream": stream,
    "long": long,
    "minutes": minutes,
    "lines": lines,
    "shapes": shapes,
    "burst": burst,
    "markdown": markdown,
    "table": table,
    "polling": polling,
    "activity": activity,
}


def _keys(words: str, waits: list[float], *, wanted: bool = True) -> Line:
    at = p95(waits)
    if not wanted:
        return Line(words, f"{at * 1000:.0f} ms")
    return Line(words, f"{at * 1000:.0f} ms", "≤ 50 ms", at <= 0.05)


def main() -> int:
    """Run the sections; 2 for one that there isn't."""
    names = sys.argv[1:] or list(SECTIONS)
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        print(f"no section {' '.join(unknown)}; there are: {' '.join(SECTIONS)}", file=sys.stderr)
        return 2
    with Bench() as bench:
        for name in names:
            print_lines(name, SECTIONS[name](bench))
    return 0


if __name__ == "__main__":
    sys.exit(main())
