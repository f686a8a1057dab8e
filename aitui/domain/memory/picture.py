"""Whose the memory is: every card, by model and others, and what each model takes."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aitui.domain.hardware.host_sample import Held, HostSample
from aitui.domain.hardware.sample import Gpu, Machine, Sample, Source
from aitui.domain.memory.footprint import Footprint, Origin
from aitui.domain.memory.seen import seen
from aitui.domain.memory.start_up import StartUp
from aitui.domain.model import Model

_PORT = re.compile(
    r"[a-z]{2,10}://(?:[^/@\s]*@)?(?:\[[0-9a-fA-F:.%]+\]|[^/:\s]+):([0-9]{1,5})(?:/|\Z)"
)
_DEVICE_NUMBER = re.compile(r"(?:CUDA|ROCm|HIP|Vulkan|SYCL|CANN|MUSA)([0-9]{1,3})\Z")


@dataclass(frozen=True, slots=True)
class Share:
    """What one model has of one card. `origin` says how that is known."""

    model: str
    used_bytes: int
    origin: Origin

    @property
    def approximate(self) -> bool:
        """Whether the figure is calculated, and not what was seen."""
        return self.origin is not Origin.MEASURED


@dataclass(frozen=True, slots=True)
class CardPicture:
    """One card: the models on it, the largest first. `others` is None where its use isn't known."""

    gpu: Gpu
    models: tuple[Share, ...] = ()
    others: int | None = None


@dataclass(frozen=True, slots=True)
class MemoryPicture:
    """The memory of one server at one moment.

    `footprints` has a figure for every model of which anything is known, running or not. `source`
    is None before the first sample. `troubles` are tools of the host that don't work, in words.
    `seen_now` are the models whose figure is of their present run, not of an earlier one.
    """

    cards: tuple[CardPicture, ...] = ()
    machine: Machine | None = None
    footprints: Mapping[str, Footprint] = field(default_factory=dict)
    source: Source | None = None
    at: float = 0.0
    troubles: tuple[str, ...] = ()
    seen_now: frozenset[str] = frozenset()

    @property
    def on_cards(self) -> bool:
        """Whether the bar of the header is that of graphics cards, not of the machine's memory."""
        return any(card.gpu.total_bytes for card in self.cards)

    @property
    def total_bytes(self) -> int | None:
        """Of all cards together, else of the machine."""
        if self.on_cards:
            return sum(card.gpu.total_bytes or 0 for card in self.cards)
        return None if self.machine is None else self.machine.memory_total

    @property
    def used_bytes(self) -> int | None:
        """The same; None where a card that has a size doesn't tell its use."""
        if not self.on_cards:
            return None if self.machine is None else self.machine.memory_used
        sized = [card.gpu for card in self.cards if card.gpu.total_bytes]
        known = [gpu.used_bytes for gpu in sized if gpu.used_bytes is not None]
        return sum(known) if len(known) == len(sized) else None

    @property
    def free_bytes(self) -> int | None:
        """What a load can have now. A card that works in the machine's memory has no more than it."""
        if not self.on_cards:
            return None if self.machine is None else self.machine.memory_available
        total, used = self.total_bytes, self.used_bytes
        if total is None or used is None:
            return None
        free = max(0, total - used)
        available = None if self.machine is None else self.machine.memory_available
        unified = all(card.gpu.unified for card in self.cards if card.gpu.total_bytes)
        return free if available is None or not unified else min(free, available)

    def freed_by(self, models: Iterable[str]) -> int:
        """What will be free in addition when these models have gone, as far as that is known."""
        found = (self.footprints.get(model) for model in models)
        return sum(one.needed for one in found if one is not None)


