"""The cache of dense models by formula, and which models have none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.memory.estimate import kv_cache_bytes, reason_cache_unknown
from domain.memory.files import BIG, dense, read, written

MIB = 1 << 20


@pytest.mark.parametrize(("context_size", "mebibytes"), [(32_768, 2048), (262_144, 16_384)])
def test_the_cache_is_as_large_as_the_start_up_log_says(context_size: int, mebibytes: int) -> None:
    assert kv_cache_bytes(read(BIG), context_size) == mebibytes * MIB


@pytest.mark.parametrize(
    ("kind", "share"), [("f16", 16), ("f32", 32), ("bf16", 16), ("q8_0", 8.5), ("q4_0", 4.5)]
)
def test_a_cache_type_takes_its_bits_a_value(kind: str, share: float) -> None:
    assert kv_cache_bytes(read(BIG), 32_768, kind, kind) == 2048 * MIB * share / 16


def test_keys_and_values_may_differ_in_type() -> None:
    assert kv_cache_bytes(read(BIG), 32_768, "q8_0", "f16") == (544 + 1024) * MIB


def test_grouped_heads_share_their_keys() -> None:
    many = read(written(dense(heads=32, heads_kv=32)))
    few = read(written(dense(heads=32, heads_kv=4)))
    assert kv_cache_bytes(many, 4096) == 8 * (kv_cache_bytes(few, 4096) or 0)


def test_the_head_size_follows_from_the_embedding_where_it_is_not_said() -> None:
    header = read(written(dense(layers=2, heads=8, heads_kv=8, head_size=64)))
    assert kv_cache_bytes(header, 256) == 256 * 2 * 2 * 8 * 64 * 2


def test_layers_may_differ_in_heads() -> None:
    metadata = {**dense(layers=3, heads=8), "llama.attention.head_count_kv": [8, 0, 4]}
    assert kv_cache_bytes(read(written(metadata)), 256) == 256 * (8 + 0 + 4) * 64 * 2 * 2


def test_keys_may_be_longer_than_values() -> None:
    metadata = dense(layers=1, heads_kv=1, attention__key_length=192, attention__value_length=128)
    assert kv_cache_bytes(read(written(metadata)), 256) == 256 * (192 + 128) * 2


def test_a_context_is_rounded_up_to_whole_blocks_of_cells() -> None:
    header = read(BIG)
    assert kv_cache_bytes(header, 1) == kv_cache_bytes(header, 256)
    assert kv_cache_bytes(header, 257) == kv_cache_bytes(header, 512)


def test_slots_with_a_cache_of_their_own_divide_the_context() -> None:
    header = read(BIG)
    assert kv_cache_bytes(header, 32_768, streams=4) == kv_cache_bytes(header, 32_768)
    assert kv_cache_bytes(header, 1000, streams=4) == kv_cache_bytes(header, 1024)


@given(st.integers(1, 1 << 21), st.integers(1, 64))
def test_more_context_never_takes_less(context_size: int, streams: int) -> None:
    header = read(written(dense()))
    less = kv_cache_bytes(header, context_size, streams=streams)
    more = kv_cache_bytes(header, context_size + 1000, streams=streams)
    assert less is not None
    assert more is not None
    assert less <= more


def test_a_type_that_llama_server_has_not_is_unknown() -> None:
    assert kv_cache_bytes(read(BIG), 4096, "turbo3", "f16") is None


def test_a_dense_model_can_be_estimated() -> None:
    assert reason_cache_unknown(read(BIG)) == ""
    assert reason_cache_unknown(read(written(dense(expert_count=128, expert_used_count=8)))) == ""


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("attention.sliding_window", 1024, "sliding window"),
        ("ssm.state_size", 128, "recurrent"),
        ("ssm.conv_kernel", 4, "recurrent"),
        ("wkv.head_size", 64, "recurrent"),
        ("shortconv.l_cache", 3, "recurrent"),
        ("full_attention_interval", 4, "recurrent"),
        ("attention.kv_lora_rank", 512, "latent"),
        ("attention.shared_kv_layers", 10, "share"),
        ("nextn_predict_layers", 1, "extra tokens"),
        ("attention.indexer.head_count", 64, "sparse"),
        ("attention.causal", False, "no KV cache"),
    ],
)
def test_a_model_of_another_kind_is_unknown_until_measured(
    key: str, value: int, words: str
) -> None:
    header = read(written({**dense(), f"llama.{key}": value}))
    assert words in reason_cache_unknown(header)
    assert kv_cache_bytes(header, 4096) is None


def test_a_sliding_window_of_zero_is_none() -> None:
    assert (
        reason_cache_unknown(read(written({**dense(), "llama.attention.sliding_window": 0}))) == ""
    )


def test_an_architecture_that_is_not_known_is_not_guessed() -> None:
    metadata = {key.replace("llama.", "newer."): value for key, value in dense().items()}
    header = read(written({**metadata, "general.architecture": "newer"}))
    assert reason_cache_unknown(header) == "newer is unknown to aitui"


@pytest.mark.parametrize("missing", ["block_count", "embedding_length", "attention.head_count"])
def test_a_header_that_lacks_a_size_is_unknown(missing: str) -> None:
    metadata = dense()
    del metadata[f"llama.{missing}"]
    assert reason_cache_unknown(read(written(metadata)))


@pytest.mark.parametrize("heads", [0, 2**31])
def test_absurd_sizes_do_no_harm(heads: int) -> None:
    header = read(written({**dense(), "llama.attention.head_count": heads}))
    size = kv_cache_bytes(header, 4096)
    assert size is None or size >= 0
