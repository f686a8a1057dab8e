"""llama-server's flags and their spellings."""

import pytest

from aitui.domain.llama_server import (
    effective_flag_value,
    find_flag,
    flag_occurrences,
    last_occurrence,
    split_words,
)
from aitui.errors import ConfigRefused


@pytest.mark.parametrize(
    ("spelling", "other"),
    [
        ("-c", "--ctx-size"),
        ("ctx-size", "--ctx-size"),
        ("c", "-c"),
        ("-ngl", "--gpu-layers"),
        ("--n_gpu_layers", "--n-gpu-layers"),
        ("--temperature", "--temp"),
        ("-fa", "--flash-attn"),
        ("-np", "--parallel"),
        ("-hfr", "--hf-repo"),
        ("LLAMA_ARG_CTX_SIZE", "-c"),
    ],
)
def test_two_spellings_of_one_flag(spelling: str, other: str) -> None:
    assert find_flag(spelling) == find_flag(other)


def test_a_flag_knows_its_environment_variable() -> None:
    assert find_flag("-c").environment == "LLAMA_ARG_CTX_SIZE"
    assert find_flag("-ngl").environment == "LLAMA_ARG_N_GPU_LAYERS"
    assert not find_flag("--seed").environment


def test_an_unknown_flag_works_by_its_own_spelling() -> None:
    assert find_flag("--future_flag").names == ("--future-flag",)


@pytest.mark.parametrize("given_name", ["", "-", "--", "--a b", "-c 4", "--x=1", "-1", "a\nb"])
def test_what_can_not_be_a_flag_is_refused(given_name: str) -> None:
    with pytest.raises(ConfigRefused, match="is not a valid flag"):
        find_flag(given_name)


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("--temp -1 -c 5", [("--temp", "-1"), ("-c", "5")]),
        ("--unknown -.5 -c 5", [("--unknown", "-.5"), ("-c", "5")]),
        ("--unknown -c 5", [("--unknown", ""), ("-c", "5")]),
        ("--jinja 5 -c 5", [("--jinja", ""), ("-c", "5")]),
        ("-fa -c 5", [("-fa", ""), ("-c", "5")]),
        ("-fa on -c 5", [("-fa", "on"), ("-c", "5")]),
        ("--alias -c 5", [("--alias", "-c")]),
        ("--control-vector-layer-range 1 -c", [("--control-vector-layer-range", "1")]),
        ("--ctx_size=5 -m", [("--ctx-size", "5"), ("-m", "")]),
        ("a - b", []),
    ],
)
def test_which_words_are_flags_and_which_are_values(
    command: str, found: list[tuple[str, str]]
) -> None:
    assert [(given.name, given.value) for given in flag_occurrences(split_words(command))] == found


def test_the_last_spelling_of_a_flag_counts() -> None:
    given = last_occurrence(split_words("-c 1 --ctx-size=2 -ngl 3"), find_flag("-c"))
    assert given is not None
    assert (given.value, given.has_equals_sign) == ("2", True)


@pytest.mark.parametrize(
    ("command", "flag", "value"),
    [
        ("llama-server --jinja -c 5", "--jinja", ""),
        ("llama-server -c 5", "--ctx-size", "5"),
        ("taskset -c 0-7 llama-server", "-c", None),
        ("bash -c 'llama-server -c 5'", "-c", "5"),
        ("taskset -c 0-7 vllm serve x", "-c", None),
        ("vllm serve x --max-model-len 5", "max-model-len", "5"),
        ("vllm serve x --max-model-len=5 --seed 1", "max-model-len", "5"),
        ("vllm serve x --enforce-eager --seed 1", "enforce-eager", None),
        ("docker run --memory 5 vllm/vllm-openai --seed 1", "memory", None),
    ],
)
def test_the_value_that_a_command_gives_a_flag(command: str, flag: str, value: str | None) -> None:
    assert effective_flag_value(command, find_flag(flag)) == value
