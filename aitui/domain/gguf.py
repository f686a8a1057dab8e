"""The header of a GGUF file: metadata, and the size of the weights.

A reader is a generator that yields the bytes it wants and is given them, so it works over any
connection. Nothing that a file claims is believed without a limit: names, lists and counts are
bounded.
"""

import math
import re
import struct
from collections.abc import Generator, Iterable, Mapping, Sequence
from itertools import zip_longest

from msgspec import Struct, field
from msgspec.structs import replace

from aitui.domain.models import parse_shard
from aitui.domain.sanitize import sanitize_line
from aitui.errors import ModelFileUnreadable

Value = int | float | bool | str | tuple[int | float | bool, ...]

_MOST_LAYERS = 4096
_LARGEST = 1 << 40


class TensorWeights(Struct, frozen=True):
    """Bytes of the tensors: in all, of the token embedding, and of each layer in its order.

    llama.cpp keeps the embedding in the machine's memory. What is neither that nor of a layer is
    the output.
    """

    total: int = 0
    embedding: int = 0
    layers: tuple[int, ...] = ()

    def add(self, other: "TensorWeights") -> "TensorWeights":
        """Return the sum: parts of one model."""
        layers = tuple(map(sum, zip_longest(self.layers, other.layers, fillvalue=0)))
        return TensorWeights(self.total + other.total, self.embedding + other.embedding, layers)


class GgufHeader(Struct, frozen=True):
    """Metadata with the keys of the GGUF specification, without the tokenizer's, and the weights.

    `vocabulary` is the number of tokens, 0 without an embedding. `read_bytes` is how much of the
    file was read. `tied` is set if the output shares the token embedding: llama.cpp then loads that
    twice.
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
        """The prefix of the model's own keys, "" if it is missing."""
        value = self.metadata.get("general.architecture")
        return value if isinstance(value, str) else ""

    def has(self, *prefixes: str) -> bool:
        """Whether any key of the architecture begins with one of these words."""
        starts = tuple(f"{self.architecture}.{prefix}" for prefix in prefixes)
        return any(value for key, value in self.metadata.items() if key.startswith(starts))

    def number(self, name: str) -> int | None:
        """Return a whole number of the architecture, such as `block_count`."""
        return _natural(self.metadata.get(f"{self.architecture}.{name}"))

    def each_layer(self, name: str) -> tuple[int, ...] | None:
        """Return a number for each layer, which the file gives once for all or as a list.

        None if it is missing, or doesn't fit the number of layers.
        """
        count = self.layers
        if count is None:
            return None
        value = self.metadata.get(f"{self.architecture}.{name}")
        if isinstance(value, tuple):
            known = tuple(number for item in value if (number := _natural(item)) is not None)
            return known if len(known) == len(value) == count else None
        one = _natural(value)
        return None if one is None else (one,) * count

    @property
    def layers(self) -> int | None:
        """Return the number of layers."""
        count = self.number("block_count")
        return count if count is not None and 0 < count <= _MOST_LAYERS else None

    @property
    def context_length(self) -> int | None:
        """Tokens that the model was trained with."""
        return self.number("context_length") or None

    @property
    def parts(self) -> int:
        """Return the number of files that the model is split into."""
        count = _natural(self.metadata.get("split.count"))
        return count if count is not None and 1 < count <= 99_999 else 1


def merge_headers(headers: Iterable[GgufHeader]) -> GgufHeader:
    """Merge the parts of a split model: the first one's metadata, the weights of all.

    Raises ValueError if there is no part.
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
        # The output may be in another part than the embedding.
        tied=any(part.tied for part in parts) and not any(part.has_output for part in parts),
        vocabulary=max(part.vocabulary for part in parts),
        read_bytes=sum(part.read_bytes for part in parts),
    )


def _natural(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or not 0 <= value < _LARGEST or value != int(value):
        return None
    return int(value)


MOST_PARTS = 1000


def part_paths(path: str, count: int) -> tuple[str, ...]:
    """Return the paths of all parts, from that of any of them; of no part, the path itself."""
    shard = parse_shard(path) if path.endswith(".gguf") else None
    if shard is None or count != shard.count or not 1 < count <= MOST_PARTS:
        return (path,)
    return tuple(f"{shard.prefix}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1))


# `ggml_type` of ggml.h and GGML_QUANT_SIZES of gguf-py: number, name, values a block, bytes a block.
# Types that were withdrawn (31 to 33, 36 to 38) are packed like those they came from.
_TYPES = """
 0 F32       1   4    1 F16       1   2    2 Q4_0     32  18    3 Q4_1     32  20    6 Q5_0     32  22
 7 Q5_1     32  24    8 Q8_0     32  34    9 Q8_1     32  36   10 Q2_K    256  84   11 Q3_K    256 110
