"""Measurements of one moment; None if the source doesn't report a figure."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from itertools import pairwise
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import asdict


class SampleSource(Enum):
    """The side that measured."""

    SERVER = "the server"
    HOST = "the host"


class Gpu(Struct, frozen=True):
    """A graphics card, or what counts as one. `sampled_at` is Unix time in seconds.

    Shares are in percent, temperatures in °C, `power` in watts. `unified` is set if the card works
    in the machine's own memory: what it uses is then missing there as well. `bus` is its PCI
    address in the kernel's form, empty if that isn't known. Clocks are in MHz; `bus_percent` is how
    busy the card's memory is. `link` is the PCI Express link as in "4.0 ×16"; `throttled_by` are
    reasons in words, empty if there are none.
    """

    index: int
    name: str = ""
    uuid: str = ""
    used_bytes: int | None = None
    total_bytes: int | None = None
    use_percent: float | None = None
    temperature: float | None = None
    memory_temperature: float | None = None
    power: float | None = None
    fan_percent: float | None = None
    sampled_at: float = 0.0
    unified: bool = False
    bus: str = ""
    bus_percent: float | None = None
    power_limit: float | None = None
    clock: float | None = None
    clock_limit: float | None = None
    memory_clock: float | None = None
    link: str = ""
    persistent: bool | None = None
    throttled_by: tuple[str, ...] | None = None
    memory_errors: int | None = None

    @property
    def key(self) -> str:
        """The key of the card, which stays the same from one sample to the next."""
        return self.uuid or f"{self.index} {self.name}"

    @property
    def free_bytes(self) -> int | None:
        """Bytes that are free, None if one of the two figures is missing."""
        if self.total_bytes is None or self.used_bytes is None:
            return None
        return max(0, self.total_bytes - self.used_bytes)


class GpuProcessMemory(Struct, frozen=True):
    """Bytes that a process holds on a card, which is given by its uuid or PCI address."""

    gpu: str
    pid: int
    used_bytes: int


class NetworkInterface(Struct, frozen=True):
    """One network interface: bytes since the machine was started."""

    name: str
    received_bytes: int
    sent_bytes: int


class Machine(Struct, frozen=True):
    """The machine without its graphics cards. `cores` are shares in percent, one per core.

    `load` is the average number of runnable processes over 1, 5 and 15 minutes. `disk_bytes` were read
    and written since the machine was started, `temperature` is the processor's in °C.
    """

    cores: tuple[float, ...] = ()
    memory_total: int | None = None
    memory_used: int | None = None
    swap_total: int | None = None
    swap_used: int | None = None
    load: tuple[float, float, float] | None = None
    network: tuple[NetworkInterface, ...] = ()
    sampled_at: float = 0.0
    file_cache: int | None = None
    disk_bytes: int | None = None
    temperature: float | None = None

    @property
    def use_percent(self) -> float | None:
        """The mean over all cores."""
        return sum(self.cores) / len(self.cores) if self.cores else None

    @property
    def memory_available(self) -> int | None:
        """Bytes that a new process can have: what is neither used nor more than a cache."""
        if self.memory_total is None or self.memory_used is None:
            return None
        return max(0, self.memory_total - self.memory_used)


class HardwareSample(Struct, frozen=True):
    """Everything that one source measured at one moment, in Unix time."""

    at: float
    source: SampleSource
    gpus: tuple[Gpu, ...] = ()
    machine: Machine | None = None


LARGEST_MEMORY = 1 << 52
"""Bytes: 4 PiB, which no single machine has."""


def number_in_range(value: object, smallest: float, largest: float) -> float | None:
    """Return a finite number between the two, None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return float(value) if smallest <= value <= largest else None


def percentage(value: object) -> float | None:
    """Return a share in percent. Rounding may lead a little beyond 100, which is cut off."""
    share = number_in_range(value, 0.0, 1000.0)
    return None if share is None else min(share, 100.0)


def memory_bytes(value: object, unit: int = 1) -> int | None:
    """Return an amount of memory in bytes, from a figure in units of so many bytes."""
    amount = number_in_range(value, 0, LARGEST_MEMORY / unit)
    return None if amount is None else int(amount * unit)


