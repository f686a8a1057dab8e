"""The interface of a module for a GPU vendor."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from aitui.domain.hardware.gpu.drm import DrmCard, DrmClient, card_uses
from aitui.domain.hardware.sample import Gpu, GpuProcessMemory


class Sections(Struct, frozen=True):
    """What a script wrote, by section: the rest of its first line, and the lines that follow."""

    by_name: Mapping[str, tuple[str, Sequence[str]]]

    @classmethod
    def parse(cls, text: str, mark: str) -> "Sections":
        """Split a script's output at the lines that begin with the mark."""
        found: dict[str, tuple[str, list[str]]] = {}
        lines: list[str] = []
        for line in text.split("\n"):
            if line.startswith(mark):
                name, _, value = line.removeprefix(mark).strip().partition(" ")
                lines = []
                found.setdefault(name, (value, lines))
            else:
                lines.append(line)
        return cls(found)

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    def value(self, name: str) -> str:
        """Return what stands on the first line of a section, behind its name."""
        return self.by_name[name][0] if name in self.by_name else ""

    def lines(self, name: str) -> Sequence[str]:
        """Return the lines of a section, none if it is missing."""
        return self.by_name[name][1] if name in self.by_name else ()


class GpuVendor(Struct, frozen=True):
    """How a vendor's cards are named.

    `card_name` matches the name of a card, `back_ends` are what llama.cpp calls the vendor's
    devices, `variables` hide some of its cards from a process.
    """

    name: str
    card_name: re.Pattern[str]
    back_ends: tuple[str, ...]
    variables: tuple[str, ...] = ()
    uuid_prefixes: tuple[str, ...] = ()


class GpuOutput(Struct, frozen=True):
    """What the sampling script wrote about graphics cards.

    `cards` and `clients` are those of the kernel's drivers. `memory` is the machine's, in bytes, `at`
    is Unix time.
    """

    sections: Sections
    cards: tuple[DrmCard, ...]
    clients: tuple[DrmClient, ...]
    memory: int | None
    at: float


class GpuReading(Struct, frozen=True):
    """A vendor's cards, what processes hold there, and why its tool failed, if it did."""

    gpus: tuple[Gpu, ...] = ()
    uses: tuple[GpuProcessMemory, ...] = ()
    error: str = ""


class GpuProbe(Protocol):
    """A vendor's module.

    Cards are found by a tool or by the kernel's driver. `SCRIPT` is the part of the sampling script
    that runs the tool; `section NAME` begins a section there and `$limit` ends what hangs. `DRIVERS`
    are the kernel's drivers, and `FILES` what the script reads of their cards, below
    `/sys/class/drm/cardN`.
    """

    VENDOR: GpuVendor
    SCRIPT: str
    DRIVERS: tuple[str, ...]
    FILES: tuple[str, ...]

    def read(self, output: GpuOutput) -> GpuReading:
        """Find the vendor's cards in what the script wrote."""


def read_kernel_cards(
    output: GpuOutput,
    drivers: Collection[str],
    build: Callable[[DrmCard, Iterable[DrmClient], float], Gpu],
) -> GpuReading:
    """Return the cards of these drivers, each as `build` makes it of its files and clients."""
    gpus = tuple(
        build(card, output.clients, output.at) for card in output.cards if card.driver in drivers
    )
    uses = tuple(use for gpu in gpus for use in card_uses(gpu, output.clients))
    return GpuReading(gpus, uses)
