"""The context that a model of the first config gets, from its header and the memory there."""

from collections.abc import Mapping

import pytest

from aitui.domain.hardware.sample import Gpu, HardwareSample, Machine, SampleSource
from aitui.domain.memory.usage import memory_usage
from aitui.services.setup.config import _size_model
from domain.memory.files import dense, read, written

GIB = 1 << 30
F16 = 1


def sized(total: int, used: int = 0, **more: object) -> tuple[int, bool, str]:
    """The context, whether on the cards, and the note, on a card of so many GiB."""
    gpus = (
        (Gpu(0, "card", "GPU-1", used_bytes=used * GIB, total_bytes=total * GIB),) if total else ()
    )
    machine = Machine(memory_total=64 * GIB, memory_used=0)
    usage = memory_usage(HardwareSample(0.0, SampleSource.HOST, gpus, machine), ())
    # 32 layers of 8 heads of 128 values take 128 KiB a token.
    metadata = dense(layers=32, heads=32, heads_kv=8, head_size=128, **more)
    header = read(written(metadata, [("blk.0.ffn_up.weight", (4096, 1 << 19), F16)]))
    model = _size_model("/m/x.gguf", header, usage, "llama-server")
    return model.context_size, model.on_gpu, model.note


@pytest.mark.parametrize(
    ("total", "used", "size"), [(48, 0, 131072), (24, 0, 131072), (24, 8, 65536), (12, 0, 32768)]
)
def test_the_largest_usual_context_that_fits_is_chosen(total: int, used: int, size: int) -> None:
    found, on_gpu, note = sized(total, used)
    assert (found, on_gpu) == (size, True)
    assert "of GPU memory" in note


def test_what_does_not_fit_says_so_and_leaves_the_layers_to_llama_server() -> None:
    size, on_gpu, note = sized(2)
    assert (size, on_gpu) == (4096, False)
    assert note.startswith("does not fit into GPU memory: it needs ")


def test_without_a_card_memory_counts() -> None:
    size, on_gpu, note = sized(0)
    assert (size, on_gpu) == (131072, False)
    assert "of memory" in note


@pytest.mark.parametrize("metadata", [{"ssm.state_size": 8}, {"attention.sliding_window": 512}])
def test_a_model_that_cannot_be_estimated_gets_a_small_context(
    metadata: Mapping[str, object],
) -> None:
    size, _, note = sized(24, **{name.replace(".", "__"): 8 for name in metadata})
    assert size == 8192
    assert note.startswith("GPU memory not estimated: ")
