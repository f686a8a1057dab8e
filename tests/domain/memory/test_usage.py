"""The join: whose the memory of each card is, what is free, and how each figure is known."""

import pytest
from msgspec.structs import replace

from aitui.domain.hardware.host_sample import HostSample, ProcessMemory
from aitui.domain.hardware.machine import Process
from aitui.domain.hardware.sample import (
    Gpu,
    GpuProcessMemory,
    HardwareSample,
    Machine,
    SampleSource,
)
from aitui.domain.memory.footprint import Footprint, FootprintOrigin
from aitui.domain.memory.start_up import DeviceMemory, StartupMemory
from aitui.domain.memory.usage import (
    build_measurement,
    footprint_by_difference,
    memory_usage,
    observe_footprint,
    port_of,
)
from aitui.domain.models import ContextSize, Model, RunState

GIB = 1 << 30
FIRST = Gpu(0, "RTX 5090", "GPU-1", 20 * GIB, 32 * GIB)
SECOND = Gpu(1, "RTX 5090", "GPU-2", 10 * GIB, 32 * GIB)
MACHINE = Machine(memory_total=128 * GIB, memory_used=28 * GIB, sampled_at=10.0)
SERVER = HardwareSample(10.0, SampleSource.SERVER, (FIRST,), MACHINE)
BOTH = HardwareSample(10.0, SampleSource.SERVER, (FIRST, SECOND), MACHINE)


def model(name: str, port: int = 9001, state: RunState = RunState.READY) -> Model:
    proxy = f"http://localhost:{port}"
    return Model(name, state=state, proxy=proxy, context=ContextSize(32_768))


def host(*uses: GpuProcessMemory, gpus: tuple[Gpu, ...] = (FIRST,)) -> HostSample:
    return HostSample(
        sample=HardwareSample(11.0, SampleSource.HOST, gpus, replace(MACHINE, sampled_at=11.0)),
        uses=uses,
        processes={100: Process(100, 1, 2 * GIB), 101: Process(101, 100, GIB)},
        ports={9001: frozenset({100})},
    )


def footprint(gib: float, origin: FootprintOrigin = FootprintOrigin.ESTIMATED) -> Footprint:
    return Footprint(32_768, round(gib * GIB), origin=origin)


def test_before_the_first_sample_nothing_is_known() -> None:
    picture = memory_usage(None, [model("a")])
    assert (picture.cards, picture.total_bytes, picture.free_bytes) == ((), None, None)
    assert picture.source is None


def test_the_header_counts_all_cards() -> None:
    picture = memory_usage(BOTH, [])
    assert (picture.total_bytes, picture.used_bytes) == (64 * GIB, 30 * GIB)
    assert picture.free_bytes == 34 * GIB
    assert picture.source is SampleSource.SERVER


def test_the_cards_of_the_host_have_what_the_server_measured_since() -> None:
    slow = replace(FIRST, power_limit=450.0, use_percent=90.0)
    newer = replace(FIRST, used_bytes=25 * GIB, use_percent=None, sampled_at=14.0)
    for at, used in ((14.0, 25), (9.0, 20)):
        sample = replace(SERVER, at=at, gpus=(newer,))
        picture = memory_usage(sample, [], host=host(gpus=(slow,)))
        (card,) = picture.cards
        assert (card.gpu.used_bytes, card.gpu.use_percent) == (used * GIB, 90.0)
        assert card.gpu.power_limit == 450.0
        assert picture.at == max(at, 11.0)


def test_what_a_card_gained_since_its_processes_were_seen_is_of_the_one_load() -> None:
    sample = replace(SERVER, at=14.0, gpus=(replace(FIRST, used_bytes=25 * GIB, sampled_at=14.0),))
    seen = host(GpuProcessMemory("GPU-1", 100, 18 * GIB))
    loading = model("a", state=RunState.STARTING)
    for others, share in ((), 23), ((model("b", 9009, RunState.STARTING),), 18):
        known = {"a": footprint(30)}
        (card,) = memory_usage(sample, [loading, *others], host=seen, expected=known).cards
        assert [one.used_bytes for one in card.models] == [share * GIB]
        assert card.others == (25 - share) * GIB


def test_without_a_card_the_header_counts_the_machine() -> None:
    picture = memory_usage(replace(SERVER, gpus=()), [])
    assert not picture.on_cards
    assert (picture.total_bytes, picture.used_bytes) == (128 * GIB, 28 * GIB)
    assert picture.free_bytes == 100 * GIB


def test_processes_say_whose_the_memory_is() -> None:
    uses = (
        GpuProcessMemory("GPU-1", 100, 12 * GIB),
        GpuProcessMemory("GPU-1", 101, GIB),
        GpuProcessMemory("GPU-1", 7, 2 * GIB),
    )
    picture = memory_usage(None, [model("a")], host=host(*uses))
    (card,) = picture.cards
    (share,) = card.models
    assert (share.model, share.used_bytes, share.approximate) == ("a", 13 * GIB, False)
    assert card.others == 7 * GIB
    assert picture.footprints["a"].label == "13.0 GB"


