"""Which models keep one key and one value for each token in each layer, and so can be estimated."""

from aitui.domain.gguf.header import GgufHeader

# Architectures whose cache is the plain one in llama.cpp's `llama_kv_cache`. The others differ, or
# are too new to be known here: they are measured instead.
_PLAIN = frozenset(
    [
        "arcee",
        "arctic",
        "baichuan",
        "bailingmoe",
        "bailingmoe2",
        "bloom",
        "chatglm",
        "codeshell",
        "command-r",
        "dbrx",
        "deci",
        "deepseek",
        "dots1",
        "ernie4_5",
        "ernie4_5-moe",
        "exaone",
        "falcon",
        "gemma",
        "glm4",
        "gpt2",
        "gptneox",
        "granite",
        "granitemoe",
        "grok",
        "hunyuan-dense",
        "hunyuan-moe",
        "internlm2",
        "jais",
        "llama",
        "maincoder",
        "minicpm",
        "minimax-m2",
        "mistral3",
        "mpt",
        "nemotron",
        "olmo",
        "olmo2",
        "olmoe",
        "openelm",
        "orion",
        "pangu-embedded",
        "phi2",
        "phimoe",
        "plamo",
        "qwen",
        "qwen2",
        "qwen2moe",
        "qwen2vl",
        "qwen3",
        "qwen3moe",
        "qwen3vl",
        "qwen3vlmoe",
        "refact",
        "seed_oss",
        "smollm3",
        "stablelm",
        "starcoder",
        "starcoder2",
        "xverse",
    ]
)


def reason_cache_unknown(header: GgufHeader) -> str:
    """Why a model's cache can't be calculated, in words; "" for a dense one, which can."""
    if header.layers is None:
        return "its header doesn't say how many layers it has"
    for reason, keys in _SPECIAL:
        if header.has(*keys):
            return reason
    if header.metadata.get(f"{header.architecture}.attention.causal") is False:
        return "it keeps no cache"
    if header.architecture not in _PLAIN:
        return f"{header.architecture or 'its architecture'} is not known to aitui"
    if _missing_sizes(header):
        return "its header doesn't say how large its heads are"
    return ""


_SPECIAL = (
    ("it has recurrent layers", ("ssm.", "wkv.", "shortconv.", "full_attention_interval", "kda.")),
    ("it has latent attention", ("attention.kv_lora_rank", "attention.key_length_mla")),
    ("it has a sliding window", ("attention.sliding_window", "attention.chunk")),
    ("some of its layers share their cache", ("attention.shared_kv_layers",)),
    ("it has layers that predict further tokens", ("nextn_predict_layers",)),
    ("it has a sparse index", ("attention.indexer.",)),
)


def _missing_sizes(header: GgufHeader) -> bool:
    heads = header.each_layer("attention.head_count")
    sizes = header.number("attention.key_length"), header.number("attention.value_length")
    if all(sizes) and header.each_layer("attention.head_count_kv") is not None:
        return False
    return heads is None or not all(heads) or not header.number("embedding_length")
