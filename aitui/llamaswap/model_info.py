"""What llama-server reports about a running model: `/upstream/ID/props`.

A request starts a stopped model and resets its idle timer: send it only to verify a load.
"""

import msgspec

from aitui.llamaswap.http import path_segment
from aitui.llamaswap.response import Response
from aitui.llamaswap.schemas import decode_as

LARGEST_CONTEXT = 1 << 31


class _Generation(msgspec.Struct):
    n_ctx: int = 0


class _Properties(msgspec.Struct):
    default_generation_settings: _Generation = msgspec.field(default_factory=_Generation)
    total_slots: int = 1


_PROPERTIES = msgspec.json.Decoder(_Properties)


def properties_path(model_id: str) -> str:
    """Return the path of a model's properties."""
    return f"/upstream/{path_segment(model_id)}/props"


def parse_context_sizes(response: Response) -> frozenset[int]:
    """Return the context sizes that a model may run with, in tokens; none if not reported.

    llama-server reports a slot's size: the whole context if the slots share it, else a part.
    """
    properties = decode_as("properties", _PROPERTIES, response.body, response.endpoint)
    of_slot = properties.default_generation_settings.n_ctx
    if not 0 < of_slot < LARGEST_CONTEXT:
        return frozenset()
    return frozenset({of_slot, of_slot * max(1, min(properties.total_slots, 1024))})
