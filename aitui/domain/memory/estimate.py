"""Estimate the memory of a model that never ran here, from the header of its file."""

from aitui.domain.gguf import CACHE_TYPES, GgufHeader
from aitui.domain.memory.footprint import Footprint, FootprintOrigin
from aitui.domain.memory.launch_profile import LaunchProfile

# Architectures with the plain cache of llama.cpp's `llama_kv_cache`. Others differ, or are too new to
# be known here: they are measured instead.
_PLAIN = """
arcee arctic baichuan bailingmoe bailingmoe2 bloom chatglm codeshell command-r dbrx deci
deepseek dots1 ernie4_5 ernie4_5-moe exaone falcon gemma glm4 gpt2 gptneox granite granitemoe
grok hunyuan-dense hunyuan-moe internlm2 jais llama maincoder minicpm minimax-m2 mistral3 mpt
nemotron olmo olmo2 olmoe openelm orion pangu-embedded phi2 phimoe plamo qwen qwen2 qwen2moe
qwen2vl qwen3 qwen3moe qwen3vl qwen3vlmoe refact seed_oss smollm3 stablelm starcoder starcoder2
xverse
"""


def reason_cache_unknown(header: GgufHeader) -> str:
    """Return why a model's cache can't be calculated, in words; "" for a dense one."""
    if header.layers is None:
        return "its header does not give the number of layers"
    for reason, keys in _SPECIAL:
        if header.has(*keys):
            return reason
    if header.metadata.get(f"{header.architecture}.attention.causal") is False:
        return "it has no KV cache"
    if header.architecture not in _PLAIN.split():
        return f"{header.architecture or 'its architecture'} is unknown to aitui"
    if not _has_sizes(header):
        return "its header does not give the size of the heads"
    return ""


_SPECIAL = (
    ("it has recurrent layers", ("ssm.", "wkv.", "shortconv.", "full_attention_interval", "kda.")),
    ("it has latent attention", ("attention.kv_lora_rank", "attention.key_length_mla")),
    ("it has a sliding window", ("attention.sliding_window", "attention.chunk")),
    ("some of its layers share their cache", ("attention.shared_kv_layers",)),
    ("it has layers that predict extra tokens", ("nextn_predict_layers",)),
    ("it has a sparse index", ("attention.indexer.",)),
)


def _has_sizes(header: GgufHeader) -> bool:
    heads = header.each_layer("attention.head_count")
    sizes = header.number("attention.key_length"), header.number("attention.value_length")
    if all(sizes) and header.each_layer("attention.head_count_kv") is not None:
        return True
    return bool(heads and all(heads) and header.number("embedding_length"))


_PADDING = 256


def kv_cache_bytes(
    header: GgufHeader,
    context_size: int,
    cache_type_k: str = "f16",
    cache_type_v: str = "f16",
    streams: int = 1,
) -> int | None:
    """Return the bytes of the cache, None for a model with another kind of cache.

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
    heads = header.each_layer("attention.head_count_kv")
    heads = heads or header.each_layer("attention.head_count") or ()
    row = sum(
        _row_bytes(count * key, key_block) + _row_bytes(count * value, value_block)
        for count, key, value in zip(heads, keys, values, strict=True)
    )
    return cells * row


def head_sizes(header: GgufHeader) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the values in one head's key and in its value, for each layer of a dense model."""
    count = header.layers or 0
    embedding = header.number("embedding_length") or 0
    heads = header.each_layer("attention.head_count") or (1,) * count
    usual = tuple(embedding // max(1, number) for number in heads)
    key, value = header.number("attention.key_length"), header.number("attention.value_length")
    return (key,) * count if key else usual, (value,) * count if value else usual


def _row_bytes(values: int, block: tuple[int, int]) -> int:
    return -(-values // block[0]) * block[1]


_MASK_BYTES = 2
_FLOAT_BYTES = 4


def estimate(
    header: GgufHeader, profile: LaunchProfile, context_size: int, *, has_gpu: bool = True
) -> Footprint | None:
    """Return weights, cache and buffers of a dense model, None if that can't be calculated.

    `reason_not_estimable` says why not.
    """
    if reason_not_estimable(header, profile):
        return None
    cache = kv_cache_bytes(header, context_size, profile.cache_k, profile.cache_v, profile.streams)
    layers = header.layers
    if cache is None or layers is None:
        return None
    compute = compute_bytes(
        header, context_size, profile.micro_batch, scores=not profile.flash_attention
    )
    weights = header.weights.total + (header.weights.embedding if header.tied else 0)
    if not has_gpu or not profile.on_gpu:
        parts = header.weights.total + cache + compute
        return Footprint(context_size, 0, parts, header.weights.total, cache, compute)
    gpu_layers = layers + 1 if profile.gpu_layers is None else profile.gpu_layers
    if gpu_layers > layers:
        on_gpu, cache_there = weights - header.weights.embedding, cache
    else:
        # llama.cpp puts the last layers on the graphics card, and the output after all of them.
        on_gpu = sum(header.weights.layers[layers - gpu_layers :])
        cache_there = cache * gpu_layers // layers
    if not profile.cache_on_gpu:
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


def reason_not_estimable(header: GgufHeader, profile: LaunchProfile) -> str:
    """Return why a model's memory can't be calculated, in words; "" if it can."""
    if profile.moved:
        return "its command places some tensors elsewhere"
    if profile.companions:
        return "its command loads more than one model"
    return reason_cache_unknown(header)


def compute_bytes(
    header: GgufHeader, context_size: int, micro_batch: int, *, scores: bool = False
) -> int:
    """Return about what llama.cpp's compute buffer takes.

    For each token of a micro batch: a row of the attention mask, the logits, some layers' worth of
    activations, and without flash attention the `scores` of every head. The factors fit the buffers
    of 33.0, 56.5 and 280.5 MiB of the recorded start-up logs; other back ends differ.
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