def test_a_log_says_it_where_the_machine_cannot_be_asked() -> None:
    start = StartupMemory((DeviceMemory("CUDA0", 10 * GIB, 4 * GIB, GIB), DeviceMemory("CPU", GIB)))
    picture = memory_usage(SERVER, [model("a")], starts={"a": start})
    found = picture.footprints["a"]
    assert (found.gpu, found.host, found.cache) == (15 * GIB, GIB, 4 * GIB)
    assert not picture.cards[0].models[0].approximate
    assert picture.cards[0].others == 5 * GIB


def test_an_estimate_stands_in_where_nothing_was_seen() -> None:
    picture = memory_usage(SERVER, [model("a")], expected={"a": footprint(8)})
    (share,) = picture.cards[0].models
    assert (share.used_bytes, share.approximate) == (8 * GIB, True)
    assert picture.cards[0].others == 12 * GIB


def test_what_was_seen_beats_what_was_expected() -> None:
    uses = (GpuProcessMemory("GPU-1", 100, 12 * GIB),)
    picture = memory_usage(SERVER, [model("a")], host=host(*uses), expected={"a": footprint(8)})
    assert picture.footprints["a"].gpu == 12 * GIB


def test_a_model_that_does_not_run_has_its_figure_and_no_share() -> None:
    stopped = model("b", state=RunState.STOPPED)
    picture = memory_usage(SERVER, [stopped], expected={"b": footprint(8)})
    assert picture.footprints["b"].label == "≈8.0 GB"
    assert picture.cards[0].models == ()
    assert picture.cards[0].others == 20 * GIB


def test_a_log_with_two_devices_is_shared_out_by_their_numbers() -> None:
    start = StartupMemory((DeviceMemory("CUDA0", 12 * GIB), DeviceMemory("CUDA1", 3 * GIB)))
    picture = memory_usage(BOTH, [model("a")], starts={"a": start})
    assert [card.models[0].used_bytes for card in picture.cards] == [12 * GIB, 3 * GIB]


def test_a_sum_is_shared_out_as_the_cards_are_used_and_says_so() -> None:
    expected = {"a": footprint(15, FootprintOrigin.MEASURED)}
    picture = memory_usage(BOTH, [model("a")], expected=expected)
    assert [card.models[0].used_bytes for card in picture.cards] == [10 * GIB, 5 * GIB]
    assert all(card.models[0].approximate for card in picture.cards)


def test_a_model_that_loads_shows_what_it_will_take_and_has_no_more_than_is_in_use() -> None:
    loading = model("a", state=RunState.STARTING)
    uses = (GpuProcessMemory("GPU-1", 100, 3 * GIB),)
    asked = memory_usage(None, [loading], host=host(*uses), expected={"a": footprint(30)})
    untold = memory_usage(SERVER, [loading], expected={"a": footprint(30)})
    for picture, size in ((asked, 3), (untold, 20)):
        assert picture.footprints["a"].label == "≈30.0 GB"
        assert [share.used_bytes for share in picture.cards[0].models] == [size * GIB]
        assert picture.observed_now == frozenset()


def test_more_than_the_card_has_in_use_leaves_no_others() -> None:
    picture = memory_usage(SERVER, [model("a")], expected={"a": footprint(30)})
    assert picture.cards[0].others == 0


def test_a_partition_counts_on_the_only_card() -> None:
    uses = (GpuProcessMemory("MIG-GPU-1/3/0", 100, 5 * GIB),)
    picture = memory_usage(None, [model("a")], host=host(*uses))
    assert picture.cards[0].models[0].used_bytes == 5 * GIB


def test_a_host_without_cards_leaves_those_of_the_server() -> None:
    picture = memory_usage(SERVER, [], host=host(gpus=()))
    assert picture.source is SampleSource.SERVER
    assert picture.total_bytes == 32 * GIB
    assert picture.machine is not None
    assert picture.machine.sampled_at == 11.0


def test_a_model_without_a_card_takes_what_is_resident() -> None:
    picture = memory_usage(None, [model("a")], host=host(gpus=()))
    found = picture.footprints["a"]
    assert (found.gpu, found.host, found.needed) == (0, 3 * GIB, 3 * GIB)
    assert picture.bytes_by_model(["a", "b"]) == {"a": 3 * GIB}


def test_a_card_in_the_machine_s_memory_has_no_more_than_the_machine() -> None:
    gpu = replace(FIRST, unified=True, total_bytes=120 * GIB, used_bytes=5 * GIB)
    picture = memory_usage(replace(SERVER, gpus=(gpu,)), [])
    assert picture.free_bytes == 100 * GIB


def test_a_card_that_does_not_tell_its_use_makes_the_sum_unknown() -> None:
    silent = replace(SECOND, used_bytes=None)
    picture = memory_usage(replace(BOTH, gpus=(FIRST, silent)), [])
    assert (picture.used_bytes, picture.free_bytes) == (None, None)
    assert picture.cards[1].others is None


