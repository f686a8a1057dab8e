"""What a model will take, from the best that is known; and whether it will fit, with the reason."""

from aitui.domain.hardware.sample import Gpu, Sample, Source
from aitui.domain.memory.fit import Verdict
from aitui.domain.memory.footprint import Footprint, Origin
from aitui.domain.memory.forecast import forecast, will_fit
from aitui.domain.memory.measurement import Known, Measurement, OutOfMemory
from aitui.domain.memory.picture import MemoryPicture, memory_picture
from aitui.domain.memory.setup import setup
from aitui.domain.model import Model, RunState
from memory.files import BIG, dense, read, written

GIB = 1 << 30
HEADER = read(BIG)
COMMAND = "/opt/llama-server --port 9001 -m big.gguf -ngl 99"
SETUP = setup(COMMAND)
HYBRID = read(written({**dense(), "llama.ssm.state_size": 128}))


def measured(context_size: int, gib: float) -> Known:
    return Known((Measurement(context_size, round(gib * GIB), setup=SETUP.fingerprint),))


def card(used: float, total: float = 24) -> MemoryPicture:
    gpu = Gpu(0, "RTX", "GPU-1", round(used * GIB), round(total * GIB))
    return memory_picture(Sample(1.0, Source.SERVER, (gpu,)), [])


def test_a_measurement_beats_the_formula() -> None:
    found = forecast(measured(32_768, 5), SETUP, 32_768, HEADER)
    assert found is not None
    assert (found.gpu, found.origin) == (5 * GIB, Origin.MEASURED)


def test_a_measurement_at_another_context_is_scaled() -> None:
    found = forecast(measured(32_768, 5), SETUP, 65_536, HEADER)
    assert found is not None
    assert (found.gpu, found.origin) == (7 * GIB, Origin.SCALED)


def test_without_a_measurement_the_header_tells() -> None:
    found = forecast(Known(), SETUP, 32_768, HEADER)
    assert found is not None
    assert found.origin is Origin.ESTIMATED


def test_a_hybrid_is_unknown_until_it_is_measured() -> None:
    assert forecast(Known(), SETUP, 32_768, HYBRID) is None
    assert forecast(measured(32_768, 5), SETUP, 65_536, HYBRID) is None
    found = forecast(measured(32_768, 5), SETUP, 32_768, HYBRID)
    assert found is not None
    assert found.gpu == 5 * GIB


def test_it_fits_and_says_how_much_more_would() -> None:
    found = will_fit(card(used=2), Known(), SETUP, 32_768, HEADER)
    assert found.verdict is Verdict.FITS
    assert found.reason == ""
    assert found.largest_context == 262_144


def test_the_largest_context_is_smaller_on_a_small_card() -> None:
    found = will_fit(card(used=0, total=8), Known(), SETUP, 262_144, HEADER)
    assert found.verdict is Verdict.NO
    assert found.largest_context is not None
    assert 65_536 < found.largest_context < 131_072


def test_what_leaves_makes_room() -> None:
    gpu = Gpu(0, "RTX", "GPU-1", 23 * GIB, 24 * GIB)
    old = Model("old", state=RunState.READY)
    expected = {"old": Footprint(4096, 20 * GIB)}
    full = memory_picture(Sample(1.0, Source.SERVER, (gpu,)), [old], expected=expected)
    assert will_fit(full, Known(), SETUP, 32_768, HEADER).verdict is Verdict.NO
    found = will_fit(full, Known(), SETUP, 32_768, HEADER, leaving=["old"])
    assert found.verdict is Verdict.FITS
    assert found.free_after == 21 * GIB


def test_what_once_ran_out_of_memory_says_at_which_context() -> None:
    known = Known().with_failure(OutOfMemory(65_536, SETUP.fingerprint))
    found = will_fit(card(used=0), known, SETUP, 131_072, HEADER)
    assert found.verdict is Verdict.NO
    assert found.reason == "it ran out of memory with 65,536 tokens"
    assert found.largest_context is not None
    assert found.largest_context < 65_536


def test_an_unknown_model_says_why() -> None:
    found = will_fit(card(used=0), Known(), SETUP, 4096, HYBRID)
    assert found.verdict is Verdict.UNKNOWN
    assert found.reason == "it has recurrent layers, so only a load can tell"
    assert will_fit(card(used=0), Known(), SETUP, 4096).reason == "it has not been measured yet"


def test_without_a_sample_it_is_not_known_what_is_free() -> None:
    found = will_fit(MemoryPicture(), measured(4096, 3), SETUP, 4096)
    assert found.verdict is Verdict.UNKNOWN
    assert found.reason == "it isn't known what is free"


def test_without_a_card_the_machine_s_memory_has_to_do() -> None:
    found = forecast(Known(), SETUP, 32_768, HEADER, has_gpu=False)
    assert found is not None
    assert found.gpu == 0
    assert found.needed > 2 * GIB
