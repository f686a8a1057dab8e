"""The memory that a model uses, with the origin of the figure."""

from enum import Enum

from msgspec import Struct

from aitui.domain.units import format_gb

APPROXIMATELY = "≈"


class FootprintOrigin(Enum):
    """The origins of a memory figure, the most trusted first."""

    MEASURED = "measured"
    SCALED = "measured at another context size"
    ESTIMATED = "estimated from the model file"


class Footprint(Struct, frozen=True):
    """Bytes that a model takes at a context size; None for parts that weren't distinguished.

    `gpu` is what it takes on all graphics cards together, `host` of the machine's own memory: with
    the pages of its file if nothing is on a card, since it is slow without them, else without. `cards` are the bytes on each card by its key,
    empty if only the sum is known.
    """

    context_size: int
    gpu: int
    host: int | None = None
    weights: int | None = None
    cache: int | None = None
    compute: int | None = None
    origin: FootprintOrigin = FootprintOrigin.ESTIMATED
    cards: tuple[tuple[str, int], ...] = ()

    @property
    def approximate(self) -> bool:
        """Whether the figure is calculated, not measured."""
        return self.origin is not FootprintOrigin.MEASURED

    @property
    def needed(self) -> int:
        """The bytes that have to fit on the graphics cards, or without any in the machine's memory."""
        return self.gpu or self.host or 0

    @property
    def figure(self) -> str:
        """As a column of GB shows it: "41.2", "≈52.0"."""
        mark = APPROXIMATELY if self.approximate else ""
        return f"{mark}{format_gb(self.needed)}"

    @property
    def label(self) -> str:
        """As a sentence has it: "41.2 GB", "≈52.0 GB"."""
        return f"{self.figure} GB"
