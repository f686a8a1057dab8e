"""GGUF files for tests: the recorded one, and small ones written here."""

import struct
from collections.abc import Sequence
from pathlib import Path

from aitui.domain.gguf import GgufHeader, GgufHeaderReader

RECORDED = Path(__file__).parents[2] / "recordings" / "llama-server"
RECORDED_10605 = RECORDED.with_name("llama-server-b10605")
BIG = (RECORDED / "big.gguf.header").read_bytes()

Tensor = tuple[str, tuple[int, ...], int]
U32, F32, BOOL, STRING, ARRAY, U64 = 4, 6, 7, 8, 9, 10


def read(content: bytes, length: int | None = None, piece: int | None = None) -> GgufHeader:
    """The header of a file in memory; at most `piece` bytes are given at a time."""
    reader = GgufHeaderReader(length)
    while (needs := reader.needs) is not None:
        length_given = needs.length if piece is None else min(piece, needs.length)
        reader.feed(content[needs.offset : needs.offset + length_given])
    return reader.header


def dense(
    layers: int = 4, heads: int = 8, heads_kv: int = 2, head_size: int = 64, **others: object
) -> dict[str, object]:
    """The metadata of a dense model of the Llama kind."""
    return {
        "general.architecture": "llama",
        "llama.block_count": layers,
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": heads_kv,
        "llama.embedding_length": heads * head_size,
        "llama.context_length": 131072,
        **{f"llama.{name.replace('__', '.')}": value for name, value in others.items()},
    }


def written(
    metadata: dict[str, object],
    tensors: Sequence[Tensor] = (),
    *,
    order: str = "<",
    version: int = 3,
    offsets: list[int] | None = None,
) -> bytes:
    """A file of these values; tensors are name, shape and type."""
    found = list(tensors)
    parts = [b"GGUF", struct.pack(f"{order}IQQ", version, len(found), len(metadata))]
    for key, value in metadata.items():
        kind, packed = _value(value, order)
        parts += [_text(key, order), struct.pack(f"{order}I", kind), packed]
    for number, (name, shape, kind) in enumerate(found):
        offset = offsets[number] if offsets else number * 32
        shape_packed = struct.pack(f"{order}I{len(shape)}Q", len(shape), *shape)
        parts += [_text(name, order), shape_packed, struct.pack(f"{order}IQ", kind, offset)]
    return b"".join(parts)


def _text(text: str, order: str) -> bytes:
    encoded = text.encode()
    return struct.pack(f"{order}Q", len(encoded)) + encoded


def _value(value: object, order: str) -> tuple[int, bytes]:
    if isinstance(value, bool):
        return BOOL, struct.pack(f"{order}B", value)
    if isinstance(value, int):
        return U32, struct.pack(f"{order}I", value)
    if isinstance(value, float):
        return F32, struct.pack(f"{order}f", value)
    if isinstance(value, str):
        return STRING, _text(value, order)
    assert isinstance(value, list)
    kind = STRING if value and isinstance(value[0], str) else U32
    packed = b"".join(_value(item, order)[1] for item in value)
    return ARRAY, struct.pack(f"{order}IQ", kind, len(value)) + packed
