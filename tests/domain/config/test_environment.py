"""Variables that mean the same as flags of llama-server."""

import pytest

from aitui.domain.llama_server import environment_arguments


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("LLAMA_ARG_CTX_SIZE", "4096", ("--ctx-size", "4096")),
        ("LLAMA_ARG_DEVICE", "CUDA1", ("--device", "CUDA1")),
        ("LLAMA_ARG_KV_UNIFIED", "1", ("--kv-unified",)),
        ("LLAMA_ARG_KV_UNIFIED", "0", ()),
        ("LLAMA_ARG_NO_SUCH_THING", "1", ()),
        ("LLAMA_ARG_", "1", ()),
        ("LLAMA_ARG_[x]", "1", ()),
        ("CUDA_VISIBLE_DEVICES", "1", ()),
        ("L" * 10_000, "1", ()),
    ],
)
def test_a_variable_becomes_its_flag(name: str, value: str, found: tuple[str, ...]) -> None:
    assert environment_arguments({name: value}) == found
