"""The memory use of every card by model, and the memory of each model."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from aitui.domain.hardware.sample import (
    Gpu,
    HardwareSample,
    Machine,
    SampleSource,
    eligible_gpus,
    merge_machines,
)
from aitui.domain.memory.footprint import Footprint, FootprintOrigin
from aitui.domain.models import Model, RunState

if TYPE_CHECKING:
    from aitui.domain.hardware.host_sample import HostSample, ProcessMemory
    from aitui.domain.memory.measurement import Measurement
    from aitui.domain.memory.placement import Placement
    from aitui.domain.memory.start_up import StartupMemory

_LEAST_GROWTH = 32 << 20


def observe_footprint(
    context_size: int, held: "ProcessMemory | None", start: "StartupMemory | None"
) -> Footprint | None:
    """Return the figures of a model's processes, with the parts that its log distinguishes.

    None if neither is known. Without a card both include the pages of the model's file. Of these
    the log has all, resident bytes only those that were read already, and the prompt cache as well.
    """
    on_cards = held.gpu_bytes if held is not None else 0
    logged = start.gpu_bytes if start is not None else 0
    gpu = on_cards or logged
    host = start.host_bytes if start is not None else None
    if not gpu:
        host = (start.bytes_with_file if start else 0) or (held.resident_bytes if held else 0)
    if not gpu and not host:
        return None
    if start is None:
        return Footprint(context_size, gpu, host, origin=FootprintOrigin.MEASURED)
    weights = start.weights_bytes if gpu else sum(device.weights for device in start.devices)
    parts = weights, start.cache_bytes, start.compute_bytes
    return Footprint(context_size, gpu, host, *parts, FootprintOrigin.MEASURED)


def footprint_by_difference(
    context_size: int, before: HardwareSample, after: HardwareSample
) -> Footprint | None:
    """Return what a load took, from samples before it began and after it ended.

    This is for servers without access to their machine. None if a card came or went meanwhile, or
    if nothing has grown.
    """
    cards_before = {gpu.key: gpu for gpu in before.gpus}
    if set(cards_before) != {gpu.key for gpu in after.gpus}:
        return None
    grown: dict[str, int] = {}
    for gpu in after.gpus:
        used_before, used = cards_before[gpu.key].used_bytes, gpu.used_bytes
        if used_before is None or used is None:
            return None
        grown[gpu.key] = used - used_before
    sum_grown = sum(grown.values())
    host = None
    if not after.gpus and before.machine is not None and after.machine is not None:
        used_before, used = before.machine.memory_used, after.machine.memory_used
        host = None if used is None or used_before is None else max(0, used - used_before)
    if max(sum_grown, host or 0) < _LEAST_GROWTH:
        return None
    cards = tuple((key, growth) for key, growth in grown.items() if growth >= _LEAST_GROWTH)
    measured = FootprintOrigin.MEASURED
    return Footprint(context_size, max(0, sum_grown), host, origin=measured, cards=cards)


def build_measurement(footprint: Footprint, setup: str, at: float) -> "Measurement | None":
    """Return a footprint as it is stored with its `setup`, None if it wasn't measured."""
    if footprint.origin is not FootprintOrigin.MEASURED or footprint.context_size < 1:
        return None
    from aitui.domain.memory.measurement import Measurement

    size, cards = footprint.context_size, footprint.cards
    parts = footprint.weights, footprint.cache, footprint.compute
    return Measurement(size, footprint.gpu, footprint.host, *parts, setup, at, cards)


_PORT = r"[a-z]{2,10}://(?:[^/@\s]*@)?(?:\[[0-9a-fA-F:.%]+\]|[^/:\s]+):([0-9]{1,5})(?:/|\Z)"


class GpuShare(Struct, frozen=True):
    """The memory of one model on one card, with the origin of the figure."""

    model: str
    used_bytes: int
    origin: FootprintOrigin

    @property
    def approximate(self) -> bool:
        """Whether the figure is calculated, not measured."""
        return self.origin is not FootprintOrigin.MEASURED


class GpuMemoryUsage(Struct, frozen=True):
    """A card with its models, the largest first. `others` is None if its use isn't known."""

    gpu: Gpu
    models: tuple[GpuShare, ...] = ()
    others: int | None = None