12 Q4_K    256 144   13 Q5_K    256 176   14 Q6_K    256 210   15 Q8_K    256 292   16 IQ2_XXS 256  66
17 IQ2_XS  256  74   18 IQ3_XXS 256  98   19 IQ1_S   256  50   20 IQ4_NL   32  18   21 IQ3_S   256 110
22 IQ2_S   256  82   23 IQ4_XS  256 136   24 I8        1   1   25 I16       1   2   26 I32       1   4
27 I64       1   8   28 F64       1   8   29 IQ1_M   256  56   30 BF16      1   2   31 -        32  18
32 -        32  18   33 -        32  18   34 TQ1_0   256  54   35 TQ2_0   256  66   36 -        32  18
37 -        32  18   38 -        32  18   39 MXFP4    32  17   40 NVFP4    64  36   41 Q1_0    128  18
"""
_ROWS = re.findall(r"([0-9]+) +(\S+) +([0-9]+) +([0-9]+)", _TYPES)
_BLOCKS = {int(kind): (int(values), int(size)) for kind, _, values, size in _ROWS}
_CACHE_TYPES = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "IQ4_NL", "Q5_0", "Q5_1")
CACHE_TYPES = {name.lower(): _BLOCKS[int(kind)] for kind, name, *_ in _ROWS if name in _CACHE_TYPES}
"""What llama-server takes for `--cache-type-k` and `-v`: values and bytes a block."""


def tensor_bytes(kind: int, shape: Sequence[int]) -> int | None:
    """Return the bytes of a tensor, None for an unknown type.

    Its rows, the first dimension, are made of whole blocks.
    """
    block = _BLOCKS.get(kind)
    if block is None:
        return None
    values, size = block
    row = shape[0] if shape else 1
    return -(-row // values) * size * math.prod(shape[1:])


LARGEST_HEADER = 128 << 20
SMALLEST_READ = 64 << 10
LARGEST_READ = 1 << 20


class ByteRange(Struct, frozen=True):
    """Bytes of a file that are wanted next; fewer may come where it ends."""

    offset: int
    length: int


Wants = Generator[ByteRange, bytes, None]


class FileWindow:
    """The part of a file that is in memory, around the position that is read.

    Reads grow from 64 KiB to 1 MiB: most headers end within a few of them, and long arrays of
    numbers are skipped without being fetched. `kept_numbers` and `skipped_texts` are counted by the
    reader, to limit what a hostile file can ask for.
    """

    def __init__(self) -> None:
        self._bytes = b""
        self._start = 0
        self._place = 0
        self._length = SMALLEST_READ
        self.fetched = 0
        self.kept_numbers = 0
        self.skipped_texts = 0
        self.order = "<"

    @property
    def offset(self) -> int:
        """Return the offset of the next value in the file."""
        return self._start + self._place

    def has_bytes(self, count: int) -> bool:
        """Whether so many bytes can be taken without fetching any."""
        return len(self._bytes) - self._place >= count

    def fetch(self, count: int) -> Wants:
        """Ask for more until so many bytes can be taken. Raises ModelFileUnreadable."""
        while not self.has_bytes(count):
            if self.offset + count > LARGEST_HEADER:
                raise _too_long_error()
            self._bytes = self._bytes[self._place :]
            self._start, self._place = self.offset, 0
            missing = max(count - len(self._bytes), self._length)
            more = yield ByteRange(self._start + len(self._bytes), missing)
            if not more:
                raise unreadable_header_error("the file ends inside its header")
            self._bytes += more
            self.fetched += len(more)
            self._length = min(self._length * 2, LARGEST_READ)

    def skip(self, count: int) -> None:
        """Skip bytes, fetched or not. Raises ModelFileUnreadable."""
        if count > LARGEST_HEADER:
            raise _too_long_error()
        self._place += count
        beyond = self._place - len(self._bytes)
        if beyond > 0:
            self._start, self._bytes, self._place = self.offset, b"", 0

    def number(self, form: str) -> int | float:
        """Return the next number, in a format of `struct`; its bytes must be ready."""
        return self.numbers(form, 1)[0]

    def numbers(self, form: str, count: int) -> tuple[int | float, ...]:
        """Return the next numbers of one format; their bytes must be ready."""
        shape = f"{self.order}{count}{form}"
        values = struct.unpack_from(shape, self._bytes, self._place)
        self._place += struct.calcsize(shape)
        return values

    def take(self, count: int) -> bytes:
        """Return the next bytes, which must be ready."""
        found = self._bytes[self._place : self._place + count]
        self._place += count
        return found


def unreadable_header_error(why: str) -> ModelFileUnreadable:
    """Return the error for a file that can't be what it should be."""
    return ModelFileUnreadable("The model file's header can't be read", why=why)


