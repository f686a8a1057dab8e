"""Commands that lack the port at which llama-swap looks for the model."""

import pytest

from aitui.demo.configuration import BadConfiguration, parse_configuration
from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.ports import add_port, models_without_port
from aitui.errors import ConfigRefused

GUIDE = """\
globalTTL: 1800
models:
  Qwen_Qwen3.6-35B-A3B-Q8_0:
    cmd: |
      /home/ai-server/llama.cpp/build/bin/llama-server
      --model /home/ai-server/models/Qwen_Qwen3.6-35B-A3B-Q8_0.gguf
      --ctx-size 262144
      --temp 0.7
      --cache-type-k q8_0
      --cache-type-v q8_0
      --n-gpu-layers 99
  MiniMax-M2.7-IQ3_XXS:
    cmd: |
      /home/ai-server/llama.cpp/build/bin/llama-server
      --model /home/ai-server/models/MiniMax-M2.7-UD-IQ3_XXS.gguf
      --ctx-size 131072
      --temp 1.0
      --cache-type-k q8_0
      --cache-type-v q8_0
      --n-gpu-layers 99
"""
"""The config of the set-up guide."""


def repaired(text: str) -> str:
    document = ConfigDocument.read(text)
    while lacking := models_without_port(document):
        document = add_port(document, lacking[0])
    return document.text


def test_llama_swap_refuses_the_guides_config_until_its_commands_have_the_port() -> None:
    with pytest.raises(BadConfiguration, match="only available when used in cmd"):
        parse_configuration(GUIDE)
    assert len(parse_configuration(repaired(GUIDE)).models) == 2
    assert repaired(GUIDE) == GUIDE.replace(
        "  --n-gpu-layers 99\n", "  --n-gpu-layers 99\n      --port ${PORT}\n"
    )


@pytest.mark.parametrize(
    ("block", "added"),
    [
        ("cmd: llama-server -m a", "cmd: llama-server -m a --port ${PORT}"),
        (
            "cmd: llama-server --port 9001",
            'cmd: llama-server --port 9001\n    proxy: "http://127.0.0.1:9001"',
        ),
        ("cmd: llama-server --port ${PORT}", None),
        ("cmd: llama-server\n    proxy: http://127.0.0.1:1", None),
        ("cmd: python serve.py", None),
    ],
)
def test_a_command_gets_the_port_or_the_proxy_of_its_own(block: str, added: str | None) -> None:
    text = f"models:\n  a:\n    {block}\n"
    assert repaired(text) == text.replace(block, added or block)


def test_a_shared_command_gets_it_once() -> None:
    text = "models:\n  a: &a\n    cmd: llama-server -m x\n  b:\n    <<: *a\n    ttl: 1\n"
    assert repaired(text) == text.replace("-m x", "-m x --port ${PORT}")


def test_what_a_shell_runs_is_left_to_the_editor() -> None:
    document = ConfigDocument.read("models:\n  a:\n    cmd: sh -c 'llama-server -m x'\n")
    for model_id in models_without_port(document):
        with pytest.raises(ConfigRefused):
            add_port(document, model_id)