class MemoryUsage(Struct, frozen=True):
    """The memory of one server at one moment.

    `footprints` has a figure for every model of which anything is known, running or not. `source`
    is None before the first sample. `errors` are tools of the host that don't work, in words.
    `observed_now` are the models with a figure of their present run, not of an earlier one.
    """

    cards: tuple[GpuMemoryUsage, ...] = ()
    machine: Machine | None = None
    footprints: Mapping[str, Footprint] = field(default_factory=dict)
    source: SampleSource | None = None
    at: float = 0.0
    errors: tuple[str, ...] = ()
    observed_now: frozenset[str] = frozenset()

    @property
    def eligible_gpus(self) -> tuple[Gpu, ...]:
        """The cards that a model can be put on: one in a processor isn't used if there are others."""
        return eligible_gpus([card.gpu for card in self.cards])

    @property
    def on_cards(self) -> bool:
        """Whether the bar of the header is that of graphics cards, not of the machine's memory."""
        return bool(self.eligible_gpus)

    @property
    def total_bytes(self) -> int | None:
        """The bytes of all cards together, else of the machine."""
        if self.on_cards:
            return sum(gpu.total_bytes or 0 for gpu in self.eligible_gpus)
        return None if self.machine is None else self.machine.memory_total

    @property
    def used_bytes(self) -> int | None:
        """The same for the used ones; None if a card that has a size doesn't report its use."""
        if not self.on_cards:
            return None if self.machine is None else self.machine.memory_used
        known = [gpu.used_bytes for gpu in self.eligible_gpus if gpu.used_bytes is not None]
        return sum(known) if len(known) == len(self.eligible_gpus) else None

    @property
    def free_bytes(self) -> int | None:
        """What a load can have now; a card in the machine's memory has no more than that has."""
        if not self.on_cards:
            return None if self.machine is None else self.machine.memory_available
        total, used = self.total_bytes, self.used_bytes
        if total is None or used is None:
            return None
        free = max(0, total - used)
        available = None if self.machine is None else self.machine.memory_available
        unified = all(gpu.unified for gpu in self.eligible_gpus)
        return free if available is None or not unified else min(free, available)

    def bytes_by_model(self, running: Iterable[str]) -> dict[str, int]:
        """Return what each model that runs has of the memory that `total_bytes` counts."""
        if not self.on_cards:
            known = ((model, self.footprints.get(model)) for model in running)
            return {model: found.host or 0 for model, found in known if found is not None}
        held: dict[str, int] = {}
        for share in (share for card in self.cards for share in card.models):
            held[share.model] = held.get(share.model, 0) + share.used_bytes
        return held

    def free_on(self, gpu: Gpu, evicted: Collection[str] = ()) -> int | None:
        """Return what is free on a card once these models have gone, as far as that is known."""
        if gpu.free_bytes is None or gpu.total_bytes is None:
            return None
        return min(gpu.total_bytes, gpu.free_bytes + self.usage_on(gpu, evicted))

    def usage_on(self, gpu: Gpu, models: Collection[str]) -> int:
        """Return what these models have of a card."""
        return sum(
            share.used_bytes
            for card in self.cards
            if card.gpu.key == gpu.key
            for share in card.models
            if share.model in models
        )


