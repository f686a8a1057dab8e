"""What a model will take, from the best that is known; and whether it will fit, with the reason."""

import pytest

from aitui.domain.hardware.sample import Gpu, HardwareSample, SampleSource
from aitui.domain.memory.footprint import Footprint, FootprintOrigin
from aitui.domain.memory.forecast import FitVerdict, forecast_fit, forecast_memory
from aitui.domain.memory.launch_profile import launch_profile
from aitui.domain.memory.measurement import Measurement, MemoryRecords, OutOfMemory
from aitui.domain.memory.usage import MemoryUsage, memory_usage
from aitui.domain.models import Model, RunState
from domain.memory.files import BIG, dense, read, written

GIB = 1 << 30
HEADER = read(BIG)
COMMAND = "/opt/llama-server --port 9001 -m big.gguf -ngl 99"
SETUP = launch_profile(COMMAND)
HYBRID = read(written({**dense(), "llama.ssm.state_size": 128}))


def measured(context_size: int, gib: float) -> MemoryRecords:
    return MemoryRecords((Measurement(context_size, round(gib * GIB), setup=SETUP.fingerprint),))


def card(used: float, total: float = 24) -> MemoryUsage:
    gpu = Gpu(0, "RTX", "GPU-1", round(used * GIB), round(total * GIB))
    return memory_usage(HardwareSample(1.0, SampleSource.SERVER, (gpu,)), [])


def test_a_measurement_beats_the_formula() -> None:
    found = forecast_memory(measured(32_768, 5), SETUP, 32_768, HEADER)
    assert found is not None
    assert (found.gpu, found.origin) == (5 * GIB, FootprintOrigin.MEASURED)


def test_a_measurement_at_another_context_is_scaled() -> None:
    found = forecast_memory(measured(32_768, 5), SETUP, 65_536, HEADER)
    assert found is not None
    assert (found.gpu, found.origin) == (7 * GIB, FootprintOrigin.SCALED)


@pytest.mark.parametrize(
    ("flags", "origin"),
    [("--mmproj eyes.gguf", FootprintOrigin.SCALED), ("-md draft.gguf", None)],
)
def test_a_projector_next_to_the_model_does_not_grow(
    flags: str, origin: FootprintOrigin | None
) -> None:
    profile = launch_profile(f"llama-server -m model.gguf {flags}")
    known = MemoryRecords((Measurement(32_768, 5 * GIB, setup=profile.fingerprint),))
    found = forecast_memory(known, profile, 65_536, HEADER)
    assert (found and found.origin) == origin


def test_without_a_measurement_the_header_tells() -> None:
    found = forecast_memory(MemoryRecords(), SETUP, 32_768, HEADER)
    assert found is not None
    assert found.origin is FootprintOrigin.ESTIMATED


def test_a_hybrid_is_unknown_until_it_is_measured() -> None:
    assert forecast_memory(MemoryRecords(), SETUP, 32_768, HYBRID) is None
    assert forecast_memory(measured(32_768, 5), SETUP, 65_536, HYBRID) is None
    found = forecast_memory(measured(32_768, 5), SETUP, 32_768, HYBRID)
    assert found is not None
    assert found.gpu == 5 * GIB


def test_it_fits_and_says_how_much_more_would() -> None:
    found = forecast_fit(card(used=2), MemoryRecords(), SETUP, 32_768, HEADER)
    assert found.verdict is FitVerdict.FITS
    assert found.reason == ""
    assert found.largest_context == 262_144


def test_the_largest_context_is_smaller_on_a_small_card() -> None:
    found = forecast_fit(card(used=0, total=8), MemoryRecords(), SETUP, 262_144, HEADER)
    assert found.verdict is FitVerdict.NO
    assert found.largest_context is not None
    assert 65_536 < found.largest_context < 131_072


def test_what_leaves_makes_room() -> None:
    gpu = Gpu(0, "RTX", "GPU-1", 23 * GIB, 24 * GIB)
    old = Model("old", state=RunState.READY)
    expected = {"old": Footprint(4096, 20 * GIB)}
    full = memory_usage(HardwareSample(1.0, SampleSource.SERVER, (gpu,)), [old], expected=expected)
    assert forecast_fit(full, MemoryRecords(), SETUP, 32_768, HEADER).verdict is FitVerdict.NO
    found = forecast_fit(full, MemoryRecords(), SETUP, 32_768, HEADER, evicted=["old"])
    assert found.verdict is FitVerdict.FITS
    assert found.free_after == 21 * GIB


def test_what_once_ran_out_of_memory_says_at_which_context() -> None:
    known = MemoryRecords().with_record(OutOfMemory(65_536, SETUP.fingerprint))
    found = forecast_fit(card(used=0), known, SETUP, 131_072, HEADER)
    assert found.verdict is FitVerdict.NO
    assert found.reason == "it ran out of memory with 65,536 tokens"
    assert found.largest_context is not None
    assert found.largest_context < 65_536


def test_an_unknown_model_says_why() -> None:
    found = forecast_fit(card(used=0), MemoryRecords(), SETUP, 4096, HYBRID)
    assert found.verdict is FitVerdict.UNKNOWN
    assert found.reason == "it has recurrent layers, so it is only known after a load"
    assert (
        forecast_fit(card(used=0), MemoryRecords(), SETUP, 4096).reason
        == "this model has not been loaded yet"
    )


def test_without_a_sample_it_is_not_known_what_is_free() -> None:
    found = forecast_fit(MemoryUsage(), measured(4096, 3), SETUP, 4096)
    assert found.verdict is FitVerdict.UNKNOWN
    assert found.reason == "free memory is unknown"


def test_without_a_card_the_machine_s_memory_has_to_do() -> None:
    found = forecast_memory(MemoryRecords(), SETUP, 32_768, HEADER, has_gpu=False)
    assert found is not None
    assert found.gpu == 0
    assert found.needed > 2 * GIB
