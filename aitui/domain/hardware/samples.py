"""Samples one after another: put together from rows, and how far apart they are."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median

from aitui.domain.hardware.sample import Gpu, Machine, Sample, Source

TOGETHER = 2.0
"""Seconds: llama-swap asks its tools one after another, and stamps each answer by itself."""
SHORTEST_PAUSE = 1.0
USUAL_PAUSE = 15.0
LONGEST_PAUSE = 120.0


def joined(
    gpus: Iterable[Gpu], machines: Iterable[Machine], source: Source = Source.SERVER
) -> tuple[Sample, ...]:
    """Rows that were measured together, as one sample each, the oldest first.

    A sample begins anew where a card, or the machine, comes a second time.
    """
    rows: list[Gpu | Machine] = [*gpus, *machines]
    rows.sort(key=lambda row: row.sampled_at)
    samples: list[Sample] = []
    group: dict[str, Gpu | Machine] = {}
    began = 0.0
    for row in rows:
        key = row.key if isinstance(row, Gpu) else ""
        if group and (key in group or row.sampled_at - began > TOGETHER):
            samples.append(_sample(group.values(), source))
            group = {}
        if not group:
            began = row.sampled_at
        group[key] = row
    if group:
        samples.append(_sample(group.values(), source))
    return tuple(samples)


def latest(samples: Sequence[Sample]) -> Sample | None:
    """How things stand: the last sample, with what only the one before it has.

    A server that asks two tools can be interrupted between them. A card that is missing in two
    samples running has gone.
    """
    if not samples:
        return None
    last = samples[-1]
    if len(samples) == 1:
        return last
    before = samples[-2]
    return Sample(
        at=last.at,
        source=last.source,
        gpus=_by_index({gpu.key: gpu for gpu in (*before.gpus, *last.gpus)}.values()),
        machine=last.machine or before.machine,
    )


def pause(samples: Sequence[Sample]) -> float:
    """Seconds until it makes sense to ask again: as long as the source itself waits."""
    recent = samples[-20:]
    steps = [after.at - before.at for before, after in pairwise(recent)]
    if not steps:
        return USUAL_PAUSE
    return min(max(median(steps), SHORTEST_PAUSE), LONGEST_PAUSE)


def _sample(rows: Iterable[Gpu | Machine], source: Source) -> Sample:
    found = tuple(rows)
    gpus = _by_index(row for row in found if isinstance(row, Gpu))
    machine = next((row for row in found if isinstance(row, Machine)), None)
    return Sample(max(row.sampled_at for row in found), source, gpus, machine)


def _by_index(gpus: Iterable[Gpu]) -> tuple[Gpu, ...]:
    return tuple(sorted(gpus, key=lambda gpu: (gpu.index, gpu.key)))