def memory_picture(
    sample: Sample | None,
    models: Iterable[Model],
    *,
    host: HostSample | None = None,
    starts: Mapping[str, StartUp] | None = None,
    expected: Mapping[str, Footprint] | None = None,
) -> MemoryPicture:
    """Joins what is known.

    `sample` is the server's, `host` the machine's own where that can be asked: its cards count for
    more, because its processes are on them. `starts` are the memory lines of the logs of running
    models, `expected` what was measured before or estimated, by model.
    """
    listed = tuple(models)
    own = host.sample if host is not None else None
    of_cards = own if own is not None and own.gpus else sample
    chosen = of_cards or own
    shares: dict[str, dict[str, Share]] = {}
    footprints: dict[str, Footprint] = dict(expected or {})
    gpus = chosen.gpus if chosen is not None else ()
    seen_now: set[str] = set()
    for model in listed:
        if not model.resident:
            continue
        held = None if host is None else _held(host, model)
        start = (starts or {}).get(model.id)
        own_figure = seen(model.context.tokens, held, start)
        found = own_figure or footprints.get(model.id)
        if found is None:
            continue
        if own_figure is not None:
            seen_now.add(model.id)
        footprints[model.id] = found
        shares[model.id] = _shares(model.id, found, held, start, gpus)
    return MemoryPicture(
        cards=tuple(_card(gpu, shares) for gpu in gpus),
        machine=_newest(sample, own),
        footprints=footprints,
        source=None if chosen is None else chosen.source,
        at=0.0 if chosen is None else chosen.at,
        troubles=() if host is None else host.troubles,
        seen_now=frozenset(seen_now),
    )


def port_of(proxy: str) -> int | None:
    """The port of the address that llama-swap reaches a model at."""
    found = _PORT.match(proxy)
    port = int(found[1]) if found is not None else 0
    return port if 0 < port < 65536 else None


def _held(host: HostSample, model: Model) -> Held | None:
    port = port_of(model.proxy)
    return None if port is None else host.held(port)


def _newest(*samples: Sample | None) -> Machine | None:
    found = [one.machine for one in samples if one is not None and one.machine is not None]
    return max(found, key=lambda machine: machine.sampled_at, default=None)


def _card(gpu: Gpu, shares: Mapping[str, Mapping[str, Share]]) -> CardPicture:
    own = [by_card[gpu.key] for by_card in shares.values() if gpu.key in by_card]
    own.sort(key=lambda share: (-share.used_bytes, share.model))
    known = sum(share.used_bytes for share in own)
    others = None if gpu.used_bytes is None else max(0, gpu.used_bytes - known)
    return CardPicture(gpu, tuple(own), others)


def _shares(
    model: str,
    footprint: Footprint,
    held: Held | None,
    start: StartUp | None,
    gpus: tuple[Gpu, ...],
) -> dict[str, Share]:
    """What a model has of each card: by its processes, else by its log, else as the cards are used."""
    if held is not None and held.gpu_bytes:
        parts, origin = _by_process(held, gpus), footprint.origin
    elif len(gpus) == 1:
        parts, origin = {gpus[0].key: footprint.gpu}, footprint.origin
    elif start is not None and (numbered := _by_log(start, gpus)):
        parts, origin = numbered, footprint.origin
    else:
        parts = _as_used(footprint.gpu, gpus)
        origin = Origin.ESTIMATED
    return {key: Share(model, size, origin) for key, size in parts.items() if size}


def _by_process(held: Held, gpus: tuple[Gpu, ...]) -> dict[str, int]:
    """A partition that isn't listed as a card is on the only card there is."""
    known = {gpu.key for gpu in gpus}
    parts: dict[str, int] = {}
    for key, size in held.gpus.items():
        place = key if key in known or len(gpus) != 1 else gpus[0].key
        parts[place] = parts.get(place, 0) + size
    return parts


def _by_log(start: StartUp, gpus: tuple[Gpu, ...]) -> dict[str, int]:
    """By the numbers of the devices, which are those of the cards unless somebody changed that."""
    parts: dict[str, int] = {}
    for device in start.devices:
        if not device.is_gpu:
            continue
        number = _DEVICE_NUMBER.match(device.name)
        if number is None or int(number[1]) >= len(gpus):
            return {}
        key = gpus[int(number[1])].key
        parts[key] = parts.get(key, 0) + device.total
    return parts


def _as_used(size: int, gpus: tuple[Gpu, ...]) -> dict[str, int]:
    used = sum(gpu.used_bytes or 0 for gpu in gpus)
    if not used:
        return {}
    return {gpu.key: size * (gpu.used_bytes or 0) // used for gpu in gpus}
