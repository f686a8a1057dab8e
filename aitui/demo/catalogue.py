"""The models of `aitui --demo`: what a well-kept home server has on its disk."""

CATALOGUE = """\
# The stand-in's configuration. Nothing in here is on any disk.
healthCheckTimeout: 120
startPort: 5800
globalTTL: 1800
logToStdout: proxy

macros:
  server: >-
    /home/ai-server/llama.cpp/build/bin/llama-server
    --port ${PORT}
  models: /home/ai-server/models

models:
  Qwen_Qwen3.6-35B-A3B-Q8_0:
    name: Qwen3.6 35B A3B
    description: Mixture of experts, thinks before it answers
    aliases: [qwen, gpt-4o-mini]
    metadata: {quant: Q8_0, tags: [chat, thinking]}
    capabilities: {in: [text], out: [text], tools: true, context: 262144}
    cmd: |
      ${server}
      --model ${models}/Qwen_Qwen3.6-35B-A3B-Q8_0.gguf
      --ctx-size 262144
      --temp 0.7
      # half the cache, and no difference to be seen
      --cache-type-k q8_0
      --cache-type-v q8_0
      --n-gpu-layers 99
      --chunks 220 --tokens-per-second 62 --weights-mib 35200 --kv-heads 2
      --start-delay 1.5 --load-delay 4.5

  MiniMax-M2.7-IQ3_XXS:
    name: MiniMax M2.7
    cmd: |
      ${server}
      --model ${models}/MiniMax-M2.7-UD-IQ3_XXS.gguf
      --ctx-size 131072
      --temp 1.0
      --cache-type-k q8_0
      --cache-type-v q8_0
      --n-gpu-layers 99
      --chunks 320 --tokens-per-second 34 --weights-mib 74500 --kv-heads 8
      --start-delay 3 --load-delay 9 --progress-reports 9 --stop-delay 1.5

  gpt-oss-120b-mxfp4:
    name: gpt-oss 120B
    aliases: [gpt-oss]
    capabilities: {in: [text], out: [text], tools: true, context: 131072}
    cmd: |
      ${server}
      --model ${models}/gpt-oss-120b-mxfp4-00001-of-00003.gguf
      --ctx-size 131072 --jinja --reasoning-format auto
      --n-gpu-layers 99
      --chunks 260 --tokens-per-second 48 --weights-mib 58900 --kv-heads 2
      --start-delay 2 --load-delay 6

  gemma-3-27b-it-qat:
    name: Gemma 3 27B
    description: Sees pictures
    capabilities: {in: [text, image], out: [text], context: 32768}
    cmd: >-
      ${server} --model ${models}/gemma-3-27b-it-qat-q4_0.gguf
      --mmproj ${models}/mmproj-gemma-3-27b.gguf --ctx-size 32768 --n-gpu-layers 99
      --chunks 160 --tokens-per-second 41 --weights-mib 17300 --kv-heads 4 --start-delay 1 --load-delay 3

  bartowski/Mistral-Small-3.2-24B-Instruct-2506-GGUF:
    name: Mistral Small 3.2
    cmd: >-
      ${server} --model ${models}/Mistral-Small-3.2-24B-Instruct-2506-Q5_K_M.gguf -c 65536 -ngl 99
      --device CUDA1 --chunks 140 --tokens-per-second 44 --weights-mib 16800 --kv-heads 2 --start-delay 1 --load-delay 2.5

  nvidia_Llama-3_3-Nemotron-Super-49B-v1_5-with-a-very-long-name-for-a-terminal-UD-Q4_K_XL:
    cmd: >-
      ${server} --model ${models}/Llama-3_3-Nemotron-Super-49B-v1_5-UD-Q4_K_XL.gguf
      --ctx-size 65536 --n-gpu-layers 99
      --chunks 200 --tokens-per-second 27 --weights-mib 30900 --kv-heads 4 --start-delay 2 --load-delay 5

  Qwen3-Coder-30B-A3B-Instruct-Q6_K:
    name: Qwen3 Coder
    description: Goes after ninety idle seconds
    ttl: 90
    aliases: [coder]
    env: [CUDA_VISIBLE_DEVICES=0]
    cmd: >-
      ${server} --model ${models}/Qwen3-Coder-30B-A3B-Instruct-Q6_K.gguf
      --ctx-size 131072 --n-gpu-layers 99
      --chunks 180 --tokens-per-second 88 --weights-mib 26000 --kv-heads 1 --start-delay 1 --load-delay 3

  SmolLM3-3B-Q8_0:
    name: SmolLM3
    description: Lives beside the embedding model
    cmd: >-
      ${server} --model ${models}/SmolLM3-3B-Q8_0.gguf --ctx-size 16384 -ngl 99 -sm none
      --chunks 90 --tokens-per-second 140 --weights-mib 3900 --kv-heads 2 --start-delay 1 --load-delay 2

  Qwen3-Embedding-0.6B-Q8_0:
    name: Qwen3 Embedding
    metadata: {tags: [embedding]}
    cmd: >-
      ${server} --model ${models}/Qwen3-Embedding-0.6B-Q8_0.gguf --embedding --ctx-size 8192
      -sm none -mg 1 --weights-mib 1200 --kv-heads 1 --start-delay 1 --load-delay 2

  GLM-4.6-Q2_K_XL:
    name: GLM 4.6
    description: Larger than both cards
    cmd: >-
      ${server} --model ${models}/GLM-4.6-UD-Q2_K_XL-00001-of-00003.gguf
      --ctx-size 202752 --n-gpu-layers 99 --weights-mib 130000 --kv-heads 4 --start-delay 4

  DeepSeek-R1-Distill-Llama-70B-Q4_K_M:
    description: The file was moved
    cmd: >-
      ${server} --model ${models}/DeepSeek-R1-Distill-Llama-70B-Q4_K_M.gguf
      --ctx-size 32768 --n-gpu-layers 99 --fail-missing-file

  gpt-oss-120b-mxfp4-00002-of-00003:
    cmd: ${server} --model ${models}/gpt-oss-120b-mxfp4-00002-of-00003.gguf --fail-missing-file

  gpt-oss-120b-mxfp4-00003-of-00003:
    cmd: ${server} --model ${models}/gpt-oss-120b-mxfp4-00003-of-00003.gguf --fail-missing-file

groups:
  small ones:
    swap: false
    exclusive: false
    members: [SmolLM3-3B-Q8_0, Qwen3-Embedding-0.6B-Q8_0]

peers:
  attic:
    proxy: http://192.168.2.9:8080
    models: [Llama-3.1-8B-Instruct-Q4_K_M]

hooks:
  on_startup:
    preload: [SmolLM3-3B-Q8_0]
"""

MODELS_WITHOUT_VISITORS = frozenset(
    {"Qwen3-Coder-30B-A3B-Instruct-Q6_K", "Qwen3-Embedding-0.6B-Q8_0"}
)
"""Models that no visitor uses: one that shows its idle timeout, one that can't chat."""
