"""The slots of a model's server: https://github.com/ggml-org/llama.cpp, `GET /slots`."""

import msgspec

from aitui.swap.addresses import path_segment
from aitui.swap.answers import Response

_LARGEST_CONTEXT = 2**40


class _Slot(msgspec.Struct):
    n_ctx: int = 0


_SLOTS = msgspec.json.Decoder(list[_Slot])


def slots_path(model_id: str) -> str:
    """Where a model tells of its slots."""
    return f"/upstream/{path_segment(model_id)}/slots"


def parse_slot_size(answer: Response) -> int:
    """Tokens that one conversation may have; 0 where the server doesn't tell."""
    try:
        sizes = [slot.n_ctx for slot in _SLOTS.decode(answer.body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0
    return min((size for size in sizes if 0 < size < _LARGEST_CONTEXT), default=0)
