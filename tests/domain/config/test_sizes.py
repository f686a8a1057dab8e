"""Context sizes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.config.sizes import (
    LARGEST,
    SMALLEST,
    double,
    format_context_size,
    half,
    next_size,
    parse_context_size,
)
from aitui.errors import ConfigRefused


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("262144", 262144),
        (" 4096 ", 4096),
        ("256k", 262144),
        ("256K", 262144),
        ("0.25M", 262144),
        ("1Mi", 1048576),
        ("1 MiB", 1048576),
        (".5m", 524288),
        ("131,072", 131072),
        ("1 048 576", 1048576),
        ("131_072", 131072),
    ],
)
def test_a_size_in_tokens(text: str, tokens: int) -> None:
    assert parse_context_size(text) == tokens


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k",
        "many",
        "-4096",
        "4096.5",
        "0.3k",
        "1e5",
        "٤٠٩٦",
        "4096 tokens",
        "1G",
        "1,2",
        "0x100",
    ],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigRefused, match="128k"):
        parse_context_size(text)


@pytest.mark.parametrize("text", ["0", "255", "17M", "9" * 12])
def test_a_size_that_can_not_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ConfigRefused, match="is out of range"):
        parse_context_size(text)


@given(st.text())
def test_any_text_is_a_size_within_bounds_or_refused(text: str) -> None:
    try:
        tokens = parse_context_size(text)
    except ConfigRefused:
        return
    assert SMALLEST <= tokens <= LARGEST


@given(st.integers(SMALLEST, LARGEST) | st.integers(SMALLEST, 10_000))
def test_the_same_number_is_read_from_a_size_that_was_formatted(tokens: int) -> None:
    assert parse_context_size(format_context_size(tokens)) == tokens


@pytest.mark.parametrize(
    ("tokens", "text"), [(8192, "8k"), (5000, "5000"), (40_000, "40000"), (100, "100")]
)
def test_a_size_is_formatted_short_if_that_is_exact(tokens: int, text: str) -> None:
    assert format_context_size(tokens) == text


@given(st.integers(SMALLEST, LARGEST))
def test_half_and_double_stay_within_bounds(tokens: int) -> None:
    assert SMALLEST <= half(tokens) <= tokens <= double(tokens) <= LARGEST


def test_half_and_double() -> None:
    assert (half(131072), double(131072)) == (65536, 262144)


@pytest.mark.parametrize(
    ("now", "needed", "size"),
    [(32768, 41210, 65536), (4096, 4000, 8192), (8192, 100, 8192), (4096, 10**9, LARGEST)],
)
def test_the_next_size_holds_the_prompt_and_some_of_an_answer(
    now: int, needed: int, size: int
) -> None:
    assert next_size(now, needed) == size
