"""The proof that two texts differ in one place, and what it doesn't let pass."""

import pytest

from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.verify import (
    differs_only_in_keys,
    differs_only_in_scalar,
    find_changed_models,
)
from aitui.domain.config.yaml_tree import YamlCollection, YamlScalar
from aitui.errors import ConfigRefused
from domain.config.edits import flag_changed

BEFORE = "m: {s: &s 1}\nmodels:\n  a: {cmd: x -c 1, ttl: *s}\n  b: {cmd: y}\n"


def command_of_a(document: ConfigDocument) -> YamlScalar:
    """The scalar that is meant to change."""
    node = document.command_node("a")
    assert node is not None
    return node


@pytest.mark.parametrize(
    ("old", "new", "proven"),
    [
        ("-c 1", "-c 2", True),
        ("", "", False),
        ("s: &s 1", "s: &s 2", False),
        ("cmd: y", "cmd: z", False),
        ("-c 1", "-c 1, name: n", False),
        ("b: {cmd: y}", "c: {cmd: y}", False),
        ("b: {cmd: y}", "b: {cmd: 'y'}", False),
        ("b: {cmd: y}", "b: {cmd: &y y}", False),
        ("b: {cmd: y}", "b: [cmd, y]", False),
        ("b: {cmd: y}", "b:\n    cmd: y", False),
        ("cmd: x -c 1", "cmd: [x]", False),
        ("m: {s: &s 1}", "m: {s: &s 1}\nn: 1", False),
        ("ttl: *s", "ttl: 1", True),
    ],
)
def test_one_scalar_and_nothing_else(old: str, new: str, proven: bool) -> None:
    before, after = ConfigDocument.read(BEFORE), ConfigDocument.read(BEFORE.replace(old, new))
    meant = command_of_a(before)
    if old == "ttl: *s":
        ttl = before.entry("a").keys["ttl"].value
        assert isinstance(ttl, YamlScalar)
        meant = ttl
    assert differs_only_in_scalar(before.root, after.root, meant) is proven


def test_two_changes_are_not_one() -> None:
    before = ConfigDocument.read(BEFORE)
    after = ConfigDocument.read(BEFORE.replace("-c 1", "-c 2").replace("cmd: y", "cmd: z"))
    assert not differs_only_in_scalar(before.root, after.root, command_of_a(before))


@pytest.mark.parametrize(
    ("old", "new", "proven"),
    [
        ("{cmd: y}", "{cmd: y, ttl: 5}", True),
        ("{cmd: y}", "{ttl: 5, cmd: y}", True),
        ("{cmd: y}", "{ttl: 5, cmd: z}", False),
        ("{cmd: y}", "{ttl: 5, cmd: y, name: n}", False),
        ("{cmd: y}", "{cmd: y}\n  c: {ttl: 5}", False),
        ("", "", False),
    ],
)
def test_one_key_and_nothing_else(old: str, new: str, proven: bool) -> None:
    before, after = ConfigDocument.read(BEFORE), ConfigDocument.read(BEFORE.replace(old, new))
    mapping = before.entry("b").pair.value
    assert isinstance(mapping, YamlCollection)
    assert differs_only_in_keys(before.root, after.root, mapping, frozenset({"ttl"})) is proven


def test_the_models_that_llama_swap_would_start_otherwise() -> None:
    before = ConfigDocument.read(BEFORE + "  c: {cmd: 'z   1'}\n  d: {cmd: z}\n")
    after = ConfigDocument.read(
        BEFORE.replace("s: &s 1", "s: &s 2") + "  c: {cmd: 'z 1'}\n  e: {cmd: z}\n"
    )
    assert find_changed_models(before, after) == ("a", "d", "e")


def test_a_model_that_would_change_unnamed_keeps_the_value_from_changing() -> None:
    text = "models:\n  a: {cmd: &c llama-server -c 1}\n  b: {cmd: x, cmdStop: *c}\n"
    with pytest.raises(ConfigRefused, match="on its own"):
        flag_changed(text, "a", "-c", "2")
