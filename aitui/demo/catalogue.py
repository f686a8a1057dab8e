"""The models of `aitui --demo`: the config of a well-kept home server, and what its files are like."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

QWEN = "Qwen_Qwen3.6-35B-A3B-Q8_0"
CODER = "Qwen3-Coder-30B-A3B-Instruct-UD-Q6_K_XL"
EMBEDDING = "Qwen3-Embedding-0.6B-Q8_0"
GPT_OSS = "gpt-oss-120b-mxfp4"
DEEPSEEK = "DeepSeek-R1-Distill-Llama-70B-Q4_K_M"
DEVSTRAL = "Devstral-Small-2-24B-Instruct-2512-Q5_K_M"
GLM = "GLM-4.5-Air-UD-Q4_K_XL"
SMOL = "SmolLM3-3B-Q8_0"
NEMOTRON = "Llama-3_3-Nemotron-Super-49B-v1_5-Q4_K_M"
MINIMAX = "MiniMax-M2.7-IQ3_XXS"
MISTRAL = "Mistral-Small-3.2-24B-Instruct-2506-Q6_K"
RERANKER = "bge-reranker-v2-m3-Q8_0"
PEER_MODEL = "Llama-3.1-8B-Instruct-Q4_K_M"
GEMMA = "gemma-3-27b-it-qat-q4_0"

CATALOGUE = f"""\
# llama-swap on ai-box: two RTX 6000 Ada, 48 GB each
healthCheckTimeout: 300
globalTTL: 1800
startPort: 5800
sendLoadingState: true

performance:
  every: 5s

macros:
  llama: llama-server --port ${{PORT}}
  gguf: /srv/models

models:
  {QWEN}:
    description: General work, reasoning, images
    aliases: [qwen, coder, default]
    capabilities: {{in: [text, image], out: [text], tools: true}}
    cmd: |
      ${{llama}}
      --model ${{gguf}}/{QWEN}.gguf
      --ctx-size 131072 --n-gpu-layers 99 --parallel 2
      # half the cache, and no difference to be seen
      --cache-type-k q8_0 --cache-type-v q8_0 --flash-attn on
      --tensor-split 22,19 --kv-unified --jinja
      --temp 0.7 --top-p 0.95 --mmproj ${{gguf}}/mmproj-F16.gguf

  {CODER}:
    description: Code completion and edits
    capabilities: {{in: [text], out: [text], tools: true}}
    cmd: |
      ${{llama}}
      --model ${{gguf}}/{CODER}.gguf
      --ctx-size 131072 --n-gpu-layers 99 --parallel 1
      --cache-type-k q8_0 --cache-type-v q8_0 --flash-attn on
      --tensor-split 1,1 --jinja --temp 0.7 --top-k 20

  {EMBEDDING}:
    description: Embeddings for the notes index
    ttl: 0
    cmd: |
      ${{llama}}
      --model ${{gguf}}/{EMBEDDING}.gguf
      --embedding --pooling last --ctx-size 8192
      --n-gpu-layers 99 --device CUDA0 --parallel 1

  {GPT_OSS}:
    description: Large reasoning model, tools
    aliases: [gpt-oss]
    cmd: |
      ${{llama}}
      --model ${{gguf}}/{GPT_OSS}-00001-of-00003.gguf
      --ctx-size 131072 --n-gpu-layers 99 --parallel 1
      --flash-attn on --jinja --reasoning-format auto

  {DEEPSEEK}:
    description: Slow, careful reasoning
    cmd: |
      ${{llama}}
      --model ${{gguf}}/{DEEPSEEK}.gguf
      --ctx-size 32768 --n-gpu-layers 99 --parallel 1
      --flash-attn on --temp 0.6

  {DEVSTRAL}:
    description: Coding agent, tools
    cmd: |
      ${{llama}}
      --model ${{gguf}}/{DEVSTRAL}.gguf
      --ctx-size 131072 --n-gpu-layers 99 --parallel 1
      --cache-type-k q8_0 --cache-type-v q8_0 --flash-attn on --jinja

  {GLM}:
    description: Mixture of experts, tools
    cmd: |
      ${{llama}}
      --model ${{gguf}}/{GLM}-00001-of-00002.gguf
      --ctx-size 131072 --n-gpu-layers 99 --parallel 1
      --cache-type-k q8_0 --cache-type-v q8_0 --flash-attn on --jinja

  {NEMOTRON}:
    description: Reasoning by system prompt
    cmd: |
      ${{llama}}
      --model ${{gguf}}/{NEMOTRON}.gguf
      --ctx-size 65536 --n-gpu-layers 99 --parallel 1
      --cache-type-k q8_0 --cache-type-v q8_0 --flash-attn on

  {MINIMAX}:
    description: Largest model on this machine
    cmd: |
      ${{llama}}
      --model ${{gguf}}/{MINIMAX}-00001-of-00002.gguf
      --ctx-size 131072 --n-gpu-layers 99 --parallel 1
      --cache-type-k q8_0 --cache-type-v q8_0 --flash-attn on --jinja

  {MISTRAL}:
    description: Translation, images
    cmd: |
      ${{llama}}
      --model ${{gguf}}/{MISTRAL}.gguf
      --ctx-size 65536 --n-gpu-layers 99 --parallel 1
      --cache-type-k q8_0 --cache-type-v q8_0 --flash-attn on --temp 0.15

  {SMOL}:
    description: Quick answers and titles
    cmd: |
      ${{llama}}
      --model ${{gguf}}/{SMOL}.gguf
      --ctx-size 16384 --n-gpu-layers 99 --parallel 1
      --split-mode none --main-gpu 1

  {RERANKER}:
    description: Reranker, no chat
    cmd: |
      ${{llama}}
      --model ${{gguf}}/{RERANKER}.gguf
      --reranking --ctx-size 8192 --n-gpu-layers 99 --device CUDA0 --parallel 1

  {GEMMA}:
    description: Not loaded yet
    cmd: |
      ${{llama}}
      -hf ggml-org/gemma-3-27b-it-qat-GGUF:Q4_0
      --ctx-size 65536 --n-gpu-layers 99 --parallel 1

