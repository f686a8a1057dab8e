"""What was seen of who used the cards."""

from collections.abc import Mapping

from aitui.domain.hardware.sample import Gpu, SampleSource
from aitui.domain.memory.footprint import FootprintOrigin
from aitui.domain.memory.hardware_state import MemoryRecord, record_usage
from aitui.domain.memory.usage import GpuMemoryUsage, GpuShare, MemoryUsage


def usage(at: float, shares: Mapping[str, int]) -> MemoryUsage:
    own = tuple(GpuShare(name, size, FootprintOrigin.MEASURED) for name, size in shares.items())
    return MemoryUsage(
        (GpuMemoryUsage(Gpu(0, uuid="GPU-1"), own),), source=SampleSource.SERVER, at=at
    )


def recorded(*seen: tuple[float, Mapping[str, int], set[str]]) -> tuple[MemoryRecord, ...]:
    records: tuple[MemoryRecord, ...] = ()
    for at, shares, loading in seen:
        records = record_usage(records, usage(at, shares), frozenset(loading))
    return records


def spans(records: tuple[MemoryRecord, ...]) -> list[tuple[float, float]]:
    return [(record.began, record.ended) for record in records]


def test_what_does_not_change_is_one_record() -> None:
    records = recorded((10, {"a": 5}, set()), (15, {"a": 5}, set()), (20, {"a": 5}, set()))
    assert records == (MemoryRecord(10, 20, {"GPU-1": {"a": 5}}),)


def test_a_change_ends_a_record_and_begins_another() -> None:
    records = recorded((10, {"a": 5}, set()), (15, {"a": 5, "b": 1}, {"b", "c"}))
    assert spans(records) == [(10, 15), (15, 15)]
    assert records[1].loading == {"b"}


def test_a_time_in_which_nothing_was_seen_is_in_no_record() -> None:
    records = recorded((10, {"a": 5}, set()), (15, {"a": 5}, set()), (100, {"a": 5}, set()))
    assert spans(records) == [(10, 15), (100, 100)]


def test_a_sample_that_was_seen_already_changes_nothing() -> None:
    records = recorded((10, {"a": 5}, set()))
    assert record_usage(records, usage(10, {"b": 1}), frozenset()) is records
    assert record_usage(records, MemoryUsage(), frozenset()) is records


def test_an_hour_is_kept() -> None:
    records = recorded(*((50.0 * number, {"a": number}, set()) for number in range(100)))
    assert records[-1].ended - records[0].ended <= 3600
    assert len(records) < 80