def parse_number(text: str) -> float | None:
    """Parse a number as programs print it, None for anything else: `[N/A]`, words, nothing."""
    stripped = text.strip()
    if not stripped or len(stripped) > 32 or not stripped[-1].isdecimal():
        return None
    try:
        value = float(stripped) if stripped.isascii() and "_" not in stripped else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


HISTORY_SECONDS = 3600.0
MOST_SAMPLES = 4000

Figure = Callable[[HardwareSample], float | None]


class SampleHistory(Struct, frozen=True):
    """Samples, the oldest first, no older than an hour before the last."""

    samples: tuple[HardwareSample, ...] = ()

    def with_samples(self, new: Iterable[HardwareSample]) -> "SampleHistory":
        """Return the same with those that are newer than its last one."""
        last = self.samples[-1].at if self.samples else float("-inf")
        added = sorted((one for one in new if one.at > last), key=lambda one: one.at)
        if not added:
            return self
        start = added[-1].at - HISTORY_SECONDS
        kept = [one for one in (*self.samples, *added) if one.at >= start]
        return SampleHistory(tuple(kept[-MOST_SAMPLES:]))

    def completed_by(self, extras: "SampleHistory") -> "SampleHistory":
        """Return the same with samples of another source that have what these lack."""
        if not extras.samples or not self.samples:
            return self
        start = self.samples[-1].at - HISTORY_SECONDS
        joined = (*self.samples, *(one for one in extras.samples if one.at >= start))
        return SampleHistory(tuple(sorted(joined, key=attrgetter("at"))))

    def series(
        self, figure: Figure, seconds: float, columns: int, now: float
    ) -> tuple[float | None, ...]:
        """Return a figure over the last so many seconds: the mean of each column, None for gaps.

        A sample holds until the next one of its source comes, but no longer than a minute: what is
        sampled rarely has no gaps, and what wasn't sampled is not made up.
        """
        if columns < 1 or seconds <= 0:
            return ()
        width = seconds / columns
        start = now - seconds
        sums, counts = [0.0] * columns, [0] * columns
        held: list[float | None] = [None] * columns
        shown = self._between(start - HOLD_SECONDS, now)
        next_at: dict[SampleSource, float] = {}
        for one in reversed(shown):
            until = min(one.at + HOLD_SECONDS, next_at.get(one.source, now))
            next_at[one.source] = one.at
            value = figure(one)
            if value is None:
                continue
            column = min(columns - 1, int((one.at - start) // width))
            if column >= 0:
                sums[column] += value
                counts[column] += 1
            for later in range(max(0, column + 1), min(columns, int((until - start) // width) + 1)):
                if held[later] is None:
                    held[later] = value
        return tuple(
            total / count if count else before
            for total, count, before in zip(sums, counts, held, strict=True)
        )

    def rate(self, counter: Figure) -> Figure:
        """Return how much a counter grows in a second, since the sample before that has it."""
        rates: dict[float, float] = {}
        before: tuple[float, float] | None = None
        for one in self.samples:
            count = counter(one)
            if count is None:
                continue
            at = one.at if one.machine is None else one.machine.sampled_at or one.at
            if before is not None and at > before[0] and count >= before[1]:
                rates[one.at] = (count - before[1]) / (at - before[0])
            before = at, count
        return lambda sample: rates.get(sample.at)

    def latest(self, figure: Figure) -> float | None:
        """Return a figure of the last minute, the newest, None if there is none."""
        recent = self._between(self.samples[-1].at - HOLD_SECONDS, math.inf) if self.samples else ()
        found = (value for one in reversed(recent) if (value := figure(one)) is not None)
        return next(found, None)

    def _between(self, first: float, last: float) -> tuple[HardwareSample, ...]:
        at = attrgetter("at")
        start = bisect_left(self.samples, first, key=at)
        return self.samples[start : bisect_right(self.samples, last, key=at)]


def server_gaps(sample: HardwareSample) -> HardwareSample:
    """Return of a host's sample what a server doesn't report: clocks, and what disks did."""
    machine = sample.machine
    gpus = (gpu for gpu in sample.gpus if gpu.clock is not None)
    return HardwareSample(
        sample.at,
        sample.source,
        tuple(Gpu(gpu.index, gpu.name, gpu.uuid, clock=gpu.clock) for gpu in gpus),
        None
        if machine is None or machine.disk_bytes is None
        else Machine(disk_bytes=machine.disk_bytes, sampled_at=machine.sampled_at),
    )


def merge_machines(machines: Iterable[Machine | None]) -> Machine | None:
    """Return the newest state of a machine, completed by what only another source reports."""
    known = sorted((one for one in machines if one is not None), key=attrgetter("sampled_at"))
    if not known:
        return None
    newest = asdict(known[-1])
    for other in known[:-1]:
        missing = {name for name, value in newest.items() if value is None or value == ()}
        newest |= {name: getattr(other, name) for name in missing}
    return Machine(**newest)


HOLD_SECONDS = 60.0
"""Seconds for which a sample is valid while no newer one arrives."""


def gpu_metric(key: str, figure: Callable[[Gpu], float | None]) -> Figure:
    """Return a function that reads a figure of one card; None while that is missing."""

    def pick(sample: HardwareSample) -> float | None:
        return next((figure(gpu) for gpu in sample.gpus if gpu.key == key), None)

    return pick


SAMPLE_WINDOW = 2.0
"""Seconds: llama-swap runs its tools one after another, and stamps each result by itself."""
SHORTEST_PAUSE = 1.0
USUAL_PAUSE = 15.0
LONGEST_PAUSE = 120.0

_RECENT = 40
_MISSED_STEPS = 1.6


def group_samples(gpus: Iterable[Gpu], machines: Iterable[Machine]) -> tuple[HardwareSample, ...]:
    """Join a server's rows that were measured together to one sample each, the oldest first.

    A new sample begins when a card, or the machine, comes a second time.
    """
    rows: list[Gpu | Machine] = [*gpus, *machines]
    rows.sort(key=lambda row: row.sampled_at)
    samples: list[HardwareSample] = []
    group: dict[str, Gpu | Machine] = {}
    began = 0.0
    for row in rows:
        key = row.key if isinstance(row, Gpu) else ""
        if group and (key in group or row.sampled_at - began > SAMPLE_WINDOW):
            samples.append(_build_sample(group.values()))
            group = {}
        if not group:
            began = row.sampled_at
        group[key] = row
    if group:
        samples.append(_build_sample(group.values()))
    return tuple(samples)


def latest_sample(samples: Sequence[HardwareSample]) -> HardwareSample | None:
    """Return the last sample, completed by what only those shortly before it have.

    A server measures cards and machine at different intervals, and may miss one. A card that is
    missing twice in a row is gone.
    """
    if not samples:
        return None
    recent = samples[-_RECENT:]
    last = recent[-1]
    step = _median_interval([one for one in recent if one.gpus]) or USUAL_PAUSE
    cards = {
        gpu.key: gpu
        for one in recent
        if one.at > last.at - _MISSED_STEPS * step
        for gpu in one.gpus
    }
    machines = [one.machine for one in recent if one.machine is not None]
    return HardwareSample(
        at=last.at,
        source=last.source,
        gpus=_sort_by_index(cards.values()),
        machine=machines[-1] if machines else None,
    )


def sampling_interval(samples: Sequence[HardwareSample]) -> float:
    """Return the seconds until it makes sense to ask again: as long as the source itself waits."""
    recent = samples[-_RECENT:]
    step = _median_interval([one for one in recent if one.machine is not None]) or _median_interval(
        recent
    )
    return min(max(step or USUAL_PAUSE, SHORTEST_PAUSE), LONGEST_PAUSE)


def _median_interval(samples: Sequence[HardwareSample]) -> float | None:
    steps = sorted(after.at - before.at for before, after in pairwise(samples))
    return steps[len(steps) // 2] if steps else None


def _build_sample(rows: Iterable[Gpu | Machine]) -> HardwareSample:
    found = tuple(rows)
    gpus = _sort_by_index(row for row in found if isinstance(row, Gpu))
    machine = next((row for row in found if isinstance(row, Machine)), None)
    at = max(row.sampled_at for row in found)
    return HardwareSample(at, SampleSource.SERVER, gpus, machine)


def _sort_by_index(gpus: Iterable[Gpu]) -> tuple[Gpu, ...]:
    return tuple(sorted(gpus, key=lambda gpu: (gpu.index, gpu.key)))


def eligible_gpus(gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """Return the cards that a model can be put on: those with their own memory, if there are any."""
    sized = tuple(gpu for gpu in gpus if gpu.total_bytes)
    own = tuple(gpu for gpu in sized if not gpu.unified)
    return own or sized