groups:
  # share the cards, as long as they fit
  work:
    swap: false
    members: [{QWEN}, {CODER}, {GPT_OSS}]
  small:
    swap: false
    exclusive: false
    persistent: true
    members: [{EMBEDDING}, {SMOL}, {RERANKER}]

peers:
  attic:
    proxy: http://10.0.0.40:8080
    models: [{PEER_MODEL}]

profiles:
  batch:
    description: Long jobs at night, on the big models
    pins: {{coder: {DEVSTRAL}, default: {GLM}}}
  quiet:
    description: Small models only, for a warm day
    pins: {{coder: {SMOL}, default: {SMOL}, gpt-oss: ""}}

hooks:
  on_startup:
    preload: [{EMBEDDING}]
"""


class KnownFile(Struct, frozen=True):
    """What a model file makes of its llama-server, since no command says it.

    Memory in MiB, rates in tokens a second, delays in seconds. `resident_mib` is what the process
    holds of the host's memory. The defaults are those of a file that isn't known.
    """

    weights_mib: int | None = None
    kv_heads: int = 0
    rate: float = 10.0
    prompt_rate: float = 1000 / 2.125
    load_seconds: float = 0.0
    resident_mib: int = 900
    reasons: bool = False

    @property
    def start_delay(self) -> float:
        """Seconds until the load allocates memory."""
        return self.load_seconds * 0.1

    @property
    def load_delay(self) -> float:
        """Seconds for the weights, after that."""
        return self.load_seconds * 0.9

    @property
    def progress_reports(self) -> int:
        """How often the load reports how far it is."""
        return round(self.load_seconds * 2)


UNKNOWN_FILE = KnownFile()

KNOWN_FILES: Mapping[str, KnownFile] = MappingProxyType(
    {
        QWEN: KnownFile(35260, 4, 48.3, 1912, 8.9, 14200, reasons=True),
        CODER: KnownFile(27680, 2, 96, 2041, 36.8, 24600),
        EMBEDDING: KnownFile(990, 1, 60, 24_310, 1.4),
        f"{GPT_OSS}-00001-of-00003": KnownFile(61100, 1, 61, 1480, 31, 3100, reasons=True),
        DEEPSEEK: KnownFile(39740, 8, 17.2, 608, 22, 2400, reasons=True),
        DEVSTRAL: KnownFile(15410, 6, 39, 1350, 12, 1900),
        f"{GLM}-00001-of-00002": KnownFile(70090, 6, 31, 840, 38, 3600, reasons=True),
        NEMOTRON: KnownFile(28890, 10, 22, 790, 18, 2100, reasons=True),
        f"{MINIMAX}-00001-of-00002": KnownFile(77770, 6, 29, 720, 41, 4100, reasons=True),
        MISTRAL: KnownFile(18630, 6, 38, 1390, 11, 1800),
        SMOL: KnownFile(3305, 4, 182, 5200, 2.2, 700),
        RERANKER: KnownFile(866, 1, 60, 18_200, 1.2),
        "gemma-3-27b-it-qat-GGUF:Q4_0": KnownFile(16080, 5, 41, 1420, 14, 1900),
        PEER_MODEL: KnownFile(rate=74, prompt_rate=2600),
    }
)
"""By the file's name without `.gguf`, or the repository's."""
