"""`/upstream/ID/props` of llama-server: what a model runs with.

Asking it starts a stopped model and resets its idle timer: only right after a load, and once.
"""

import msgspec

from aitui.domain.sanitize import sanitize_line
from aitui.errors import BadResponse
from aitui.llamaswap.errors import Response
from aitui.llamaswap.urls import path_segment

LARGEST_CONTEXT = 1 << 31


class _Generation(msgspec.Struct):
    n_ctx: int = 0


class _Properties(msgspec.Struct):
    default_generation_settings: _Generation = msgspec.field(default_factory=_Generation)
    total_slots: int = 1


def properties_path(model_id: str) -> str:
    """Where a model tells its properties."""
    return f"/upstream/{path_segment(model_id)}/props"


def parse_context_sizes(answer: Response) -> frozenset[int]:
    """The context sizes that a model may have been given, in tokens; empty where it doesn't tell.

    llama-server tells what a slot has: all of the context where slots share it, else their part.
    """
    try:
        told = msgspec.json.decode(answer.body, type=_Properties)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadResponse(
            f"{answer.endpoint} answered with something else than properties",
            why=sanitize_line(str(error), 200),
        ) from error
    of_slot = told.default_generation_settings.n_ctx
    if not 0 < of_slot < LARGEST_CONTEXT:
        return frozenset()
    return frozenset({of_slot, of_slot * max(1, min(told.total_slots, 1024))})


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
