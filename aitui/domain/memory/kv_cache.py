"""The key and value cache of a dense model."""

from aitui.domain.gguf.header import GgufHeader
from aitui.domain.gguf.tensor_types import CACHE_TYPES
from aitui.domain.memory.architecture import reason_cache_unknown

_PADDING = 256


def kv_cache_bytes(
    header: GgufHeader,
    context_size: int,
    cache_type_k: str = "f16",
    cache_type_v: str = "f16",
    streams: int = 1,
) -> int | None:
    """Bytes of the cache, None for a model whose cache isn't the plain one.

    For each cell of each layer, one row of KV heads × head size in the type of either side, as in
    llama.cpp's `llama_kv_cache`: the context is divided among the streams, and each is padded to
    256 cells.
    """
    key_block, value_block = CACHE_TYPES.get(cache_type_k), CACHE_TYPES.get(cache_type_v)
    if key_block is None or value_block is None or reason_cache_unknown(header) or context_size < 1:
        return None
    each = -(-context_size // max(1, streams))
    cells = max(1, streams) * -(-each // _PADDING) * _PADDING
    keys, values = head_sizes(header)
    heads = header.each_layer("attention.head_count_kv") or header.each_layer(
        "attention.head_count"
    )
    assert heads is not None
    row = sum(
        _row_bytes(count * key, key_block) + _row_bytes(count * value, value_block)
        for count, key, value in zip(heads, keys, values, strict=True)
    )
    return cells * row


def head_sizes(header: GgufHeader) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Values in one head's key and in its value, for each layer of a dense model."""
    count = header.layers or 0
    embedding = header.number("embedding_length") or 0
    heads = header.each_layer("attention.head_count") or (1,) * count
    usual = tuple(embedding // max(1, number) for number in heads)
    key, value = header.number("attention.key_length"), header.number("attention.value_length")
    return (key,) * count if key else usual, (value,) * count if value else usual


def _row_bytes(values: int, block: tuple[int, int]) -> int:
    return -(-values // block[0]) * block[1]
