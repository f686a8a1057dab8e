"""An hour of samples as columns of a plot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.hardware.sample import (
    HISTORY_SECONDS,
    MOST_SAMPLES,
    Gpu,
    HardwareSample,
    Machine,
    NetworkInterface,
    SampleHistory,
    SampleSource,
    gpu_metric,
    merge_machines,
    server_gaps,
)

USE = gpu_metric("GPU-1", lambda gpu: gpu.use_percent)


def at(moment: float, use: float | None, uuid: str = "GPU-1") -> HardwareSample:
    return HardwareSample(moment, SampleSource.SERVER, (Gpu(0, uuid=uuid, use_percent=use),))


def test_a_column_has_the_mean_of_its_samples() -> None:
    history = SampleHistory().with_samples([at(1, 10), at(2, 30), at(6, 50)])
    assert history.series(USE, 10, 2, now=10) == (20, 50)


def test_a_sample_holds_until_the_next_one() -> None:
    history = SampleHistory().with_samples([at(1, 10), at(31, 50)])
    assert history.series(USE, 40, 4, now=40) == (10, 10, 10, 50)


def test_nothing_is_made_up_for_longer_than_a_minute() -> None:
    history = SampleHistory().with_samples([at(10, 10), at(290, 50)])
    assert history.series(USE, 300, 5, now=300) == (10, 10, None, None, 50)


def test_what_came_before_the_plot_holds_into_it() -> None:
    history = SampleHistory().with_samples([at(90, 10)])
    assert history.series(USE, 20, 2, now=120) == (10, 10)


def test_a_card_that_has_gone_leaves_a_gap() -> None:
    history = SampleHistory().with_samples([at(1, 10), at(6, 50, uuid="GPU-2")])
    assert history.series(USE, 10, 2, now=10)[0] == 10


def test_samples_that_are_known_already_come_once() -> None:
    history = SampleHistory().with_samples([at(1, 10), at(2, 20)])
    assert history.with_samples([at(1, 10), at(2, 20)]) is history
    assert len(history.with_samples([at(2, 20), at(3, 30)]).samples) == 3


def test_an_hour_is_kept_and_no_more() -> None:
    history = SampleHistory().with_samples(at(float(second), 1) for second in range(0, 8000, 5))
    first, last = history.samples[0].at, history.samples[-1].at
    assert last - first <= HISTORY_SECONDS


def test_a_flood_of_samples_is_bounded() -> None:
    history = SampleHistory().with_samples(at(number / 100, 1) for number in range(10_000))
    assert len(history.samples) == MOST_SAMPLES


def received(moment: float, count: int | None) -> HardwareSample:
    interfaces = () if count is None else (NetworkInterface("eth0", count, 0),)
    machine = Machine(network=interfaces, sampled_at=moment)
    return HardwareSample(moment, SampleSource.SERVER, machine=machine)


def _received_bytes(sample: HardwareSample) -> float | None:
    network = sample.machine.network if sample.machine is not None else ()
    return network[0].received_bytes if network else None


def test_the_growth_of_a_counter_skips_gaps_and_a_restart() -> None:
    counts = ((0, 100), (5, None), (10, 300), (15, 20), (20, 70))
    history = SampleHistory().with_samples(received(moment, count) for moment, count in counts)
    rate = history.rate(_received_bytes)
    assert [rate(one) for one in history.samples] == [None, None, 20, None, 10]
    assert history.latest(rate) == 10


def test_the_latest_figure_is_of_the_last_minute() -> None:
    history = SampleHistory().with_samples([at(0, 10), at(50, None)])
    assert history.latest(USE) == 10
    assert history.with_samples([at(70, None)]).latest(USE) is None
    assert SampleHistory().latest(USE) is None


def test_what_only_the_host_samples_joins_the_history_of_the_server() -> None:
    card = Gpu(0, uuid="GPU-1", use_percent=50, clock=2505)
    whole = HardwareSample(
        12, SampleSource.HOST, (card,), Machine(cores=(1.0,), disk_bytes=7, sampled_at=12)
    )
    history = SampleHistory().with_samples([at(10, 10), at(15, 20)])
    joined = history.completed_by(SampleHistory((server_gaps(whole),)))
    clock = gpu_metric("GPU-1", lambda gpu: gpu.clock)
    assert [one.at for one in joined.samples] == [10, 12, 15]
    assert joined.series(USE, 10, 2, now=20) == (10, 20)
    assert joined.series(clock, 10, 2, now=20) == (2505, 2505)
    assert [one.machine.cores for one in joined.samples if one.machine] == [()]


def test_the_newest_state_of_a_machine_is_completed_by_the_other_source() -> None:
    server = Machine(cores=(5.0,), memory_used=3, sampled_at=20)
    host = Machine(memory_used=2, file_cache=9, temperature=50.0, sampled_at=10)
    merged = merge_machines((host, None, server))
    assert merged == Machine(
        cores=(5.0,), memory_used=3, sampled_at=20, file_cache=9, temperature=50.0
    )
    assert merge_machines((None,)) is None


@pytest.mark.parametrize(("seconds", "columns"), [(0, 10), (10, 0), (-5, 3), (10, -1)])
def test_a_plot_of_no_size_is_empty(seconds: float, columns: int) -> None:
    assert SampleHistory((at(1, 1),)).series(USE, seconds, columns, now=2) == ()


@given(
    st.lists(st.tuples(st.floats(0, 5000), st.none() | st.floats(0, 100)), max_size=30),
    st.integers(1, 200),
)
def test_columns_stay_between_the_smallest_and_the_largest(
    rows: list[tuple[float, float | None]], columns: int
) -> None:
    history = SampleHistory().with_samples(at(moment, use) for moment, use in rows)
    series = history.series(USE, 900, columns, now=5000)
    assert len(series) == columns
    assert all(value is None or -1e-9 <= value <= 100 + 1e-9 for value in series)
