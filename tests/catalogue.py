"""The models that the stand-in of the tests has, and the builds that it plays."""

import pytest

from aitui.demo.dialect import Dialect

QUICK = "quick-7b-Q4_K_M"
STEADY = "steady-30b-Q8_0"
UNHURRIED = "unhurried-14b"
SLOW = "slow-70b-IQ3_XXS"
OUT_OF_MEMORY = "too-big-405b"
MISSING_FILE = "missing-file"
NO_PROGRAM = "no-such-program"
SLASH = "author/gemma-3:27b-q4"
ODD = "50% größer ☃"
NAPS = "naps-after-two-seconds"
PAIR_CHAT = "pair-chat"
PAIR_EMBED = "pair-embed"
HIDDEN = "hidden-embed"
LONG = "unsloth_Qwen3.6-235B-A22B-Thinking-2607-UD-Q4_K_XL"
ALIAS = "gpt-4o-mini"
PEER = "remote-llama"

OUT_OF_MEMORY_REASON = "out of memory: 4096.00 MiB did not fit on device 0"

CATALOGUE = f"""\
healthCheckTimeout: 10
macros:
  "fake": "/opt/llama.cpp/llama-server --port ${{PORT}} --alias ${{MODEL_ID}}"
models:
  "{QUICK}":
    cmd: "${{fake}} --ctx-size 8192 --load-delay 0.05"
    name: "Quick 7B"
    aliases: ["{ALIAS}", "quick"]
  "{STEADY}":
    cmd: |
      ${{fake}}
      # twice, and the last one counts
      --ctx-size 4096 --ctx-size 131072
      --load-delay 0.3 --stop-delay 0.1
    description: "takes a third of a second"
  "{SLOW}":
    cmd: "${{fake}} --ctx-size 32768 --start-delay 1 --load-delay 2"
  "{UNHURRIED}":
    cmd: "${{fake}} --load-delay 1"
  "{OUT_OF_MEMORY}":
    cmd: "${{fake}} --ctx-size 4096 --fail-oom 0.2"
  "{MISSING_FILE}":
    cmd: "${{fake}} --model /models/gone.gguf --fail-missing-file"
  "{NO_PROGRAM}":
    cmd: "/nonexistent/llama-server --port ${{PORT}}"
  "{SLASH}":
    cmd: "${{fake}} -c 16384 --load-delay 0.1"
  "{ODD}":
    cmd: "/opt/llama.cpp/llama-server --port ${{PORT}} --load-delay 0.1"
  "{NAPS}":
    cmd: "${{fake}} --ctx-size=2048 --load-delay 0.05"
    ttl: 2
  "{PAIR_CHAT}":
    cmd: "${{fake}} --load-delay 0.1"
  "{PAIR_EMBED}":
    cmd: "${{fake}} --load-delay 0.1"
  "{HIDDEN}":
    cmd: "${{fake}} --ctx-size 512 --load-delay 0.05"
    unlisted: true
  "{LONG}":
    cmd: "${{fake}} --ctx-size 262144 --load-delay 0.2"
groups:
  "pair":
    swap: false
    exclusive: true
    members: ["{PAIR_CHAT}", "{PAIR_EMBED}"]
peers:
  "peer1":
    proxy: http://127.0.0.1:9
    models: ["{PEER}"]
"""
"""A config.yaml whose loads take fractions of a second; only SLOW takes three."""

each_dialect = pytest.mark.parametrize(
    "stand_in", list(Dialect), indirect=True, ids=lambda dialect: dialect.value
)
"""Runs a test against a stand-in that plays each recorded build in turn."""


def dialects(*wanted: Dialect) -> pytest.MarkDecorator:
    """Runs a test against a stand-in that plays these builds."""
    return pytest.mark.parametrize(
        "stand_in", wanted, indirect=True, ids=lambda dialect: dialect.value
    )


oldest_and_newest = dialects(Dialect.V217, Dialect.HEAD)
"""For screens: what builds answer differently is read below, and tested there on each of them."""
