"""What the demo's models say: code, tables, lists, and their reasoning before it."""

from __future__ import annotations

import re

from msgspec import Struct


class SampleReply(Struct, frozen=True):
    """A reply to prompts that match `topic`, and what a reasoning model thinks before it."""

    topic: re.Pattern[str]
    reasoning: str
    text: str


def _reply(topic: str, reasoning: str, text: str) -> SampleReply:
    return SampleReply(re.compile(rf"\b(?:{topic})", re.IGNORECASE), reasoning, text)


REPLIES = (
    _reply(
        r"kv|cache|split|cards?\b|gpus?\b|vram|memory|context|tokens?\b",
        "The user has two RTX 6000 Ada, 48 GB each, without NVLink. Splitting by row exchanges "
        "activations at every layer, so by layer is the better choice. For the cache: 48 layers, "
        "4 KV heads of 128 values, keys and values. In f16 that is 96 KiB a token, so 12 GiB at "
        "128k; q8_0 takes 8.5 bits instead of 16, q4_0 takes 4.5. At 256k everything doubles. "
        "The weights are 34.4 GB, and the coder model next to it needs 30 GB. I'll give the "
        "command first, then a table, then what fits.\n",
        """\
Split **by layer**: these cards have no NVLink, so splitting by row would wait for the PCIe bus on \
every token.

```bash
llama-server --model Qwen3.6-35B-A3B-Q8_0.gguf \\
  --split-mode layer --tensor-split 24,24 \\
  --ctx-size 131072 --cache-type-k q8_0 \\
  --cache-type-v q8_0 --parallel 2
```

| KV cache | 128k | 256k | quality |
|---|---:|---:|---|
| **f16** | 12.0 GB | 24.0 GB | reference |
| **q8_0** | 6.4 GB | 12.8 GB | no visible loss |
| **q4_0** | 3.4 GB | 6.8 GB | long recall suffers |

- At **128k** the coder model keeps its 30 GB.
- At **256k** both still fit, with q8_0 and about 16 GB to spare.
- Both slots share one cache with `--kv-unified`, so each may use the whole context while the \
other is idle.
""",
    ),
    _reply(
        r"python|code|function|script|write|parse|regex|test|bug|fix|sql|class\b",
        "A small function with a test is the best answer. The log lines look like llama-swap's: "
        "method and path in quotes, then status, bytes, user agent and a Go duration. A regular "
        "expression with named groups keeps it readable; the duration needs units from µs to h, and "
        "may combine several, like 2m3.4s. I'll use a generator so that a large file isn't "
        "read at once.\n",
        """\
One pattern with named groups is enough. `durations` sums what Go writes as `2m3.4s`:

```python
import re
from collections.abc import Iterator

LINE = re.compile(
    r'Request (?P<client>\\S+) "(?P<method>\\S+) (?P<path>\\S+) [^"]+" '
    r'(?P<status>\\d{3}) (?P<size>\\d+) "(?P<agent>[^"]*)" (?P<took>\\S+)'
)
UNITS = {"µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def durations(text: str) -> float:
    parts = re.findall(r"([\\d.]+)(µs|ms|s|m|h)", text)
    return sum(float(value) * UNITS[unit] for value, unit in parts)


def slow_requests(lines: Iterator[str], seconds: float) -> Iterator[dict[str, str]]:
    for line in lines:
        if (found := LINE.search(line)) and durations(found["took"]) > seconds:
            yield found.groupdict()
```

And a test, since units are where such code breaks:

```python
def test_a_duration_of_several_units() -> None:
    assert durations("2m3.4s") == 123.4
```

It reads line by line, so a log of some GB is no problem. Status **499** means that the client left \
before the first byte: you may want to skip those.
""",
    ),
    _reply(
        r"compare|table|versus|vs\b|which|better|best|quant|difference",
        "They want a comparison. The quantizations that matter for a 30B model are Q4_K_M, Q5_K_M, "
        "Q6_K and Q8_0. I know sizes and the usual perplexity increase; the speed scales with the "
        "bytes that are read for each token. I should say what I would choose and why.\n",
        """\
For a 30B mixture of experts on 48 GB cards:

| quantization | size | perplexity | tok/s | choose it |
|---|---:|---:|---:|---|
| `Q8_0` | 32.5 GB | +0.1 % | 88 | if nothing else has to fit |
| `UD-Q6_K_XL` | 26.3 GB | +0.3 % | 96 | **as the default** |
| `Q5_K_M` | 21.7 GB | +0.8 % | 104 | for a second model beside it |
| `Q4_K_M` | 18.6 GB | +1.9 % | 113 | on a single 24 GB card |
| `IQ3_XXS` | 12.1 GB | +6.4 % | 109 | only if it has to |

1. Code suffers first: below `Q5_K_M` identifiers begin to drift in long files.
2. The difference between `Q6` and `Q8` can't be seen in practice, and 6 GB are worth 64k of context.
3. *Dynamic* quantizations (`UD-…`) keep attention and the first layers in higher precision.

> Measure on your own prompts: perplexity over Wikipedia says little about tool calls.
""",
    ),
    _reply(
        r"how (?:do|can|to)|install|set ?up|steps?|plan|list|systemd|nginx|caddy|deploy|backup|"
        r"update|configure",
        "They need a procedure. systemd user unit, linger so that it survives logout, then Caddy "
        "with client certificates in front. I'd list the steps in order, with one command each, and "
        "what to check at the end.\n",
        """\
Four steps, each with its check:

1. **A unit of your own user**, so that nothing runs as root:

   ```ini
   [Service]
   ExecStart=%h/bin/llama-swap -listen 127.0.0.1:8080 -config %h/llama-swap.yaml
   Restart=on-failure
   ```

2. **Keep it running without a login**
   - `loginctl enable-linger $USER`
   - `systemctl --user enable --now llama-swap`
3. **Let only your devices in.** Caddy asks for a client certificate:

   ```
   ai.example.org {
       tls { client_auth { mode require_and_verify
                           trust_pool file root-ca.pem } }
       reverse_proxy 127.0.0.1:8080 { flush_interval -1 }
   }
   ```

4. **Check it** from another machine:
   - `curl https://ai.example.org/running` has to fail
   - with `--cert` and `--key` it answers `{"running":[]}`

`flush_interval -1` matters: without it the proxy collects the tokens, and replies arrive in lumps.
""",
    ),
    _reply(
        r"why|explain|what (?:is|are|does|happens)|reason|proof|math|slow",
        "What limits generation? Each token reads all active weights once. 3 billion active "
        "parameters in Q8_0 are about 3.2 GB. A card reads 960 GB/s, so the ceiling would be 300 "
        "tokens a second; but the layers run one after the other on two cards, there is the KV "
        "cache, which at 105k tokens adds 5 GB for every token, and kernel launches. "
        "So 3.2 + 5.2 GB at 960 GB/s gives 114 tokens a second. Measured are 48. The rest is "
        "attention over a quantized cache and launch overhead. Good, that explains the order of "
        "magnitude, and why it gets slower as the conversation grows.\n",
        """\
Because every token has to **read** everything it needs once, and reading is the limit, not \
arithmetic:

- the active weights, 3 B parameters in Q8_0: **3.2 GB**
- the KV cache of what was said so far, at 105k tokens: **5.2 GB**
- the card reads 960 GB/s, so `960 / (3.2 + 5.2)` ≈ **114 tok/s** at most

In practice it's less than half of that, since attention over a quantized cache costs time as well. \
Two things follow:

1. A *short* conversation is faster than a long one, with the same model.
2. A second request costs little: both read the same weights. That is why `--parallel 2` nearly \
doubles what the server does, although each reply is somewhat slower.

Reading the **prompt** is different: there all tokens share one pass over the weights, so it runs at \
1,900 tok/s, and a cached prefix isn't read at all.
""",
    ),
    _reply(
        r"hello|hi\b|hey|who|name|thanks|good",
        "A greeting. Short and friendly, and honest about what this is.\n",
        """\
Hello! I'm part of **aitui's demo**: no weights are loaded and no GPU gets warm, but the server, its \
certificates, the waiting and the stream are real.

Ask me for *code*, a *table* or a *plan*, or why long conversations are slower. `/` lists the \
commands; `/ctx 256k` gives this model a larger context, with everything that has to happen for it.
""",
    ),
)


def choose_reply(prompt: str, number: int) -> SampleReply:
    """Return the reply to a prompt; to one without a known topic the next one in turn."""
    found = (reply for reply in REPLIES if reply.topic.search(prompt))
    return next(found, REPLIES[number % (len(REPLIES) - 1)])


def split_tokens(text: str) -> list[str]:
    """Split a text into pieces of about a token each."""
    return re.findall(r"\s*\S{1,6}|\s+$", text)
