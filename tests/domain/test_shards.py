import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.models import is_later_shard


@pytest.mark.parametrize(
    "model_id",
    ["m-00002-of-00005", "m-00002-of-00005.gguf", "a/b-Q4_K_M-00005-of-00005.GGUF"],
)
def test_a_later_part_is_an_artefact(model_id: str) -> None:
    assert is_later_shard(model_id)


@pytest.mark.parametrize("model_id", ["m-00001-of-00005", "m-00001-of-00005.gguf"])
def test_the_first_part_stands_for_the_whole_model(model_id: str) -> None:
    assert not is_later_shard(model_id)


@pytest.mark.parametrize(
    "model_id", ["", "qwen3-8b", "m-2-of-5", "m-00002-of-00005-lora", "m-٠٠٠٠٢-of-00005"]
)
def test_other_names_are_models(model_id: str) -> None:
    assert not is_later_shard(model_id)


@given(st.text(), st.integers(2, 99999), st.integers(2, 99999))
def test_any_id_with_a_later_part_number_is_an_artefact(start: str, part: int, parts: int) -> None:
    assert is_later_shard(f"{start}-{part:05}-of-{parts:05}")
