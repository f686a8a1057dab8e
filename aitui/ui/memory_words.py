"""Memory in words: bars, verdicts, and where each figure is from."""

from aitui.domain.amounts import format_bytes_gib
from aitui.domain.memory.footprint import APPROXIMATELY, Footprint
from aitui.domain.memory.picture import MemoryUsage

GIB = 1 << 30
FULL, EMPTY = "▆", "▁"
BAR_CELLS = 9
NEARLY_FULL = 0.92


def usage_bar(used: float, total: float, cells: int = BAR_CELLS) -> str:
    """A bar that is empty only where nothing is used, and full only where everything is."""
    if total <= 0 or cells < 1:
        return ""
    share = min(max(used / total, 0.0), 1.0)
    full = round(share * cells)
    if 0 < share < 1 and cells > 1:
        full = min(max(full, 1), cells - 1)
    return FULL * full + EMPTY * (cells - full)


def total_memory_text(picture: MemoryUsage, *, with_bar: bool) -> str:
    """The header's figure: `VRAM ▆▆▆▁▁ 61/96 G`; empty where nothing is known."""
    used, total = picture.used_bytes, picture.total_bytes
    if total is None:
        return ""
    name = "VRAM" if picture.on_cards else "RAM"
    if used is None:
        return f"{name} {_whole_gib(total)} G"
    drawn = f"{usage_bar(used, total)} " if with_bar else ""
    return f"{name} {drawn}{_whole_gib(used)}/{_whole_gib(total)} G"


def is_nearly_full(picture: MemoryUsage) -> bool:
    """Whether so little is free that a small model hardly fits."""
    used, total = picture.used_bytes, picture.total_bytes
    return used is not None and total is not None and used > total * NEARLY_FULL


def footprint_text(footprint: Footprint) -> str:
    """What a model takes, its parts, and where the figure is from."""
    mark = APPROXIMATELY if footprint.approximate else ""
    parts = [
        f"{name} {mark if name != 'weights' else ''}{format_bytes_gib(size)}"
        for name, size in (
            ("weights", footprint.weights),
            ("cache", footprint.cache),
            ("compute", footprint.compute),
        )
        if size
    ]
    beside = ""
    if footprint.gpu and footprint.host:
        beside = f", beside {format_bytes_gib(footprint.host)} of RAM"
    of_parts = f" ({' · '.join(parts)})" if parts else ""
    return f"{footprint.label}{beside}{of_parts}, {footprint.origin.value}"


def _whole_gib(amount: int) -> str:
    return f"{amount / GIB:.0f}"
