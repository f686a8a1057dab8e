"""Estimates from a header and a command, against what the recorded starts took."""

import pytest

from aitui.domain.memory.estimate import compute_bytes, estimate, reason_not_estimable
from aitui.domain.memory.footprint import Footprint, FootprintOrigin
from aitui.domain.memory.launch_profile import launch_profile
from domain.memory.files import BIG, dense, read, written

MIB = 1 << 20
SERVER = "/opt/llama.cpp/llama-server --port 9001 -m big.gguf"
F16 = 1


@pytest.mark.parametrize(("context_size", "mebibytes"), [(32_768, 2497.8), (262_144, 17057.8)])
def test_without_a_gpu_everything_is_in_the_machine_s_memory(
    context_size: int, mebibytes: float
) -> None:
    found = estimate(read(BIG), launch_profile(SERVER), context_size, has_gpu=False)
    assert found is not None
    assert found.gpu == 0
    assert found.needed / MIB == pytest.approx(mebibytes, rel=0.02)


@pytest.mark.parametrize(("context_size", "mebibytes"), [(32_768, 56.5), (262_144, 280.5)])
def test_the_buffers_are_about_as_large_as_the_recorded_ones(
    context_size: int, mebibytes: float
) -> None:
    assert compute_bytes(read(BIG), context_size, 512) / MIB == pytest.approx(mebibytes, rel=0.05)


def test_on_a_gpu_the_embedding_stays_behind() -> None:
    header = read(BIG)
    found = estimate(header, launch_profile(f"{SERVER} -ngl 99"), 32_768)
    assert found is not None
    assert found.gpu - (found.cache or 0) - (found.compute or 0) == (
        header.weights.total - header.weights.embedding
    )
    assert found.host == header.weights.embedding


def test_an_embedding_that_is_the_output_as_well_is_loaded_twice() -> None:
    tensors = [("token_embd.weight", (512, 1000), F16), ("blk.0.attn_q.weight", (512, 512), F16)]
    header = read(written(dense(layers=1), tensors))
    found = estimate(header, launch_profile(f"{SERVER} -ngl 99"), 4096)
    assert found is not None
    assert found.gpu - (found.cache or 0) - (found.compute or 0) == header.weights.total
    assert found.host == header.weights.embedding


def test_layers_that_stay_in_the_machine_take_their_cache_with_them() -> None:
    header = read(BIG)
    found = estimate(header, launch_profile(f"{SERVER} -ngl 4"), 32_768)
    assert found is not None
    assert found.host is not None
    assert found.gpu == sum(header.weights.layers[-4:]) + 512 * MIB + (found.compute or 0)
    assert found.gpu + found.host == header.weights.total + 2048 * MIB + (found.compute or 0)


def test_a_cache_that_is_kept_from_the_gpu_is_the_machine_s() -> None:
    found = estimate(read(BIG), launch_profile(f"{SERVER} -ngl 99 -nkvo"), 32_768)
    assert found is not None
    assert found.host is not None
    assert found.host > 2048 * MIB
    assert found.gpu < 600 * MIB


def test_no_layers_on_the_gpu_need_none() -> None:
    found = estimate(read(BIG), launch_profile(f"{SERVER} --n-gpu-layers 0"), 32_768)
    assert found is not None
    assert found.gpu == 0


def test_an_estimate_says_that_it_is_one() -> None:
    found = estimate(read(BIG), launch_profile(SERVER), 32_768)
    assert found is not None
    assert found.origin is FootprintOrigin.ESTIMATED
    assert found.label == "≈2.4 GB"


def test_what_was_measured_carries_no_such_mark() -> None:
    assert Footprint(4096, 44_200_000_000, origin=FootprintOrigin.MEASURED).label == "41.2 GB"


@pytest.mark.parametrize(
    "flag",
    ["-ot exps=CPU", "--cpu-moe", "--n-cpu-moe 12", "-md draft.gguf", "--mmproj eyes.gguf"],
)
def test_what_a_command_adds_or_moves_is_not_estimated(flag: str) -> None:
    chosen = launch_profile(f"{SERVER} {flag}")
    assert reason_not_estimable(read(BIG), chosen)
    assert estimate(read(BIG), chosen, 4096) is None


def test_what_decides_about_memory_is_read_from_a_command() -> None:
    chosen = launch_profile(f"{SERVER} -c 8192 -ctk q8_0 --cache-type-v Q4_0 -np 3 -ub 256 -ngl 20")
    assert chosen.context_size == 8192
    assert (chosen.cache_k, chosen.cache_v) == ("q8_0", "q4_0")
    assert (chosen.streams, chosen.micro_batch, chosen.gpu_layers) == (3, 256, 20)


def test_without_flash_attention_every_head_has_its_scores() -> None:
    header = read(BIG)
    with_it = estimate(header, launch_profile(f"{SERVER} -fa on"), 32_768)
    without = estimate(header, launch_profile(f"{SERVER} -fa off"), 32_768)
    assert with_it is not None
    assert without is not None
    assert without.gpu - with_it.gpu == 16 * 512 * 32_768 * 4


def test_slots_share_one_cache_unless_their_number_is_given() -> None:
    assert launch_profile(SERVER).streams == 1
    assert launch_profile(f"{SERVER} --parallel 4").streams == 4
    assert launch_profile(f"{SERVER} --parallel 4 --kv-unified").streams == 1


@pytest.mark.parametrize("same", ["-c 512", "--port 9999", "--temp 0.7", "--alias x --jinja"])
def test_what_takes_no_memory_leaves_the_fingerprint_alone(same: str) -> None:
    assert launch_profile(f"{SERVER} {same}").fingerprint == launch_profile(SERVER).fingerprint


@pytest.mark.parametrize(
    "other", ["-ctk q8_0", "-ngl 3", "-np 2", "--no-kv-offload", "-m other.gguf", "--cpu-moe"]
)
def test_what_takes_memory_changes_the_fingerprint(other: str) -> None:
    assert launch_profile(f"{SERVER} {other}").fingerprint != launch_profile(SERVER).fingerprint
