"""What a running model takes, as its processes and its log tell it."""

from collections.abc import Collection

from aitui.domain.hardware.host_sample import ProcessMemory
from aitui.domain.hardware.sample import Gpu, HardwareSample
from aitui.domain.memory.footprint import Footprint, FootprintOrigin
from aitui.domain.memory.measurement import Measurement
from aitui.domain.memory.start_up import StartupMemory

_LEAST_GROWTH = 32 << 20


def observe_footprint(
    context_size: int, held: ProcessMemory | None, start: StartupMemory | None
) -> Footprint | None:
    """The figures of its processes, with the parts that its log tells apart.

    None where neither says anything. Resident bytes hold the pages of the model's file, so they
    tell what a model takes of the machine only where nothing of it is on a card.
    """
    on_cards = held.gpu_bytes if held is not None else 0
    logged = start.gpu_bytes if start is not None else 0
    gpu = on_cards or logged
    host = start.host_bytes if start is not None else None
    if not gpu and held is not None and held.resident_bytes:
        host = held.resident_bytes
    if not gpu and not host:
        return None
    return Footprint(
        context_size=context_size,
        gpu=gpu,
        host=host,
        weights=start.weights_bytes if start is not None else None,
        cache=start.cache_bytes if start is not None else None,
        compute=start.compute_bytes if start is not None else None,
        origin=FootprintOrigin.MEASURED,
    )


def footprint_by_difference(
    context_size: int, before: HardwareSample, after: HardwareSample, moved: Collection[str] = ()
) -> Footprint | None:
    """What a load took, from samples before it began and after it ended.

    For servers whose machine can't be asked. None where other models came or went meanwhile
    (`moved`), a card did, or nothing has grown.
    """
    if moved:
        return None
    cards_before = {gpu.key: gpu for gpu in before.gpus}
    if set(cards_before) != {gpu.key for gpu in after.gpus}:
        return None
    grown: dict[str, int] = {}
    for gpu in after.gpus:
        growth = _growth(cards_before[gpu.key], gpu)
        if growth is None:
            return None
        grown[gpu.key] = growth
    sum_grown = sum(grown.values())
    host = None
    if not after.gpus and before.machine is not None and after.machine is not None:
        used, used_before = after.machine.memory_used, before.machine.memory_used
        host = None if used is None or used_before is None else max(0, used - used_before)
    if max(sum_grown, host or 0) < _LEAST_GROWTH:
        return None
    cards = tuple((key, growth) for key, growth in grown.items() if growth >= _LEAST_GROWTH)
    return Footprint(
        context_size, max(0, sum_grown), host, origin=FootprintOrigin.MEASURED, cards=cards
    )


def build_measurement(footprint: Footprint, setup: str, at: float) -> Measurement | None:
    """As it is kept, None for a figure that was not seen. `setup` is the command's fingerprint."""
    if footprint.origin is not FootprintOrigin.MEASURED or footprint.context_size < 1:
        return None
    return Measurement(
        context_size=footprint.context_size,
        gpu=footprint.gpu,
        host=footprint.host,
        weights=footprint.weights,
        cache=footprint.cache,
        compute=footprint.compute,
        setup=setup,
        at=at,
        cards=footprint.cards,
    )


def _growth(before: Gpu, after: Gpu) -> int | None:
    if before.used_bytes is None or after.used_bytes is None:
        return None
    return after.used_bytes - before.used_bytes
