"""View 4 and the strip of memory, as pictures."""

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from ui.hand_made import live
from ui.memory.standing import TWO_CARDS
from ui.mixture import MIXTURE
from ui.test_pictures import LARGE, MIDDLE, SMALL, Picture, looks_as_before, words_of

__all__ = ["looks_as_before"]

STANDING = replace(live(*MIXTURE), hardware=TWO_CARDS)


@pytest.mark.parametrize("size", [SMALL, MIDDLE, LARGE], ids=words_of)
def test_the_hardware(looks_as_before: Picture, size: tuple[int, int]) -> None:
    assert looks_as_before(STANDING, size, "4")


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=words_of)
def test_the_memory_beside_the_models(
    looks_as_before: Picture,
    size: tuple[int, int],
) -> None:
    assert looks_as_before(STANDING, size, prepare=_laid_out)


async def _laid_out(pilot: Pilot[None]) -> None:
    """The strip takes its height from lines that it draws once it has a width."""
    for _ in range(10):
        await pilot.pause(0.05)