def memory_usage(
    sample: HardwareSample | None,
    models: Iterable[Model],
    *,
    host: "HostSample | None" = None,
    starts: Mapping[str, "StartupMemory"] | None = None,
    expected: Mapping[str, Footprint] | None = None,
) -> MemoryUsage:
    """Join what is known.

    `sample` is the server's, `host` the machine's own, if it can be asked: its cards count for
    more, because its processes are on them. `starts` are the memory lines of the logs of running
    models, `expected` what was measured before or estimated, by model.
    """
    listed = tuple(models)
    own = host.sample if host is not None else None
    of_cards = own if own is not None and own.gpus else sample
    chosen = of_cards or own
    shares: dict[str, dict[str, GpuShare]] = {}
    footprints: dict[str, Footprint] = dict(expected or {})
    gpus = chosen.gpus if chosen is not None else ()
    before = {gpu.key: gpu.used_bytes or 0 for gpu in gpus}
    if own is not None and chosen is own and sample is not None and sample.at > own.at:
        gpus = tuple(_with_newer_figures(gpu, sample) for gpu in gpus)
    grown = {gpu.key: max(0, (gpu.used_bytes or 0) - before[gpu.key]) for gpu in gpus}
    starting = [model.id for model in listed if model.state is RunState.STARTING]
    seen_now: set[str] = set()
    for model in listed:
        if not model.resident:
            continue
        port = port_of(model.proxy)
        held = None if host is None or port is None else host.usage_at_port(port)
        start = (starts or {}).get(model.id)
        # While it loads, its processes hold only a part.
        loading = model.state is RunState.STARTING and model.id in footprints
        own_figure = None if loading else observe_footprint(model.context.tokens, held, start)
        found = own_figure or footprints.get(model.id)
        if found is None:
            continue
        parts, certain = _parts_by_card(found, held, start, gpus)
        certain = certain and (not loading or bool(held and held.gpu_bytes))
        if own_figure is not None:
            seen_now.add(model.id)
            found = replace(found, cards=tuple(parts.items()) if certain else ())
        footprints[model.id] = found
        origin = found.origin if certain else FootprintOrigin.ESTIMATED
        if starting == [model.id]:
            # What a card has gained since its processes were seen is the load's.
            parts = {key: size + grown.get(key, 0) for key, size in parts.items() if size}
        held_parts = ((key, size) for key, size in parts.items() if size)
        shares[model.id] = {key: GpuShare(model.id, size, origin) for key, size in held_parts}
    return MemoryUsage(
        cards=tuple(_build_card(gpu, shares) for gpu in gpus),
        machine=merge_machines(one.machine for one in (sample, own) if one is not None),
        footprints=footprints,
        source=None if chosen is None else chosen.source,
        at=max((one.at for one in (chosen, sample) if one is not None), default=0.0),
        errors=() if host is None else host.errors,
        observed_now=frozenset(seen_now),
    )


_FIGURES = ("used_bytes", "use_percent", "temperature", "power", "fan_percent")


def _with_newer_figures(gpu: Gpu, sample: HardwareSample) -> Gpu:
    """Return a card of the host with what the server has measured since: it measures more often."""
    newer = next((one for one in sample.gpus if one.key == gpu.key and not gpu.unified), None)
    if newer is None:
        return gpu
    known = {name: value for name in _FIGURES if (value := getattr(newer, name)) is not None}
    return replace(gpu, **known, sampled_at=newer.sampled_at)


def port_of(proxy: str) -> int | None:
    """Return the port of the address at which llama-swap reaches a model."""
    found = re.match(_PORT, proxy)
    port = int(found[1]) if found is not None else 0
    return port if 0 < port < 65536 else None


def _build_card(gpu: Gpu, shares: Mapping[str, Mapping[str, GpuShare]]) -> GpuMemoryUsage:
    own = [by_card[gpu.key] for by_card in shares.values() if gpu.key in by_card]
    own = _limit_estimates(gpu, own)
    own.sort(key=lambda share: (-share.used_bytes, share.model))
    known = sum(share.used_bytes for share in own)
    others = None if gpu.used_bytes is None else max(0, gpu.used_bytes - known)
    return GpuMemoryUsage(gpu, tuple(own), others)


def _limit_estimates(gpu: Gpu, shares: list[GpuShare]) -> list[GpuShare]:
    """Limit estimates to what is in use and isn't explained by certain figures."""
    if gpu.used_bytes is None:
        return shares
    left = gpu.used_bytes - sum(share.used_bytes for share in shares if not share.approximate)
    found = []
    for share in shares:
        size = share.used_bytes
        if share.approximate:
            size = max(0, min(size, left))
            left -= size
        found.append(replace(share, used_bytes=size))
    return [share for share in found if share.used_bytes]


