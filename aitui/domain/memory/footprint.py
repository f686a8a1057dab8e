"""What a model takes, with the origin of the figure."""

from dataclasses import dataclass
from enum import Enum

from aitui.domain.units import format_bytes_gib

APPROXIMATELY = "≈"


class FootprintOrigin(Enum):
    """Where a figure of memory comes from, the most trusted first."""

    MEASURED = "measured"
    SCALED = "measured at another context size"
    ESTIMATED = "estimated from the model file"


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes that a model takes at a context size. The parts are None where they aren't told apart.

    `gpu` is what it takes on all graphics cards together, `host` of the machine's own memory,
    without what is merely mapped from its file. `cards` are the bytes on each card by its key,
    empty where they aren't told apart.
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
        """Whether the figure is calculated, and not what was seen."""
        return self.origin is not FootprintOrigin.MEASURED

    @property
    def needed(self) -> int:
        """Where it has to fit: on the graphics cards, or in the machine's memory without any."""
        return self.gpu or self.host or 0

    @property
    def label(self) -> str:
        """As a table shows it: "41.2G", "≈52.0G"."""
        mark = APPROXIMATELY if self.approximate else ""
        return f"{mark}{format_bytes_gib(self.needed)}"
