"""The bytes of a config file and its text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.config.document import decode_config, encode_config
from aitui.domain.config.yaml_tree import LARGEST_FILE
from aitui.errors import ConfigRefused


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_every_text_comes_back_as_the_same_bytes(text: str) -> None:
    assert encode_config(decode_config(text.encode())) == text.encode()


def test_byte_order_mark_and_line_ends_are_kept() -> None:
    content = b"\xef\xbb\xbfmodels:\r\n  a:\n\r"
    assert decode_config(content) == "\ufeffmodels:\r\n  a:\n\r"


def test_what_is_no_utf_8_is_refused_with_its_line() -> None:
    with pytest.raises(ConfigRefused, match="0xff") as refused:
        decode_config(b"models:\n  a:\n    name: \xff\n")
    assert refused.value.line == 3


def test_nul_is_refused_with_its_line() -> None:
    with pytest.raises(ConfigRefused, match="NUL") as refused:
        decode_config(b"a\n\0")
    assert refused.value.line == 2


def test_more_than_a_mebibyte_is_refused() -> None:
    with pytest.raises(ConfigRefused, match="1,048,577"):
        decode_config(b"#" * (LARGEST_FILE + 1))


def test_a_lone_surrogate_can_not_be_written() -> None:
    with pytest.raises(ConfigRefused) as refused:
        encode_config("a\n\ud800")
    assert refused.value.line == 2
