"""Measurements beat formulas, scale where that is right, and remember what died."""

from msgspec.structs import replace

from aitui.domain.memory.estimate import kv_cache_bytes
from aitui.domain.memory.footprint import FootprintOrigin
from aitui.domain.memory.measurement import (
    FAILURES_KEPT,
    MEASUREMENTS_KEPT,
    RATES_KEPT,
    Measurement,
    MemoryRecords,
    OutOfMemory,
    UsualRate,
    expected_footprint,
)
from domain.memory.files import BIG, read

GIB = 1 << 30
HEADER = read(BIG)


def cache(context_size: int) -> int | None:
    return kv_cache_bytes(HEADER, context_size)


def at(context_size: int, gib: float, setup: str = "a") -> Measurement:
    return Measurement(context_size, round(gib * GIB), setup=setup)


def test_nothing_measured_expects_nothing() -> None:
    assert expected_footprint([], "a", 4096, cache) is None


def test_the_same_context_takes_what_it_took() -> None:
    found = expected_footprint([at(4096, 5), at(8192, 6)], "a", 4096, cache)
    assert found is not None
    assert (found.gpu, found.origin, found.approximate) == (
        5 * GIB,
        FootprintOrigin.MEASURED,
        False,
    )


def test_a_measurement_with_another_setup_says_nothing() -> None:
    assert expected_footprint([at(4096, 5, setup="b")], "a", 4096, cache) is None


def test_a_dense_model_grows_by_its_cache() -> None:
    found = expected_footprint([at(32_768, 3)], "a", 65_536, cache)
    assert found is not None
    assert found.gpu == 5 * GIB
    assert found.origin is FootprintOrigin.SCALED
    assert found.label == "≈5.0 GB"


def test_a_dense_model_shrinks_by_its_cache() -> None:
    found = expected_footprint([at(32_768, 3)], "a", 16_384, cache)
    assert found is not None
    assert found.gpu == 2 * GIB


def test_another_model_is_unknown_at_another_context() -> None:
    assert expected_footprint([at(32_768, 3)], "a", 65_536) is None


def test_two_measurements_make_a_line_for_any_model() -> None:
    found = expected_footprint([at(10_000, 3), at(20_000, 4)], "a", 40_000)
    assert found is not None
    assert found.gpu == 6 * GIB
    assert found.approximate


def test_a_model_without_a_gpu_grows_in_the_machine_s_memory() -> None:
    measured = Measurement(32_768, 0, host=3 * GIB, setup="a")
    found = expected_footprint([measured], "a", 65_536, cache)
    assert found is not None
    assert (found.gpu, found.host, found.needed) == (0, 5 * GIB, 5 * GIB)


def test_a_newer_measurement_takes_the_place_of_an_older_one() -> None:
    known = MemoryRecords().with_record(at(4096, 5)).with_record(at(4096, 6))
    assert [one.gpu for one in known.measurements] == [6 * GIB]


def test_what_ran_out_of_memory_is_remembered_by_its_smallest_context() -> None:
    known = (
        MemoryRecords().with_record(OutOfMemory(65_536, "a")).with_record(OutOfMemory(40_000, "a"))
    )
    assert known.failed_at("a") == 40_000
    assert known.failed_at("b") is None


def test_a_load_that_came_up_with_as_much_clears_the_memory_of_one_that_died() -> None:
    known = (
        MemoryRecords().with_record(OutOfMemory(40_000, "a")).with_record(OutOfMemory(65_536, "a"))
    )
    assert known.with_record(at(40_000, 5)).failed_at("a") == 65_536
    assert known.with_record(at(39_999, 5)).failed_at("a") == 40_000
    assert known.with_record(at(40_000, 5, setup="b")).failed_at("a") == 40_000


def test_memory_of_a_model_is_bounded() -> None:
    known = MemoryRecords()
    for number in range(100):
        known = known.with_record(OutOfMemory(1000 + number, "a"))
        known = known.with_record(at(100 + number, 5))
        known = known.with_record(UsualRate(100 + number, 5.0, "a"))
    assert len(known.measurements) == MEASUREMENTS_KEPT
    assert len(known.failures) == FAILURES_KEPT
    assert len(known.rates) == RATES_KEPT


def rates(*pairs: tuple[int, float]) -> MemoryRecords:
    known = MemoryRecords()
    for context_size, rate in pairs:
        known = known.with_record(UsualRate(context_size, rate, "a"))
    return known


def test_a_newer_rate_takes_the_place_of_an_older_one() -> None:
    assert rates((4096, 50.0), (4096, 40.0)).usual_rate("a", 4096) == UsualRate(4096, 40.0, "a")


def test_the_largest_context_at_a_good_pace_is_the_one_to_go_back_to() -> None:
    known = rates((4096, 52.0), (8192, 50.0), (65_536, 9.0), (131_072, 8.0))
    assert known.fast_rate_below("a", 131_072) == UsualRate(8192, 50.0, "a")
    assert known.fast_rate_below("a", 8192) == UsualRate(4096, 52.0, "a")
    assert known.fast_rate_below("a", 4096) is None
    assert known.fast_rate_below("b", 131_072) is None


def test_figures_that_cannot_be_true_are_dropped_at_the_next_measurement() -> None:
    def weigh(context_size: int, gib: float, weights: float) -> Measurement:
        return replace(at(context_size, gib), weights=round(weights * GIB))

    twice, thrice = weigh(4096, 10, 8), weigh(8192, 15, 12)
    other = replace(thrice, setup="b")
    known = MemoryRecords((twice, thrice, other)).with_record(new := weigh(16_384, 6, 4))
    assert known.measurements == (other, new)


def test_more_memory_for_a_smaller_context_cannot_be_true() -> None:
    known = MemoryRecords((at(4096, 10), at(8192, 5))).with_record(at(16_384, 6))
    assert known.measurements == (at(8192, 5), at(16_384, 6))
