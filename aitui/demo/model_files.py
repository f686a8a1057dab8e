"""The model files of the demo's machine: real headers, and holes instead of weights.

Format: docs/gguf.md in ggml, version 3, little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from aitui.demo.configuration import ModelConfiguration
from aitui.demo.fake_flags import FakeFlags, read_flags
from aitui.demo.unit import HOME

FOLDERS = ("/srv/models/", f"{HOME}/models/")
_MEBIBYTE = 1 << 20
_ALIGNMENT = 32
_UINT32, _STRING = 4, 8
_Q8_0 = 8
_BLOCK_VALUES, _BLOCK_BYTES = 32, 34
_LAYERS = 48
_HEAD = 128
_HEADS = 40
_BYTES_A_HEAD = 2 * 2 * _HEAD * _LAYERS
_LONGEST_CONTEXT = 262144


class _ModelFile(Struct, frozen=True):
    path: str
    size_mib: int
    kv_heads: int


_EXTRA_FILES = (
    _ModelFile(f"{FOLDERS[0]}mmproj-F16.gguf", 862, 1),
    _ModelFile(f"{FOLDERS[0]}Mistral-Nemo-Instruct-2407-Q8_0.gguf", 12_400, 8),
    _ModelFile(f"{FOLDERS[0]}Qwen3-30B-A3B-Thinking-2507-Q6_K.gguf", 23_900, 4),
)


def write_model_files(root: Path, models: Mapping[str, ModelConfiguration]) -> None:
    """Write what the models' commands name below FOLDERS, and three others.

    Those are a projector, and two that no command names.
    """
    for file in (*_files_in_commands(models), *_EXTRA_FILES):
        place = root / file.path.removeprefix("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(_gguf_header(place.stem, file))
        with place.open("r+b") as opened:
            opened.truncate(opened.seek(0, 2) + file.size_mib * _MEBIBYTE)


def _files_in_commands(models: Mapping[str, ModelConfiguration]) -> Iterator[_ModelFile]:
    for model in models.values():
        flags = read_flags(model)
        if flags.model_file.startswith(FOLDERS) and not flags.missing_file:
            yield _ModelFile(
                flags.model_file, round(flags.weights), flags.kv_heads or _kv_heads(flags)
            )


def _kv_heads(flags: FakeFlags) -> int:
    """Return the heads with which the cache has the size in the command."""
    wanted = flags.cache * _MEBIBYTE / max(flags.context_size, 1)
    return min(max(round(wanted / _BYTES_A_HEAD), 1), _HEADS)


def _gguf_header(name: str, file: _ModelFile) -> bytes:
    pairs = (
        _encode_pair("general.architecture", "llama"),
        _encode_pair("general.name", name),
        _encode_pair("llama.block_count", _LAYERS),
        _encode_pair("llama.context_length", _LONGEST_CONTEXT),
        _encode_pair("llama.embedding_length", _HEAD * _HEADS),
        _encode_pair("llama.attention.head_count", _HEADS),
        _encode_pair("llama.attention.head_count_kv", file.kv_heads),
        _encode_pair("llama.attention.key_length", _HEAD),
        _encode_pair("llama.attention.value_length", _HEAD),
    )
    each = file.size_mib * _MEBIBYTE // _LAYERS // _BLOCK_BYTES * _BLOCK_BYTES
    rows = each // _BLOCK_BYTES * _BLOCK_VALUES
    tensors = [
        _encode_string(f"blk.{layer}.ffn_down.weight")
        + struct.pack("<IQIQ", 1, rows, _Q8_0, -(-each // _ALIGNMENT) * _ALIGNMENT * layer)
        for layer in range(_LAYERS)
    ]
    start = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs))
    header = start + b"".join(pairs) + b"".join(tensors)
    return header + bytes(-len(header) % _ALIGNMENT)


def _encode_pair(key: str, value: str | int) -> bytes:
    if isinstance(value, str):
        return _encode_string(key) + struct.pack("<I", _STRING) + _encode_string(value)
    return _encode_string(key) + struct.pack("<II", _UINT32, value)


def _encode_string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded
