"""Reading a GGUF header by ranges: only the bytes that hold it have to travel.

The format is that of docs/gguf.md in ggml, versions 2 and 3, in either byte order.
"""

import re
import struct
from collections.abc import Generator

from aitui.domain.clean import sanitize_line
from aitui.domain.gguf.header import GgufHeader, TensorWeights, Value
from aitui.domain.gguf.tensor_types import tensor_bytes
from aitui.domain.gguf.window import ByteRange, FileWindow, Wants, unreadable_header_error

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

    `length` is the file's size in bytes where that is known: it tells the size of a last tensor
    whose type isn't known here.
    """

    def __init__(self, length: int | None = None) -> None:
        self._header: GgufHeader | None = None
        self._steps = _read(FileWindow(), length)
        self._needs: ByteRange | None = next(self._steps)

    @property
    def needs(self) -> ByteRange | None:
        """The bytes to feed next, None when the header is known."""
        return self._needs

    @property
    def header(self) -> GgufHeader:
        """What was read. Raises ValueError before the end."""
        if self._header is None:
            raise ValueError("the header isn't read yet")
        return self._header

    def feed(self, content: bytes) -> None:
        """The bytes that were wanted, fewer where the file ends. Raises ModelFileUnreadable."""
        if self._needs is None:
            raise ValueError("the header is read already")
        try:
            self._needs = self._steps.send(content[: self._needs.length])
        except StopIteration as ended:
            self._needs = None
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
        raise unreadable_header_error("its alignment is none")
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
        raise unreadable_header_error("it doesn't begin like a GGUF file")
    version = window.take(4)
    if version[0] == 0:
        window.order = ">"
    (number,) = struct.unpack(window.order + "I", version)
    if number not in (2, 3):
        raise unreadable_header_error(
            f"it is of version {number} of the format, and only 2 and 3 are known"
        )
    assert isinstance(number, int)
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
            raise unreadable_header_error("its metadata has more lists than any model's")
    if value is not None:
        metadata[sanitize_line(key, _LONGEST_TEXT_KEPT)] = value


def _read_value(window: FileWindow, kind: int) -> Generator[ByteRange, bytes, Value | None]:
    """A value that may be of use, None for one that isn't: lists of texts, very long ones."""
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
    """Step over values of one kind."""
    if count > _MOST_ITEMS:
        raise unreadable_header_error(f"it claims to have a list of {count:,} values")
    if kind == _STRING:
        window.skipped_texts += count
        if window.skipped_texts > _MOST_TEXTS:
            raise unreadable_header_error(
                f"it claims to have lists of {window.skipped_texts:,} texts"
            )
        for _ in range(count):
            if not window.has_bytes(8):
                yield from window.fetch(8)
            window.skip(int(window.number("Q")))
    elif kind == _ARRAY:
        if depth > 2 or count > _MOST_LISTS:
            raise unreadable_header_error("its lists are nested beyond belief")
        for _ in range(count):
            yield from window.fetch(12)
            inner, items = int(window.number("I")), int(window.number("Q"))
            yield from _skip(window, inner, items, depth + 1)
    else:
        window.skip(struct.calcsize(_number_format(kind)) * count)


def _number_format(kind: int) -> str:
    form = _FORMS.get(kind)
    if form is None:
        raise unreadable_header_error(f"it has a value of kind {kind}, which is none")
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
        raise unreadable_header_error("it has a tensor that is larger than any memory")
    kind, offset = int(window.number("I")), int(window.number("Q"))
    return name, shape, kind, offset


def _sum_weights(tensors: list[_Tensor], ends: int | None) -> TensorWeights:
    """The bytes of all tensors. One of an unknown type reaches to the next one, or to the end."""
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
            raise unreadable_header_error("its tensors are larger than any memory")
        layer = _LAYER.match(name)
        if layer is not None:
            layers[int(layer[1])] = layers.get(int(layer[1]), 0) + size
        elif name == "token_embd.weight":
            embedding += size
    depth = max(layers, default=-1) + 1
    return TensorWeights(total, embedding, tuple(layers.get(index, 0) for index in range(depth)))
