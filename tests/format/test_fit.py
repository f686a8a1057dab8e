"""Texts that are too long: what is left out is marked, and what says most stays."""

from hypothesis import given
from hypothesis import strategies as st

from aitui.format.fit import LEAST_WORD, shorten_id, shorten_words
from aitui.format.styled import cell_width

ID = "bartowski/Meta-Llama-3.3-70B-Instruct-abliterated-i1-GGUF-imatrix-Q5_K_M"
OTHER = "unsloth/Qwen3-Coder-480B-A35B-Instruct-GGUF-UD-Q4_K_XL"


def test_of_a_message_the_id_is_shortened_and_its_end_stays() -> None:
    said = f"{ID} is ready after 1 s"
    assert shorten_words(said, 100) == said
    assert shorten_words(said, 60) == "bartowski/Meta-Llama-3.3-70B-…-Q5_K_M is ready after 1 s"


def test_two_long_ids_are_shortened_one_after_the_other() -> None:
    said = f"{OTHER} unloaded to make room for {ID}"
    assert shorten_words(said, 120) == (
        f"{OTHER} unloaded to make room for bartowski/Meta-Llama-3.3-70B-…-Q5_K_M"
    )
    both = shorten_words(said, 70)
    assert both == "unsloth/…-UD-Q4_K_XL unloaded to make room for bartowski/Meta-…-Q5_K_M"


def test_owners_without_end_are_shortened() -> None:
    assert shorten_id("abcdefghijklmnop_" * 2000, 20) == "abcdefghijklmnop_…"


def test_a_text_of_short_words_stays_as_it_is() -> None:
    assert shorten_words("no word of this is long", 5) == "no word of this is long"


@given(st.text(), st.integers(-5, 80))
def test_no_word_gets_longer_and_none_is_lost(text: str, cells: int) -> None:
    before, after = text.split(), shorten_words(text, cells).split()
    assert cell_width(shorten_words(text, cells)) <= cell_width(text)
    assert [word for word in before if cell_width(word) <= LEAST_WORD] == [
        word for word, old in zip(after, before, strict=True) if cell_width(old) <= LEAST_WORD
    ]
