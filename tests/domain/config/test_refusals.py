"""What can't be changed safely is refused, with its line."""

import pytest

from aitui.errors import ConfigRefused
from domain.config.edits import flag_changed


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("models:\n  a:\n    cmd: bash -c 'llama-server -c 4096'\n", 3),
        ('models:\n  a:\n    cmd: |\n      sh -lc "llama-server -c 4096"\n', 3),
        ("models:\n  a:\n    cmd: docker run x bash -c 'llama-server -c 4096'\n", 3),
        ('models:\n  a:\n    cmd: "llama-server -c \\x34096"\n', 3),
        ("models:\n  a:\n    cmd: ${s}\nmacros: {n: 409, s: 'llama-server -c ${n}0'}\n", 3),
        ("models:\n  a:\n    ttl: 5\n", 2),
        ("models:\n  a:\n    cmd: [llama-server, -c, '4096']\n", 2),
        ("models:\n  a:\n    cmd: llama-server '-c 1' \"--ctx\"'-size=5' \n", 3),
    ],
)
def test_a_place_that_is_not_safe_is_refused(text: str, line: int) -> None:
    with pytest.raises(ConfigRefused) as refused:
        flag_changed(text, "a", "-c", "8192")
    assert refused.value.line == line


def test_duplicate_keys_are_refused_before_anything_else() -> None:
    with pytest.raises(ConfigRefused, match="twice") as refused:
        flag_changed("models:\n  a: {cmd: x}\n  a: {cmd: x}\n", "a", "-c", "1")
    assert refused.value.line == 3


def test_a_model_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigRefused, match="no model"):
        flag_changed("models: {a: {cmd: x}}\n", "b", "-c", "1")


@pytest.mark.parametrize("value", ["", "a\nb", "\x1b[2J", "${x}", "x" * 5000, "\ud800", "\u2028"])
def test_a_value_that_no_command_can_hold_is_refused(value: str) -> None:
    with pytest.raises(ConfigRefused):
        flag_changed("models: {a: {cmd: llama-server -c 4096}}\n", "a", "-c", value)


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--jinja", "on"), ("-c", ""), ("--control-vector-layer-range", "1"), ("--new", "-c")],
)
def test_another_number_of_values_than_the_flag_takes_is_refused(flag: str, value: str) -> None:
    with pytest.raises(ConfigRefused, match="can't be set that way"):
        flag_changed("models: {a: {cmd: llama-server}}\n", "a", flag, value)


@pytest.mark.parametrize("value", ["a: b", "a #b", "x, ttl: 5", 'it\'s: "x"'])
def test_a_value_that_would_change_the_files_structure_is_refused(value: str) -> None:
    text = "models:\n  a: {cmd: llama-server --alias old, name: x}\n"
    with pytest.raises(ConfigRefused, match="on its own"):
        flag_changed(text, "a", "--alias", value)


def test_a_macro_that_says_more_than_the_value_is_refused() -> None:
    text = "macros: {n: 5}\nmodels:\n  a:\n    cmd: llama-server -c ${n} -ngl ${n}\n"
    with pytest.raises(ConfigRefused, match="on its own"):
        flag_changed(text, "a", "-c", "6")


def test_a_block_that_is_another_models_has_no_place_for_an_override() -> None:
    text = "models:\n  a: &a {cmd: llama-server -c 1}\n  b: *a\n"
    with pytest.raises(ConfigRefused, match="no block of its own"):
        flag_changed(text, "b", "-c", "2", only_this_model=True)


def test_an_override_where_the_anchor_stands_would_change_the_others() -> None:
    text = "models:\n  a: &a {cmd: llama-server -c 1}\n  b: {<<: *a}\n"
    with pytest.raises(ConfigRefused):
        flag_changed(text, "a", "-c", "2", only_this_model=True)
