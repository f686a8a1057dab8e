"""What a model will take that never ran here, from the header of its file."""

from aitui.domain.gguf.header import GgufHeader
from aitui.domain.memory.architecture import reason_cache_unknown
from aitui.domain.memory.footprint import Footprint, FootprintOrigin
from aitui.domain.memory.kv_cache import kv_cache_bytes
from aitui.domain.memory.setup import LaunchProfile

_MASK_BYTES = 2
_FLOAT_BYTES = 4


def estimate(
    header: GgufHeader, setup: LaunchProfile, context_size: int, *, has_gpu: bool = True
) -> Footprint | None:
    """Weights, cache and buffers of a dense model, None where that can't be calculated.

    `unestimable` says why not.
    """
    if reason_not_estimable(header, setup):
        return None
    cache = kv_cache_bytes(header, context_size, setup.cache_k, setup.cache_v, setup.streams)
    layers = header.layers
    if cache is None or layers is None:
        return None
    compute = compute_bytes(
        header, context_size, setup.micro_batch, scores=not setup.flash_attention
    )
    weights = header.weights.total + (header.weights.embedding if header.tied else 0)
    if not has_gpu or not setup.on_gpu:
        parts = header.weights.total + cache + compute
        return Footprint(context_size, 0, parts, header.weights.total, cache, compute)
    wanted = layers + 1 if setup.gpu_layers is None else setup.gpu_layers
    if wanted > layers:
        on_gpu, cache_there = weights - header.weights.embedding, cache
    else:
        # llama.cpp puts the last layers on the graphics card, and the output after all of them.
        on_gpu = sum(header.weights.layers[layers - wanted :])
        cache_there = cache * wanted // layers
    if not setup.cache_on_gpu:
        cache_there = 0
    return Footprint(
        context_size=context_size,
        gpu=on_gpu + cache_there + compute,
        host=weights - on_gpu + cache - cache_there,
        weights=weights,
        cache=cache,
        compute=compute,
        origin=FootprintOrigin.ESTIMATED,
    )


def reason_not_estimable(header: GgufHeader, setup: LaunchProfile) -> str:
    """Why a model's memory can't be calculated, in words; "" where it can."""
    if setup.moved:
        return "its command puts single tensors elsewhere"
    if setup.companions:
        return "its command loads more than one model"
    return reason_cache_unknown(header)


def compute_bytes(
    header: GgufHeader, context_size: int, micro_batch: int, *, scores: bool = False
) -> int:
    """About what llama.cpp's compute buffer takes.

    For each token of a micro batch: a row of the attention mask, the logits, some layers' worth of
    activations, and without flash attention the `scores` of every head. The factors fit the
    buffers of 33.0, 56.5 and 280.5 MiB of the recorded start-up logs; other back ends differ.
    """
    embedding = header.number("embedding_length") or 0
    forward = header.number("feed_forward_length") or 0
    experts = (header.number("expert_feed_forward_length") or 0) * (
        header.number("expert_used_count") or 0
    )
    activations = 6 * embedding + 2 * max(forward, experts) + header.vocabulary
    heads = max(header.each_layer("attention.head_count") or (0,)) if scores else 0
    row = context_size * (_MASK_BYTES + heads * _FLOAT_BYTES)
    return micro_batch * (row + activations * _FLOAT_BYTES)
