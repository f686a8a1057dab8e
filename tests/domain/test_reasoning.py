import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.merge import is_reasoning

REASONING = [
    "qwen3-8b",
    "Qwen_Qwen3.6-35B-A3B-Q8_0",
    "Qwen3-30B-A3B-Thinking-2507",
    "Qwen3-VL-32B-Thinking",
    "unsloth/Qwen3-32B-GGUF:Q4_K_M",
    "QwQ-32B",
    "QVQ-72B-Preview",
    "DeepSeek-R1-0528",
    "DeepSeek-R1-Distill-Qwen-32B",
    "deepseek_r1",
    "some-r1-7b",
    "Skywork-OR1-32B",
    "gpt-oss-120b-mxfp4",
    "Seed-OSS-36B-Instruct",
    "MiniMax-M2.7-IQ3_XXS",
    "GLM-4.5-Air",
    "GLM-4.6",
    "glm-5",
    "GLM-Z1-32B",
    "Magistral-Small-2509",
    "Phi-4-reasoning-plus",
    "Phi-4-mini-reasoning",
    "Marco-o1",
    "Llama-3_3-Nemotron-Super-49B-v1_5",
    "NVIDIA-Nemotron-Nano-9B-v2",
    "OpenReasoning-Nemotron-7B",
    "EXAONE-Deep-32B",
    "Kimi-K2-Thinking",
    "kimi-k2.5",
    "SmolLM3-3B",
    "Hunyuan-A13B-Instruct",
    "Ring-mini-2.0",
    "Intern-S1",
    "Apriel-1.5-15b-Thinker",
    "OpenThinker3-7B",
]
PLAIN = [
    "",
    "Qwen3-30B-A3B-Instruct-2507",
    "Qwen3-Coder-30B-A3B-Instruct",
    "Qwen3-Coder-Next",
    "Qwen3-Embedding-8B",
    "Qwen3-Reranker-0.6B",
    "Qwen2.5-32B-Instruct",
    "Qwen30-test",
    "Kimi-K2-Instruct",
    "DeepSeek-V3-0324",
    "GLM-4-32B-0414",
    "GLM-4-9B",
    "Llama-3.3-70B-Instruct",
    "Llama-3.1-Nemotron-70B-Instruct",
    "Mistral-Small-3.2-24B",
    "phi-4",
    "gemma-3-27b",
    "EXAONE-3.5-32B",
    "MiniMax-Text-01",
    "sprint1-7b",
    "turing-mini",
    "qwen3-8b-no-think",
    "qwen3-8b-nonthinking",
    "rethinking-robots-3b",
]


@pytest.mark.parametrize("model_id", REASONING)
def test_a_reasoning_model_is_known_by_its_id(model_id: str) -> None:
    assert is_reasoning(model_id, "", "")


@pytest.mark.parametrize("model_id", PLAIN)
def test_another_model_is_not_taken_for_one(model_id: str) -> None:
    assert not is_reasoning(model_id, "", "")


def test_the_name_tells_where_the_id_does_not() -> None:
    assert is_reasoning("big", "Qwen3 235B A22B", "")


def test_the_name_can_tell_that_it_is_an_instruct_model() -> None:
    assert not is_reasoning("qwen3", "Qwen3 4B Instruct 2507", "")


def test_flags_overrule_the_name() -> None:
    assert not is_reasoning("qwen3-8b", "", "llama-server --reasoning-budget 0")
    assert is_reasoning("my-model", "", "llama-server --reasoning-format deepseek")


def test_flags_that_say_nothing_leave_it_to_the_name() -> None:
    assert is_reasoning("qwen3-8b", "", "llama-server --jinja --reasoning-format none")
    assert not is_reasoning("my-model", "", "llama-server --jinja --reasoning-format auto")


def test_what_was_seen_overrules_name_and_flags() -> None:
    assert not is_reasoning("qwen3-8b", "", "llama-server --reasoning on", seen=False)
    assert is_reasoning("my-model", "", "llama-server --reasoning-budget 0", seen=True)


@given(st.text(), st.text(), st.text())
def test_no_name_raises(model_id: str, name: str, command: str) -> None:
    assert is_reasoning(model_id, name, command) in {True, False}