def _too_long_error() -> ModelFileUnreadable:
    return unreadable_header_error(f"its header is longer than {LARGEST_HEADER >> 20} MiB")


_MAGIC = b"GGUF"
_MOST_PAIRS = 20_000
_MOST_TENSORS = 200_000
_MOST_ITEMS = 4_000_000
_MOST_LISTS = 10_000
_MOST_TEXTS = 2_000_000
_MOST_NUMBERS = 100_000
_LONGEST_LIST_KEPT = 4096
_LONGEST_KEY = 65_535
_LONGEST_TEXT_KEPT = 200
_MOST_DIMENSIONS = 8
_LARGEST_DIMENSION = 1 << 48
_LARGEST_MODEL = 1 << 52
_USUAL_ALIGNMENT = 32
_STRING, _ARRAY, _BOOL = 8, 9, 7
_FORMS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}
_LAYER = re.compile(r"blk\.([0-9]{1,4})\.")
_IGNORED_PREFIXES = ("tokenizer.",)

_Tensor = tuple[str, tuple[int, ...], int, int]


class GgufHeaderReader:
    """Says which bytes it wants, and is given them, until the header is known.

    `length` is the file's size in bytes, if known: it limits a last tensor of an unknown type.
    """

    def __init__(self, length: int | None = None) -> None:
        self._header: GgufHeader | None = None
        self._steps = _read(FileWindow(), length)
        self.needs: ByteRange | None = next(self._steps)
        """The bytes to feed next, None when the header is known."""

    @property
    def header(self) -> GgufHeader:
        """Return the header; raises ValueError before it is complete."""
        if self._header is None:
            raise ValueError("the header has not been read yet")
        return self._header

    def feed(self, content: bytes) -> None:
        """Take the bytes that were wanted, fewer where the file ends. Raises ModelFileUnreadable."""
        if self.needs is None:
            raise ValueError("the header is read already")
        try:
            self.needs = self._steps.send(content[: self.needs.length])
        except StopIteration as ended:
            self.needs = None
            self._header = ended.value


