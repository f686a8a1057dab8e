"""Where a command puts a model: which cards count, and how much of it finds room there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.hardware.sample import Gpu, HardwareSample, Machine, SampleSource
from aitui.domain.memory.forecast import FitVerdict, describe_fit, forecast_fit
from aitui.domain.memory.launch_profile import launch_profile
from aitui.domain.memory.measurement import Measurement, MemoryRecords
from aitui.domain.memory.placement import Placement
from aitui.domain.memory.usage import MemoryUsage, memory_usage

GIB = 1 << 30
SMALL = Gpu(0, "NVIDIA GeForce RTX 3060", "GPU-aaaa-1", 4 * GIB, 12 * GIB)
LARGE = Gpu(1, "NVIDIA GeForce RTX 3090", "GPU-bbbb-2", 2 * GIB, 24 * GIB)
AMD = Gpu(2, "AMD Radeon PRO W7900", "0000:03:00.0", 8 * GIB, 48 * GIB)
INSIDE = Gpu(3, "AMD Raphael", "0000:7c:00.0", GIB, 60 * GIB, unified=True)
ALL = (SMALL, LARGE)


def placed(flags: str = "", **environment: str) -> Placement:
    return launch_profile(f"llama-server -m a.gguf {flags}", environment).placement


def numbers(found: tuple[Gpu, ...]) -> list[int]:
    return [gpu.index for gpu in found]


def test_without_a_word_all_cards_count() -> None:
    assert numbers(placed().cards(ALL)) == [0, 1]


def test_a_card_in_the_processor_counts_only_where_it_is_the_only_one() -> None:
    assert numbers(placed().cards((*ALL, INSIDE))) == [0, 1]
    assert numbers(placed().cards((INSIDE,))) == [3]


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ("--device CUDA1", [1]),
        ("-dev CUDA1,CUDA0", [1, 0]),
        ("--device ROCm0", [2]),
        ("--device Vulkan2,CUDA0", [2, 0]),
        ("--device none", []),
        ("--device CUDA7", []),
        ("--split-mode none", [0]),
        ("-sm none -mg 1", [1]),
        ("-sm none --main-gpu 9", []),
        ("-sm layer -mg 1", [0, 1, 2]),
        ("--device CUDA1,ROCm0 -sm none -mg 1", [2]),
    ],
)
def test_flags_choose_cards(flags: str, found: list[int]) -> None:
    assert numbers(placed(flags).cards((SMALL, LARGE, AMD))) == found


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"CUDA_VISIBLE_DEVICES": "1"}, [1]),
        ({"CUDA_VISIBLE_DEVICES": "1,0"}, [1, 0]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-bbbb"}, [1]),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, []),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, [0, 1, 2]),
        ({"HIP_VISIBLE_DEVICES": "0"}, [2]),
        ({"GGML_VK_VISIBLE_DEVICES": "2"}, [2]),
        ({"LLAMA_ARG_DEVICE": "CUDA1"}, [1]),
        ({"LLAMA_ARG_SPLIT_MODE": "none", "LLAMA_ARG_MAIN_GPU": "1"}, [1]),
        ({"CUDA_VISIBLE_DEVICES": "1", "LLAMA_ARG_DEVICE": "CUDA0"}, [1]),
    ],
)
def test_the_environment_hides_cards(environment: dict[str, str], found: list[int]) -> None:
    assert numbers(placed(**environment).cards((SMALL, LARGE, AMD))) == found


def test_the_command_counts_for_more_than_its_environment() -> None:
    assert numbers(placed("--device CUDA0", LLAMA_ARG_DEVICE="CUDA1").cards(ALL)) == [0]


def test_where_it_was_seen_counts_for_more_than_the_command() -> None:
    assert numbers(placed("--device CUDA0").cards(ALL, {"GPU-bbbb-2"})) == [1]
    assert numbers(placed().cards(ALL, {"a card that has gone"})) == [0, 1]


def test_free_memory_is_shared_out_unless_proportions_are_given() -> None:
    assert placed().headroom([8 * GIB, 22 * GIB]) == 30 * GIB
    assert placed("-ts 1,1").headroom([8 * GIB, 22 * GIB]) == 16 * GIB
    assert placed("--tensor-split 1/3").headroom([8 * GIB, 22 * GIB]) == 22 * GIB * 4 // 3
    assert placed("-ts 0,1").headroom([8 * GIB, 22 * GIB]) == 22 * GIB


@pytest.mark.parametrize("flags", ["-ts x,1", "-ts 0,0", "-ts nan,1", "-ts", "-ts -1,3"])
def test_proportions_that_are_none_are_passed_over(flags: str) -> None:
    assert placed(flags).headroom([8 * GIB, 22 * GIB]) == 30 * GIB


@given(
    st.lists(st.integers(0, 96 * GIB), min_size=1, max_size=8),
    st.lists(st.floats(0, 1000), max_size=8),
)
def test_there_is_never_more_room_than_is_free(free: list[int], shares: list[float]) -> None:
    assert 0 <= Placement(proportions=tuple(shares)).headroom(free) <= sum(free)


@given(st.text(max_size=80), st.text(max_size=80))
def test_whatever_stands_there_some_cards_are_found_or_none(flags: str, visible: str) -> None:
    found = launch_profile(f"llama-server {flags}", {"CUDA_VISIBLE_DEVICES": visible}).placement
    assert set(found.cards((SMALL, LARGE, INSIDE))) <= {SMALL, LARGE, INSIDE}


def test_other_visible_cards_are_another_setup() -> None:
    plain = launch_profile("llama-server -m a.gguf")
    hidden = launch_profile("llama-server -m a.gguf", {"CUDA_VISIBLE_DEVICES": "1"})
    assert plain.fingerprint == launch_profile("llama-server -m a.gguf", {"HOME": "/"}).fingerprint
    assert hidden.fingerprint != plain.fingerprint


def both(machine: Machine | None = None) -> MemoryUsage:
    return memory_usage(HardwareSample(1.0, SampleSource.SERVER, ALL, machine), [])


def measured(gib: float, flags: str = "", *cards: str, host: float = 0) -> MemoryRecords:
    command = launch_profile(f"llama-server -m a.gguf {flags}")
    seen = Measurement(
        4096,
        round(gib * GIB),
        host=round(host * GIB),
        setup=command.fingerprint,
        cards=tuple((card, GIB) for card in cards),
    )
    return MemoryRecords((seen,))


def test_a_model_on_one_card_has_the_room_of_that_card() -> None:
    command = launch_profile("llama-server -m a.gguf --device CUDA0")
    found = forecast_fit(both(), measured(10, "--device CUDA0"), command, 4096)
    assert (found.verdict, found.free, found.where) == (FitVerdict.NO, 8 * GIB, "on GPU 0")


def test_a_model_on_all_cards_has_the_room_of_all() -> None:
    found = forecast_fit(both(), measured(25), launch_profile("llama-server -m a.gguf"), 4096)
    assert (found.verdict, found.free, found.where) == (FitVerdict.FITS, 30 * GIB, "")


def test_a_tensor_split_is_the_reason_why_less_is_free() -> None:
    profile = launch_profile("llama-server -m a.gguf -ts 1,1")
    found = forecast_fit(both(), measured(10, "-ts 1,1"), profile, 4096)
    assert "16 GB free now with its tensor split" in describe_fit(found)
    even = launch_profile("llama-server -m a.gguf -ts 8,22")
    assert forecast_fit(both(), measured(10, "-ts 8,22"), even, 4096).where == ""


def test_a_model_that_was_seen_on_one_card_is_expected_there() -> None:
    known = measured(25, "", "GPU-bbbb-2")
    found = forecast_fit(both(), known, launch_profile("llama-server -m a.gguf"), 4096)
    assert (found.verdict, found.where) == (FitVerdict.NO, "on GPU 1")


def test_a_model_that_uses_no_card_has_the_room_of_the_machine() -> None:
    machine = Machine(memory_total=64 * GIB, memory_used=24 * GIB)
    known = measured(0, "-ngl 0", host=39)
    found = forecast_fit(
        both(machine), known, launch_profile("llama-server -m a.gguf -ngl 0"), 4096
    )
    assert (found.verdict, found.free, found.where) == (FitVerdict.TIGHT, 40 * GIB, "in RAM")


def test_what_goes_to_the_machine_beside_the_cards_must_find_room_as_well() -> None:
    machine = Machine(memory_total=64 * GIB, memory_used=60 * GIB)
    command = launch_profile("llama-server -m a.gguf -ngl 20")
    found = forecast_fit(both(machine), measured(10, "-ngl 20", host=20), command, 4096)
    assert found.verdict is FitVerdict.TIGHT
    assert found.reason == "20.0 GB of it goes to RAM, which has 4.0 GB free"
