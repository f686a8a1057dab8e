"""The graphics cards of the demo's machine: they fill and empty as models load and unload."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from aitui.demo.fake_flags import FakeFlags

_LAYERS = 48


class GraphicsDriver(Enum):
    """The kernel's driver of a card; it decides which tool sees the card."""

    NVIDIA = "nvidia"
    AMDGPU = "amdgpu"
    XE = "xe"


_DEVICE_PREFIXES = {
    GraphicsDriver.NVIDIA: "CUDA",
    GraphicsDriver.AMDGPU: "ROCm",
    GraphicsDriver.XE: "SYCL",
}
_VISIBILITY_VARIABLES = {
    "CUDA_VISIBLE_DEVICES": GraphicsDriver.NVIDIA,
    "HIP_VISIBLE_DEVICES": GraphicsDriver.AMDGPU,
}


_SECONDS_TO_WARM = 40.0


class Warmth(Struct, frozen=True):
    """The utilization of a card at a time (Unix time), and its mean over the last minute or so."""

    at: float = 0.0
    load: float = 0.0
    heat: float = 0.0

    def later(self, load: float, at: float) -> Warmth:
        """Return the same card at a later time."""
        gone = max(0.0, at - self.at)
        heat = load + (self.heat - load) * math.exp(-gone / _SECONDS_TO_WARM)
        return Warmth(at, load, heat)


class GraphicsCard(Struct, frozen=True):
    """One card. Memory in MiB, `others_mib` is that of other programs; `bus` is its PCI address.

    `full_load` is its utilization in percent while a model works on it.
    """

    index: int
    name: str
    memory_mib: int
    bus: str
    driver: GraphicsDriver = GraphicsDriver.NVIDIA
    others_mib: int = 612
    full_load: int = 93

    @property
    def uuid(self) -> str:
        """The id in `nvidia-smi` and llama-swap."""
        return f"GPU-5f0c2a9e-0000-4000-8000-{self.index + 1:012d}"


ONE_CARD = (GraphicsCard(0, "NVIDIA RTX PRO 6000 Blackwell", 96 * 1024, "0000:01:00.0"),)
TWO_CARDS = (
    GraphicsCard(0, "NVIDIA RTX 6000 Ada Generation", 48 * 1024, "0000:01:00.0"),
    GraphicsCard(1, "NVIDIA RTX 6000 Ada Generation", 48 * 1024, "0000:41:00.0"),
)
DEMO_CARDS = (
    replace(TWO_CARDS[0], others_mib=410, full_load=97),
    replace(TWO_CARDS[1], others_mib=307, full_load=84),
)


class OutOfGpuMemory(Exception):
    """A card has no room for `size_mib`."""

    def __init__(self, device: str, size_mib: float) -> None:
        super().__init__(f"{size_mib:.2f} MiB on {device}")
        self.device = device
        self.size_mib = size_mib


@dataclass(slots=True)
class GraphicsCards:
    """The cards and the memory of each process on them, in MiB."""

    cards: tuple[GraphicsCard, ...] = ONE_CARD
    _allocations: dict[object, dict[int, float]] = field(default_factory=dict)
    _filled: dict[object, float] = field(default_factory=dict)
    warmth: dict[int, Warmth] = field(default_factory=dict)
    _released_mib: float = 0.0

    @property
    def loaded_mib(self) -> float:
        """The MiB that were ever loaded, and so read from disk."""
        held = (sum(self.allocation(owner).values()) for owner in self._allocations)
        return self._released_mib + sum(held)

    def used_mib(self, card: GraphicsCard) -> float:
        """Return the MiB in use, those of other programs included."""
        held = (self.allocation(owner).get(card.index, 0.0) for owner in self._allocations)
        return card.others_mib + sum(held)

    def allocation(self, owner: object) -> dict[int, float]:
        """Return the MiB that a process has on each card, by the card's number."""
        filled = self._filled.get(owner, 1.0)
        held = self._allocations.get(owner, {})
        return {index: mib * filled for index, mib in held.items()}

    def fill(self, owner: object, share: float) -> None:
        """Show only a share of what a process has allocated as in use."""
        self._filled[owner] = share

    def split(self, flags: FakeFlags, environment: Mapping[str, str]) -> dict[int, float]:
        """Return the share of each card by its number, in whole layers.

        As llama.cpp does it: in proportion to `--tensor-split`, else to the free memory.
        """
        chosen = self._visible_cards(flags, environment)
        if not chosen:
            return {}
        weights = list(flags.tensor_split[: len(chosen)])
        weights += [0.0] * (len(chosen) - len(weights))
        if not any(weights):
            weights = [max(self._free_mib(card), 1.0) for card in chosen]
        layers = dict.fromkeys((card.index for card in chosen), 0)
        total, reached = sum(weights), 0.0
        for card, weight in zip(chosen, weights, strict=True):
            before, reached = reached, reached + weight
            layers[card.index] = round(_LAYERS * reached / total) - round(_LAYERS * before / total)
        return {index: count / _LAYERS for index, count in layers.items() if count}

    def allocate(self, owner: object, size_mib: float, shares: Mapping[int, float]) -> None:
        """Allocate memory for a process, on each card its share.

        Raises OutOfGpuMemory for the first card without enough room; earlier allocations stay.
        """
        held = self._allocations.setdefault(owner, {})
        for card in self.cards:
            part = size_mib * shares.get(card.index, 0.0)
            if part > self._free_mib(card):
                raise OutOfGpuMemory(self.device_name(card), part)
            if part:
                held[card.index] = held.get(card.index, 0.0) + part

    def release(self, owner: object) -> None:
        """Free the memory of a process that has ended."""
        self._released_mib += sum(self.allocation(owner).values())
        self._allocations.pop(owner, None)
        self._filled.pop(owner, None)

    def device_name(self, card: GraphicsCard) -> str:
        """Return llama.cpp's name of a card: CUDA0, ROCm0."""
        same = [one for one in self.cards if one.driver is card.driver]
        return f"{_DEVICE_PREFIXES[card.driver]}{same.index(card)}"

    def _free_mib(self, card: GraphicsCard) -> float:
        taken = sum(held.get(card.index, 0.0) for held in self._allocations.values())
        return card.memory_mib - card.others_mib - taken

    def _visible_cards(
        self, flags: FakeFlags, environment: Mapping[str, str]
    ) -> Sequence[GraphicsCard]:
        chosen = [card for card in self.cards if not _is_hidden(card, self.cards, environment)]
        if flags.devices is not None:
            chosen = [card for card in chosen if self.device_name(card) in flags.devices]
        if flags.gpu_layers == 0:
            return ()
        return chosen[flags.main_gpu : flags.main_gpu + 1] if flags.one_card else chosen


def _is_hidden(
    card: GraphicsCard, cards: Sequence[GraphicsCard], environment: Mapping[str, str]
) -> bool:
    for variable, driver in _VISIBILITY_VARIABLES.items():
        if variable in environment:
            theirs = [one for one in cards if one.driver is driver]
            names = environment[variable].split(",")
            return card not in theirs or str(theirs.index(card)) not in names
    return False