def test_what_goes_is_free_afterwards_on_its_card() -> None:
    uses = GpuProcessMemory("GPU-1", 100, 8 * GIB), GpuProcessMemory("GPU-2", 101, 3 * GIB)
    picture = memory_usage(BOTH, [model("a")], host=host(*uses, gpus=(FIRST, SECOND)))
    assert [picture.free_on(gpu) for gpu in (FIRST, SECOND)] == [12 * GIB, 22 * GIB]
    going = ["a", "unheard of"]
    assert [picture.free_on(gpu, going) for gpu in (FIRST, SECOND)] == [20 * GIB, 25 * GIB]


def test_no_more_is_free_than_the_card_has() -> None:
    picture = memory_usage(SERVER, [model("a")], expected={"a": footprint(30)})
    assert picture.free_on(FIRST, ["a"]) == 32 * GIB


def test_a_card_in_the_processor_does_not_count_beside_one_with_its_own_memory() -> None:
    small = Gpu(1, "AMD Raphael", "0000:7c:00.0", GIB, 48 * GIB, unified=True)
    picture = memory_usage(replace(SERVER, gpus=(FIRST, small)), [])
    assert len(picture.cards) == 2
    assert (picture.total_bytes, picture.used_bytes, picture.free_bytes) == (
        32 * GIB,
        20 * GIB,
        12 * GIB,
    )


def test_what_was_on_one_card_before_is_taken_to_be_there_again() -> None:
    before = replace(footprint(8, FootprintOrigin.MEASURED), cards=(("GPU-2", 8 * GIB),))
    picture = memory_usage(BOTH, [model("a")], expected={"a": before})
    assert picture.cards[0].models == ()
    (share,) = picture.cards[1].models
    assert (share.used_bytes, share.approximate) == (8 * GIB, False)


def test_what_is_seen_is_told_apart_by_card() -> None:
    uses = GpuProcessMemory("GPU-1", 100, 8 * GIB), GpuProcessMemory("GPU-2", 101, 3 * GIB)
    picture = memory_usage(BOTH, [model("a")], host=host(*uses, gpus=(FIRST, SECOND)))
    assert picture.footprints["a"].cards == (("GPU-1", 8 * GIB), ("GPU-2", 3 * GIB))
    assert picture.bytes_by_model(["a"]) == {"a": 11 * GIB}


@pytest.mark.parametrize(
    ("proxy", "port"),
    [
        ("http://localhost:9001", 9001),
        ("http://127.0.0.1:5800/", 5800),
        ("http://[::1]:5801/v1", 5801),
        ("http://user:word@host:7000", 7000),
        ("http://localhost", None),
        ("http://localhost:0", None),
        ("http://localhost:99999", None),
        ("unix:/run/x.sock", None),
        ("", None),
    ],
)
def test_the_port_of_a_proxy(proxy: str, port: int | None) -> None:
    assert port_of(proxy) == port


def test_the_growth_between_two_samples_is_what_a_load_took() -> None:
    after = replace(BOTH, gpus=(replace(FIRST, used_bytes=25 * GIB), SECOND))
    found = footprint_by_difference(4096, BOTH, after)
    assert found is not None
    assert (found.gpu, found.context_size, found.approximate) == (5 * GIB, 4096, False)


def test_the_growth_says_nothing_where_a_card_went() -> None:
    assert footprint_by_difference(4096, BOTH, SERVER) is None
    assert footprint_by_difference(4096, BOTH, BOTH) is None


def test_without_a_card_the_machine_s_memory_grows() -> None:
    before = replace(SERVER, gpus=())
    after = replace(before, machine=replace(MACHINE, memory_used=31 * GIB))
    found = footprint_by_difference(4096, before, after)
    assert found is not None
    assert (found.gpu, found.host) == (0, 3 * GIB)


def test_only_what_was_seen_is_kept() -> None:
    start = StartupMemory((DeviceMemory("CUDA0", GIB, 2 * GIB, GIB),))
    found = observe_footprint(8192, None, start)
    assert found is not None
    kept = build_measurement(found, "a1", 5.0)
    assert kept is not None
    assert (kept.context_size, kept.gpu, kept.cache, kept.setup) == (8192, 4 * GIB, 2 * GIB, "a1")
    assert build_measurement(footprint(3), "a1", 5.0) is None
    assert observe_footprint(8192, None, None) is None


def test_without_a_card_process_and_log_are_the_same_quantity() -> None:
    parts = DeviceMemory("CPU_Mapped", 2 * GIB), DeviceMemory("CPU", 0, GIB)
    for start in (None, StartupMemory(parts)):
        found = observe_footprint(8192, ProcessMemory(resident_bytes=3 * GIB), start)
        assert found is not None
        assert (found.gpu, found.host) == (0, 3 * GIB)
    # Resident bytes are fewer before all pages were read, and more with a prompt cache.
    grown = observe_footprint(8192, ProcessMemory(resident_bytes=9 * GIB), StartupMemory(parts))
    assert grown is not None
    assert (grown.host, grown.weights, grown.cache) == (3 * GIB, 2 * GIB, GIB)
