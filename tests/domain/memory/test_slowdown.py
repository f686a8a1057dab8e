"""A model that is much slower with a larger context, and what else may be the reason."""

import pytest

from aitui.domain.memory.footprint import Footprint
from aitui.domain.memory.forecast import ModelMemory, OffloadSlowdown, find_slowdown
from aitui.domain.memory.launch_profile import launch_profile
from aitui.domain.memory.measurement import Measurement, MemoryRecords, UsualRate
from domain.memory.files import BIG, read

GIB = 1 << 30
SETUP = launch_profile("llama-server -m big.gguf -ngl 99")
KNOWN = MemoryRecords(
    (
        Measurement(32_768, 3 * GIB, setup=SETUP.fingerprint),
        Measurement(65_536, 2 * GIB, setup=SETUP.fingerprint),
    ),
    rates=(UsualRate(32_768, 50.0, SETUP.fingerprint),),
)
MEMORY = ModelMemory(SETUP, KNOWN, read(BIG))
"""With 65,536 tokens it would take 5 GiB of the card."""


def seen(gib: float) -> Footprint:
    return Footprint(65_536, round(gib * GIB))


@pytest.mark.parametrize(
    ("rate", "on_card", "found"),
    [(48, 5, False), (20, 4, True), (20, 5, False), (10, 5, True), (0, 4, False), (31, 4, False)],
)
def test_a_model_that_is_much_slower_and_not_all_there_has_spilled(
    rate: float, on_card: float, found: bool
) -> None:
    assert bool(find_slowdown("m", MEMORY, 65_536, rate, seen(on_card))) is found


def test_it_is_told_with_both_contexts_and_rates() -> None:
    assert find_slowdown("m", MEMORY, 65_536, 9.0, None) == OffloadSlowdown(
        "m", 65_536, 32_768, 9.0, 50.0
    )


def test_without_an_earlier_rate_nothing_has_spilled() -> None:
    assert find_slowdown("m", ModelMemory(SETUP), 65_536, 1.0, None) is None
    assert find_slowdown("m", MEMORY, 32_768, 1.0, None) is None


def test_another_setup_has_rates_of_its_own() -> None:
    other = ModelMemory(launch_profile("llama-server -m big.gguf -ngl 20"), KNOWN)
    assert find_slowdown("m", other, 65_536, 1.0, None) is None


def test_nothing_is_known_before_the_first_answer() -> None:
    assert find_slowdown("m", MEMORY, 65_536, None, seen(4)) is None