def _read(window: FileWindow, length: int | None) -> Generator[ByteRange, bytes, GgufHeader]:
    version = yield from _read_version(window)
    tensor_count = yield from _read_count(window, _MOST_TENSORS, "tensors")
    pair_count = yield from _read_count(window, _MOST_PAIRS, "pieces of metadata")
    metadata: dict[str, Value] = {}
    for _ in range(pair_count):
        yield from _read_pair(window, metadata)
    tensors: list[_Tensor] = []
    for _ in range(tensor_count):
        tensors += [(yield from _read_tensor(window))]
    alignment = metadata.get("general.alignment", _USUAL_ALIGNMENT)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
        raise unreadable_header_error("its alignment is invalid")
    ends = None if length is None else length - -(-window.offset // alignment) * alignment
    shapes = {name: shape for name, shape, *_ in tensors}
    embedding = shapes.get("token_embd.weight", ())
    return GgufHeader(
        metadata=metadata,
        weights=_sum_weights(tensors, ends),
        tied="output.weight" not in shapes and bool(embedding),
        has_output="output.weight" in shapes,
        vocabulary=min(embedding[-1], _MOST_ITEMS) if embedding else 0,
        version=version,
        read_bytes=window.fetched,
    )


def _read_version(window: FileWindow) -> Generator[ByteRange, bytes, int]:
    yield from window.fetch(8)
    if window.take(4) != _MAGIC:
        raise unreadable_header_error("it does not begin as a GGUF file does")
    version = window.take(4)
    if version[0] == 0:
        window.order = ">"
    number: int = struct.unpack(window.order + "I", version)[0]
    if number not in (2, 3):
        why = f"it has version {number} of the format, and only 2 and 3 are known"
        raise unreadable_header_error(why)
    return number


def _read_count(window: FileWindow, most: int, of_what: str) -> Generator[ByteRange, bytes, int]:
    yield from window.fetch(8)
    count = window.number("Q")
    if count > most:
        raise unreadable_header_error(f"it claims to have {count:,} {of_what}")
    return int(count)


def _read_string(window: FileWindow, longest: int) -> Generator[ByteRange, bytes, str]:
    length = yield from _read_count(window, longest, "characters in a name")
    yield from window.fetch(length)
    return window.take(length).decode("utf-8", "replace")


def _read_pair(window: FileWindow, metadata: dict[str, Value]) -> Wants:
    key = yield from _read_string(window, _LONGEST_KEY)
    yield from window.fetch(4)
    kind = int(window.number("I"))
    if key.startswith(_IGNORED_PREFIXES):
        yield from _skip(window, kind, 1)
        return
    value = yield from _read_value(window, kind)
    if isinstance(value, tuple):
        window.kept_numbers += len(value)
        if window.kept_numbers > _MOST_NUMBERS:
            raise unreadable_header_error("its metadata has too many lists")
    if value is not None:
        metadata[sanitize_line(key, _LONGEST_TEXT_KEPT)] = value


def _read_value(window: FileWindow, kind: int) -> Generator[ByteRange, bytes, Value | None]:
    """Return a value that may be of use, None for lists of texts and very long ones."""
    if kind == _STRING:
        length = yield from _read_count(window, _LARGEST_MODEL, "characters in a text")
        kept = min(length, _LONGEST_TEXT_KEPT * 4)
        yield from window.fetch(kept)
        text = window.take(kept).decode("utf-8", "replace")
        window.skip(length - kept)
        return sanitize_line(text, _LONGEST_TEXT_KEPT)
    if kind == _ARRAY:
        yield from window.fetch(12)
        inner, count = int(window.number("I")), int(window.number("Q"))
        if inner not in _FORMS or count > _LONGEST_LIST_KEPT:
            yield from _skip(window, inner, count)
            return None
        form = _FORMS[inner]
        yield from window.fetch(struct.calcsize(form) * count)
        numbers = window.numbers(form, count)
        return tuple(map(bool, numbers)) if inner == _BOOL else numbers
    form = _number_format(kind)
    yield from window.fetch(struct.calcsize(form))
    number = window.number(form)
    return bool(number) if kind == _BOOL else number


def _skip(window: FileWindow, kind: int, count: int, depth: int = 0) -> Wants:
    if count > _MOST_ITEMS:
        raise unreadable_header_error(f"it claims to have a list of {count:,} values")
    if kind == _STRING:
        window.skipped_texts += count
        if window.skipped_texts > _MOST_TEXTS:
            why = f"it claims to have lists of {window.skipped_texts:,} texts"
            raise unreadable_header_error(why)
        for _ in range(count):
            if not window.has_bytes(8):
                yield from window.fetch(8)
            window.skip(int(window.number("Q")))
    elif kind == _ARRAY:
        if depth > 2 or count > _MOST_LISTS:
            raise unreadable_header_error("its lists are nested too deeply")
        for _ in range(count):
            yield from window.fetch(12)
            inner, items = int(window.number("I")), int(window.number("Q"))
            yield from _skip(window, inner, items, depth + 1)
    else:
        window.skip(struct.calcsize(_number_format(kind)) * count)


def _number_format(kind: int) -> str:
    form = _FORMS.get(kind)
    if form is None:
        raise unreadable_header_error(f"it has a value of kind {kind}, which does not exist")
    return form


def _read_tensor(window: FileWindow) -> Generator[ByteRange, bytes, _Tensor]:
    name = yield from _read_string(window, _LONGEST_KEY)
    yield from window.fetch(4)
    dimensions = int(window.number("I"))
    if dimensions > _MOST_DIMENSIONS:
        raise unreadable_header_error(f"it has a tensor of {dimensions:,} dimensions")
    yield from window.fetch(8 * dimensions + 12)
    shape = tuple(int(size) for size in window.numbers("Q", dimensions))
    if any(size > _LARGEST_DIMENSION for size in shape):
        raise unreadable_header_error("it has a tensor that is too large to be real")
    kind, offset = int(window.number("I")), int(window.number("Q"))
    return name, shape, kind, offset


def _sum_weights(tensors: list[_Tensor], ends: int | None) -> TensorWeights:
    """Sum the bytes of all tensors. One of an unknown type reaches to the next one, or to the end."""
    offsets = sorted({offset for *_, offset in tensors})
    following = dict(zip(offsets, [*offsets[1:], ends], strict=False))
    total = embedding = 0
    layers: dict[int, int] = {}
    for name, shape, kind, offset in tensors:
        size = tensor_bytes(kind, shape)
        if size is None:
            size = max(0, (following[offset] or offset) - offset)
        total += size
        if total > _LARGEST_MODEL:
            raise unreadable_header_error("its tensors are too large to be real")
        layer = _LAYER.match(name)
        if layer is not None:
            layers[int(layer[1])] = layers.get(int(layer[1]), 0) + size
        elif name == "token_embd.weight":
            embedding += size
    depth = max(layers, default=-1) + 1
    return TensorWeights(total, embedding, tuple(layers.get(index, 0) for index in range(depth)))
