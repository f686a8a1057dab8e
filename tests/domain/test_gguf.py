"""GGUF headers: what they say, how few bytes are read for it, and what is no header."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aitui.domain.gguf import GgufHeaderReader, merge_headers, part_paths, tensor_bytes
from aitui.errors import ModelFileUnreadable
from domain.memory.files import BIG, dense, read, written

MIB = 1 << 20
F16, Q4_K, Q8_0, UNKNOWN = 1, 12, 8, 99


def test_the_weights_are_those_of_the_start_up_projection() -> None:
    weights = read(BIG).weights
    assert weights.total / MIB == pytest.approx(393, rel=0.02)
    assert (weights.total - weights.embedding) / MIB == pytest.approx(393.31, rel=0.002)


def test_the_facts_of_the_recorded_model() -> None:
    header = read(BIG)
    assert header.architecture == "llama"
    assert header.layers == 16
    assert header.context_length == 262144
    assert header.each_layer("attention.head_count_kv") == (16,) * 16
    assert header.number("attention.key_length") == 64
    assert header.parts == 1
    assert len(header.weights.layers) == 16
    assert not header.tied


def test_one_read_is_enough_for_a_small_header() -> None:
    reader = GgufHeaderReader()
    assert reader.needs is not None
    assert reader.needs.offset == 0
    reader.feed(BIG)
    assert reader.needs is None


def test_the_weights_are_never_asked_for() -> None:
    content = written(dense(), [("blk.0.attn_q.weight", (512, 512), F16)]) + bytes(8 * MIB)
    assert read(content).read_bytes <= 65_536


def test_a_long_list_of_numbers_is_stepped_over() -> None:
    metadata = {**dense(), "tokenizer.ggml.scores": [0] * 500_000, "llama.vocab_size": 500_000}
    header = read(written(metadata))
    assert header.number("vocab_size") == 500_000
    assert header.read_bytes < 400_000


def test_a_long_vocabulary_is_passed_by_and_what_follows_is_found() -> None:
    tokens = [f"token number {number}" for number in range(20_000)]
    header = read(written({**dense(), "tokenizer.ggml.tokens": tokens, "split.count": 3}))
    assert header.parts == 3
    assert "tokenizer.ggml.tokens" not in header.metadata


@given(st.integers(1, 300))
@example(1)
def test_it_does_not_matter_how_few_bytes_come_at_a_time(piece: int) -> None:
    metadata = {**dense(feed_forward_length=[1, 2, 3, 4]), "tokenizer.ggml.tokens": ["a", "", "ß"]}
    content = written(metadata, [("token_embd.weight", (512, 100), Q8_0)])
    assert read(content, piece=piece).metadata == read(content).metadata
    assert read(content, piece=piece).weights == read(content).weights


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [2, 3])
def test_both_byte_orders_and_versions_are_read(order: str, version: int) -> None:
    content = written(dense(), [("a", (256, 2), Q4_K)], order=order, version=version)
    header = read(content)
    assert header.layers == 4
    assert header.weights.total == 288
    assert header.version == version


def test_numbers_of_each_layer_are_read_from_a_list() -> None:
    header = read(written({**dense(), "llama.attention.head_count_kv": [2, 0, 2, 4]}))
    assert header.each_layer("attention.head_count_kv") == (2, 0, 2, 4)


def test_a_list_that_does_not_fit_the_layers_is_none() -> None:
    header = read(written({**dense(), "llama.attention.head_count_kv": [2, 0, 2]}))
    assert header.each_layer("attention.head_count_kv") is None


@pytest.mark.parametrize(
    ("kind", "size"),
    [(0, 4096), (1, 2048), (2, 576), (8, 1088), (12, 576), (14, 840), (18, 392), (39, 544)],
)
def test_a_tensor_takes_what_its_type_takes(kind: int, size: int) -> None:
    assert tensor_bytes(kind, (256, 4)) == size


def test_a_row_that_ends_within_a_block_takes_the_whole_block() -> None:
    assert tensor_bytes(Q8_0, (33, 2)) == 4 * 34


def test_a_tensor_of_an_unknown_type_reaches_to_the_next_one() -> None:
    tensors = [("a", (256,), UNKNOWN), ("b", (16,), F16)]
    assert read(written(dense(), tensors, offsets=[0, 4096])).weights.total == 4096 + 32


def test_the_last_tensor_of_an_unknown_type_reaches_to_the_end_of_the_file() -> None:
    content = written(dense(), [("b", (16,), F16), ("a", (256,), UNKNOWN)], offsets=[0, 64])
    data_begins = -(-len(content) // 32) * 32
    assert read(content, length=data_begins + 1064).weights.total == 32 + 1000


def test_weights_are_told_by_layer() -> None:
    tensors = [
        ("token_embd.weight", (64, 10), F16),
        ("blk.0.attn_q.weight", (64, 64), F16),
        ("blk.2.ffn_up.weight", (64, 32), F16),
        ("blk.2.ffn_down.weight", (64, 32), F16),
        ("output_norm.weight", (64,), F16),
    ]
    header = read(written(dense(), tensors))
    assert header.weights.embedding == 1280
    assert header.weights.layers == (8192, 0, 8192)
    assert header.weights.total == 1280 + 16384 + 128
    assert header.tied


def test_a_split_model_is_the_sum_of_its_parts() -> None:
    first = read(written({**dense(), "split.count": 2}, [("blk.0.a", (64, 64), F16)]))
    second = read(
        written({"split.count": 2}, [("blk.0.b", (64, 1), F16), ("output.weight", (64,), F16)])
    )
    both = merge_headers([first, second])
    assert both.weights.total == 8192 + 128 + 128
    assert both.weights.layers == (8320,)
    assert both.architecture == "llama"
    assert both.layers == 4


def test_the_parts_of_a_split_model_are_told_by_name() -> None:
    assert part_paths("/m/big-00002-of-00003.gguf", 3) == (
        "/m/big-00001-of-00003.gguf",
        "/m/big-00002-of-00003.gguf",
        "/m/big-00003-of-00003.gguf",
    )


@pytest.mark.parametrize(
    ("path", "count"),
    [("/m/a.gguf", 1), ("/m/a.gguf", 3), ("/m/a-00001-of-00003.gguf", 4), ("a-1-of-2.gguf", 2)],
)
def test_a_file_whose_name_is_no_part_stands_alone(path: str, count: int) -> None:
    assert part_paths(path, count) == (path,)


@given(st.integers(0, len(BIG) - 1))
@example(0)
@example(8)
def test_a_header_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(ModelFileUnreadable):
        read(BIG[:length])


@given(st.binary(max_size=400))
@example(b"GGUF")
@example(b"PK\x03\x04 something else entirely")
def test_something_else_is_refused(content: bytes) -> None:
    with pytest.raises(ModelFileUnreadable):
        read(content)


@given(st.lists(st.tuples(st.integers(4, 1600), st.integers(0, 255)), min_size=1, max_size=6))
def test_damage_is_refused_or_changes_figures_and_nothing_else(
    damage: list[tuple[int, int]],
) -> None:
    content = bytearray(BIG)
    for place, value in damage:
        content[place] = value
    try:
        header = read(bytes(content))
    except ModelFileUnreadable:
        return
    assert 0 <= header.weights.total < 1 << 53


def claiming(tensors: int = 0, pairs: int = 0, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, pairs) + rest


KEY = struct.pack("<Q", 1) + b"k"


@pytest.mark.parametrize(
    "content",
    [
        claiming(tensors=2**63),
        claiming(pairs=2**64 - 1),
        claiming(pairs=1, rest=struct.pack("<Q", 2**40)),
        claiming(pairs=1, rest=KEY + struct.pack("<IQ", 8, 2**50)),
        claiming(pairs=1, rest=KEY + struct.pack("<IIQ", 9, 4, 2**50)),
        claiming(pairs=1, rest=KEY + struct.pack("<IIQ", 9, 9, 2**20)),
        claiming(pairs=1, rest=KEY + struct.pack("<IIQ", 9, 8, 2_000_001)),
        claiming(
            pairs=1, rest=KEY + struct.pack("<IIQ", 9, 9, 1) * 1 + struct.pack("<IQ", 9, 1) * 9
        ),
        claiming(pairs=1, rest=KEY + struct.pack("<I", 77)),
        claiming(tensors=1, rest=KEY + struct.pack("<I", 2**31)),
        claiming(tensors=1, rest=KEY + struct.pack("<IQ", 1, 2**60) + bytes(12)),
        claiming(tensors=1, rest=KEY + struct.pack("<I5Q", 5, *[2**40] * 5) + bytes(12)),
    ],
    ids=[
        "tensors",
        "metadata",
        "key",
        "text",
        "list",
        "lists of lists",
        "texts",
        "nested lists",
        "kind",
        "dimensions",
        "dimension",
        "product of dimensions",
    ],
)
def test_claims_beyond_belief_are_refused_without_fetching_much(content: bytes) -> None:
    asked: list[int] = []
    with pytest.raises(ModelFileUnreadable):
        read_counting(content + bytes(MIB), asked)
    assert sum(asked) <= 4 * MIB


def read_counting(content: bytes, asked: list[int]) -> None:
    reader = GgufHeaderReader()
    while (needs := reader.needs) is not None:
        asked.append(needs.length)
        reader.feed(content[needs.offset : needs.offset + needs.length])


def test_a_header_is_not_there_before_it_is_read() -> None:
    with pytest.raises(ValueError, match="yet"):
        _ = GgufHeaderReader().header


def test_a_name_in_the_metadata_cannot_write_to_the_terminal() -> None:
    header = read(written({**dense(), "general.name": "\x1b]0;owned\x07big\x9b31m" + "x" * 9000}))
    name = header.metadata["general.name"]
    assert isinstance(name, str)
    assert "\x1b" not in name
    assert "\x9b" not in name
    assert len(name) <= 200