def _parts_by_card(
    footprint: Footprint,
    held: "ProcessMemory | None",
    start: "StartupMemory | None",
    gpus: tuple[Gpu, ...],
) -> tuple[dict[str, int], bool]:
    """Return what a model has of each card, and whether that is more than a guess.

    Its processes count first, then its log, then what it had before, else how the cards are used.
    """
    if held is not None and held.gpu_bytes:
        return _parts_by_process(held, gpus), True
    if len(gpus) == 1:
        return {gpus[0].key: footprint.gpu}, True
    if start is not None and (numbered := _parts_by_log(start, gpus)):
        return numbered, True
    before = {key: size for key, size in footprint.cards if any(gpu.key == key for gpu in gpus)}
    if before:
        return before, True
    usable = eligible_gpus(gpus)
    used = sum(gpu.used_bytes or 0 for gpu in usable)
    size = footprint.gpu
    return {gpu.key: size * (gpu.used_bytes or 0) // used for gpu in usable if used}, False


def _parts_by_process(held: "ProcessMemory", gpus: tuple[Gpu, ...]) -> dict[str, int]:
    """Return the bytes by card. A partition that isn't listed as a card is on the only card."""
    known = {gpu.key for gpu in gpus}
    parts: dict[str, int] = {}
    for key, size in held.gpus.items():
        place = key if key in known or len(gpus) != 1 else gpus[0].key
        parts[place] = parts.get(place, 0) + size
    return parts


def _parts_by_log(start: "StartupMemory", gpus: tuple[Gpu, ...]) -> dict[str, int]:
    """Return the bytes by card, by the names of devices; nothing if one of them is no card."""
    # Part of every snapshot, this module doesn't need the vendors before a model runs.
    from aitui.domain.hardware.gpu.vendors import find_device_card

    parts: dict[str, int] = {}
    for device in start.devices:
        if not device.is_gpu:
            continue
        card = find_device_card(device.name, gpus)
        if card is None:
            return {}
        parts[card.key] = parts.get(card.key, 0) + device.total
    return parts


class Headroom(Struct, frozen=True):
    """Bytes that a load finds `now`, and `after` other models have gone; None if not known.

    `where` names the cards if not all count, or the machine's memory if there are cards as well, and
    says if the command's tensor split keeps the model from using all of it.
    `cards` is how many there are, none in the machine's memory.
    """

    now: int | None
    after: int | None
    where: str = ""
    cards: int = 0


def headroom_on_cards(
    usage: MemoryUsage, cards: Sequence[Gpu], placement: "Placement", evicted: Collection[str]
) -> Headroom:
    """Return what is free on these cards together, as far as the command lets the model use it."""
    now = _free_on_cards(usage, cards, placement, ())
    after = _free_on_cards(usage, cards, placement, evicted)
    all_of_them = {gpu.key for gpu in cards} == {gpu.key for gpu in usage.eligible_gpus}
    label = "" if all_of_them else _cards_label(cards)
    free = [usage.free_on(gpu, ()) or 0 for gpu in cards]
    if now is not None and placement.headroom(free) < sum(free):
        label = f"{label} (tensor split)".strip()
    return Headroom(now, after, label, len(cards))


def headroom_in_machine(usage: MemoryUsage, evicted: Collection[str]) -> Headroom:
    """Return what is free in the machine's own memory."""
    available = None if usage.machine is None else usage.machine.memory_available
    where = "in RAM" if usage.on_cards else ""
    if available is None:
        return Headroom(None, None, where)
    found = (usage.footprints.get(model) for model in evicted)
    return Headroom(available, available + sum(one.host or 0 for one in found if one), where)


def _free_on_cards(
    usage: MemoryUsage, cards: Sequence[Gpu], placement: "Placement", evicted: Collection[str]
) -> int | None:
    free = [usage.free_on(gpu, evicted) for gpu in cards]
    known = [amount for amount in free if amount is not None]
    if len(known) < len(free) or not known:
        return None
    headroom = placement.headroom(known)
    available = None if usage.machine is None else usage.machine.memory_available
    if available is None or not all(gpu.unified for gpu in cards):
        return headroom
    return min(headroom, available + sum(usage.usage_on(gpu, evicted) for gpu in cards))


def _cards_label(cards: Sequence[Gpu]) -> str:
    *most, last = [str(gpu.index) for gpu in cards] or [""]
    return f"on GPUs {', '.join(most)} and {last}" if most else f"on GPU {last}"
