"""The graphics cards of the demo's machine: they fill and empty as models load and unload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from msgspec import Struct

from aitui.demo.fake_flags import FakeFlags

_LAYERS = 48
_OTHERS_MIB = 612


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


class GraphicsCard(Struct, frozen=True):
    """One card. Memory in MiB; `bus` is its PCI address."""

    index: int
    name: str
    memory_mib: int
    bus: str
    driver: GraphicsDriver = GraphicsDriver.NVIDIA

    @property
    def uuid(self) -> str:
        """The id in `nvidia-smi` and llama-swap."""
        return f"GPU-5f0c2a9e-0000-4000-8000-{self.index + 1:012d}"


ONE_CARD = (GraphicsCard(0, "NVIDIA RTX PRO 6000 Blackwell", 96 * 1024, "0000:01:00.0"),)
TWO_CARDS = (
    GraphicsCard(0, "NVIDIA RTX 6000 Ada Generation", 48 * 1024, "0000:01:00.0"),
    GraphicsCard(1, "NVIDIA RTX 6000 Ada Generation", 48 * 1024, "0000:41:00.0"),
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

    def used_mib(self, card: GraphicsCard) -> float:
        """Return the MiB in use, those of other programs included."""
        return _OTHERS_MIB + sum(held.get(card.index, 0.0) for held in self._allocations.values())

    def allocation(self, owner: object) -> dict[int, float]:
        """Return the MiB that a process has on each card, by the card's number."""
        return dict(self._allocations.get(owner, {}))

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
            weights = [max(card.memory_mib - self.used_mib(card), 1.0) for card in chosen]
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
            if part > card.memory_mib - self.used_mib(card):
                raise OutOfGpuMemory(self.device_name(card), part)
            if part:
                held[card.index] = held.get(card.index, 0.0) + part

    def release(self, owner: object) -> None:
        """Free the memory of a process that has ended."""
        self._allocations.pop(owner, None)

    def device_name(self, card: GraphicsCard) -> str:
        """Return llama.cpp's name of a card: CUDA0, ROCm0."""
        same = [one for one in self.cards if one.driver is card.driver]
        return f"{_DEVICE_PREFIXES[card.driver]}{same.index(card)}"

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
