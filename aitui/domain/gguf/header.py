"""What the header of a GGUF file says of its model."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

Value = int | float | bool | str | tuple[int | float | bool, ...]

_MOST_LAYERS = 4096
_LARGEST = 1 << 40


@dataclass(frozen=True, slots=True)
class TensorWeights:
    """Bytes of the tensors: in all, of the token embedding, and of each layer in its order.

    llama.cpp keeps the embedding in the machine's memory. What is neither that nor of a layer is
    the output.
    """

    total: int = 0
    embedding: int = 0
    layers: tuple[int, ...] = ()

    def add(self, other: "TensorWeights") -> "TensorWeights":
        """The sum: parts of one model."""
        count = max(len(self.layers), len(other.layers))
        mine, others = _pad(self.layers, count), _pad(other.layers, count)
        return TensorWeights(
            self.total + other.total,
            self.embedding + other.embedding,
            tuple(map(sum, zip(mine, others, strict=True))),
        )


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Metadata with the keys of the GGUF specification, without the tokenizer's, and the weights.

    `vocabulary` is the number of tokens, 0 where it has no embedding of them. `read_bytes` is how
    much of the file was read. `tied` is set where the output shares the
    token embedding: llama.cpp then loads that twice.
    """

    metadata: Mapping[str, Value] = field(default_factory=dict)
    weights: TensorWeights = field(default_factory=TensorWeights)
    tied: bool = False
    has_output: bool = False
    vocabulary: int = 0
    version: int = 3
    read_bytes: int = 0

    @property
    def architecture(self) -> str:
        """The word that the keys of the model's own metadata begin with, "" where it is missing."""
        value = self.metadata.get("general.architecture")
        return value if isinstance(value, str) else ""

    def has(self, *prefixes: str) -> bool:
        """Whether any key of the architecture begins with one of these words."""
        starts = tuple(f"{self.architecture}.{prefix}" for prefix in prefixes)
        return any(
            key.startswith(starts) and value not in (0, False, "", ())
            for key, value in self.metadata.items()
        )

    def number(self, name: str) -> int | None:
        """A whole number of the architecture, such as `block_count`."""
        return _natural(self.metadata.get(f"{self.architecture}.{name}"))

    def each_layer(self, name: str, fallback: int | None = None) -> tuple[int, ...] | None:
        """A number for each layer, which the file gives once for all or as a list.

        None where it is missing without a fallback, or doesn't fit the number of layers.
        """
        count = self.layers
        if count is None:
            return None
        value = self.metadata.get(f"{self.architecture}.{name}")
        if isinstance(value, tuple):
            numbers = tuple(_natural(item) for item in value)
            known = tuple(number for number in numbers if number is not None)
            return known if len(known) == len(numbers) == count else None
        one = fallback if value is None else _natural(value)
        return None if one is None else (one,) * count

    @property
    def layers(self) -> int | None:
        """The number of layers."""
        count = self.number("block_count")
        return count if count is not None and 0 < count <= _MOST_LAYERS else None

    @property
    def context_length(self) -> int | None:
        """Tokens that the model was trained with."""
        return self.number("context_length") or None

    @property
    def parts(self) -> int:
        """How many files the model is split into."""
        count = _natural(self.metadata.get("split.count"))
        return count if count is not None and 1 < count <= 99_999 else 1


def merge_headers(headers: Iterable[GgufHeader]) -> GgufHeader:
    """One header for all parts of a split model: the first one's metadata, everyone's weights.

    Raises ValueError where there is no part.
    """
    parts = list(headers)
    if not parts:
        raise ValueError("a model has at least one file")
    weights = TensorWeights()
    for part in parts:
        weights = weights.add(part.weights)
    return replace(
        parts[0],
        weights=weights,
        tied=_is_tied(parts),
        vocabulary=max(part.vocabulary for part in parts),
        read_bytes=sum(part.read_bytes for part in parts),
    )


def _is_tied(parts: list[GgufHeader]) -> bool:
    """Whether none of the parts has an output of its own: the embedding and it may be apart."""
    return any(part.tied for part in parts) and not any(part.has_output for part in parts)


def _pad(numbers: tuple[int, ...], count: int) -> tuple[int, ...]:
    return numbers + (0,) * (count - len(numbers))


def _natural(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or not 0 <= value < _LARGEST or value != int(value):
        return None
    return int(value)
