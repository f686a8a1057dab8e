"""Samples one after another: put together from rows, and how far apart they are."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median

from aitui.domain.hardware.sample import Gpu, HardwareSample, Machine, SampleSource

SAMPLE_WINDOW = 2.0
"""Seconds: llama-swap asks its tools one after another, and stamps each answer by itself."""
SHORTEST_PAUSE = 1.0
USUAL_PAUSE = 15.0
LONGEST_PAUSE = 120.0

_RECENT = 40
_MISSED_STEPS = 1.6


def group_samples(
    gpus: Iterable[Gpu], machines: Iterable[Machine], source: SampleSource = SampleSource.SERVER
) -> tuple[HardwareSample, ...]:
    """Rows that were measured together, as one sample each, the oldest first.

    A sample begins anew where a card, or the machine, comes a second time.
    """
    rows: list[Gpu | Machine] = [*gpus, *machines]
    rows.sort(key=lambda row: row.sampled_at)
    samples: list[HardwareSample] = []
    group: dict[str, Gpu | Machine] = {}
    began = 0.0
    for row in rows:
        key = row.key if isinstance(row, Gpu) else ""
        if group and (key in group or row.sampled_at - began > SAMPLE_WINDOW):
            samples.append(_build_sample(group.values(), source))
            group = {}
        if not group:
            began = row.sampled_at
        group[key] = row
    if group:
        samples.append(_build_sample(group.values(), source))
    return tuple(samples)


def latest_sample(samples: Sequence[HardwareSample]) -> HardwareSample | None:
    """How things stand: the last sample, with what only those shortly before it have.

    A server measures cards and machine at a rhythm of their own, and may miss one. A card that is
    missing twice running has gone.
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
    """Seconds until it makes sense to ask again: as long as the source itself waits."""
    recent = samples[-_RECENT:]
    step = _median_interval([one for one in recent if one.machine is not None]) or _median_interval(
        recent
    )
    return min(max(step or USUAL_PAUSE, SHORTEST_PAUSE), LONGEST_PAUSE)


def _median_interval(samples: Sequence[HardwareSample]) -> float | None:
    """How far samples are apart, None for less than two."""
    steps = [after.at - before.at for before, after in pairwise(samples)]
    return median(steps) if steps else None


def _build_sample(rows: Iterable[Gpu | Machine], source: SampleSource) -> HardwareSample:
    found = tuple(rows)
    gpus = _sort_by_index(row for row in found if isinstance(row, Gpu))
    machine = next((row for row in found if isinstance(row, Machine)), None)
    return HardwareSample(max(row.sampled_at for row in found), source, gpus, machine)


def _sort_by_index(gpus: Iterable[Gpu]) -> tuple[Gpu, ...]:
    return tuple(sorted(gpus, key=lambda gpu: (gpu.index, gpu.key)))
