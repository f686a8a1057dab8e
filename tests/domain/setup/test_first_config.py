"""The config file that a server begins with."""

import pytest

from aitui.demo.configuration import parse_configuration
from aitui.domain.config.lint import find_diagnostics
from aitui.domain.setup.first_config import NewModel, first_config, purpose_flag
from domain.memory.files import dense, read, written


def test_every_model_has_its_file_its_context_and_a_short_name() -> None:
    models = [
        NewModel("/m/Qwen3 8B-UD-Q4_K_XL.gguf", 32768, "about 9.1 GB"),
        NewModel("/m/big-F16-00001-of-00003.gguf", 4096, "does not fit", on_gpu=False),
        NewModel("/m/big-Q8_0.gguf", 4096, "does not fit", on_gpu=False),
        NewModel("/m/1.gguf", 512, "x", purpose="--embedding"),
    ]
    text = first_config(models, "/opt/llama cpp/llama-server")
    assert find_diagnostics(text) == ()
    found = parse_configuration(text).models
    assert list(found) == ["1", "Qwen3 8B-UD-Q4_K_XL", "big-F16", "big-Q8_0"]
    qwen = found["Qwen3 8B-UD-Q4_K_XL"]
    assert (qwen.aliases, qwen.ttl) == (("qwen3 8b",), 1800)
    assert "'/opt/llama cpp/llama-server'\n--port 58" in qwen.command
    assert (
        "--model '/m/Qwen3 8B-UD-Q4_K_XL.gguf'\n--ctx-size 32768\n--n-gpu-layers 99" in qwen.command
    )
    assert (found["big-F16"].aliases, found["big-Q8_0"].aliases) == (("big",), ())
    assert "--n-gpu-layers" not in found["big-F16"].command
    assert found["1"].command.endswith("--embedding\n")


@pytest.mark.parametrize(("pooling", "flag"), [(0, ""), (1, "--embedding"), (4, "--reranking")])
def test_a_model_that_does_not_chat_says_so(pooling: int, flag: str) -> None:
    header = read(written(dense(pooling_type=pooling)))
    assert purpose_flag(header) == flag


def test_a_server_without_models_starts_as_well() -> None:
    assert not any(one.fatal for one in find_diagnostics(first_config([], "llama-server")))
