"""One plain key of one model changed, and nothing else."""

import pytest

from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.key_edit import change_global_ttl
from aitui.domain.config.locate import ValueSource
from aitui.errors import ConfigRefused
from domain.config.edits import key_changed


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ("ttl: 5 # s\n    cmd: x\n", "ttl: 600 # s\n    cmd: x\n"),
        ("cmd: x\n    ttl: -1\n", "cmd: x\n    ttl: 600\n"),
        ("cmd: x\n    ttl:\n    name: y\n", "cmd: x\n    ttl: 600\n    name: y\n"),
        ("cmd: x\n", "cmd: x\n    ttl: 600\n"),
        ("cmd: x # why\n", "cmd: x # why\n    ttl: 600\n"),
        ("cmd: |\n      x\n      -c 1\n", "cmd: |\n      x\n      -c 1\n    ttl: 600\n"),
        ("cmd: x\n    env:\n      - A=b\n", "cmd: x\n    env:\n      - A=b\n    ttl: 600\n"),
        ("{cmd: x}\n", "{ttl: 600, cmd: x}\n"),
    ],
)
def test_a_number_is_replaced_or_added(body: str, after: str) -> None:
    text = "models:\n  a:\n    {}\n  # of b\n  b:\n    cmd: x\n"
    change = key_changed(text.format(body), "a", "ttl", "600")
    assert change.after == text.format(after)
    assert (change.where, change.flag, change.new) == (ValueSource.KEY, "ttl", "600")


def test_a_key_stands_first_where_the_end_belongs_to_a_block() -> None:
    text = "models:\n  a:\n    cmd: |+\n      x\n\n\n  b:\n    cmd: y\n"
    assert key_changed(text, "a", "ttl", "5").after == text.replace("  a:\n", "  a:\n    ttl: 5\n")


def test_a_key_is_quoted_in_json() -> None:
    text = '{"models": {"a": {"cmd": "x"}}}'
    assert key_changed(text, "a", "ttl", "5").after == '{"models": {"a": {"ttl": 5, "cmd": "x"}}}'


def test_a_key_is_added_at_the_end_of_a_file_without_a_last_line_end() -> None:
    text = "models:\r\n  a:\r\n    cmd: x"
    assert key_changed(text, "a", "ttl", "5").after == text + "\r\n    ttl: 5"


@pytest.mark.parametrize(
    ("name", "written"),
    [("Plain words", "Plain words"), ("a: b", '"a: b"'), ("12", '"12"'), ("yes", '"yes"')],
)
def test_a_text_is_quoted_where_it_would_mean_something_else(name: str, written: str) -> None:
    text = "models:\n  a:\n    cmd: x\n"
    assert key_changed(text, "a", "name", name).after == text + f"    name: {written}\n"


def test_a_text_keeps_its_quotes() -> None:
    text = "models:\n  a:\n    name: 'old'\n    cmd: x\n"
    assert key_changed(text, "a", "name", "it's").after == text.replace("old", "it''s")


MERGED = "x: &x {ttl: 5, cmd: y}\nmodels:\n  a:\n    <<: *x\n  b:\n    <<: *x\n"


def test_a_merged_key_changes_for_all_who_merge_it() -> None:
    change = key_changed(MERGED, "a", "ttl", "6")
    assert change.after == MERGED.replace("ttl: 5", "ttl: 6")
    assert (change.shared_name, change.also) == ("x", ("b",))


def test_a_merged_key_can_be_set_for_one_model_alone() -> None:
    change = key_changed(MERGED, "a", "ttl", "6", only_this_model=True)
    assert change.after == MERGED.replace("    <<: *x\n  b", "    <<: *x\n    ttl: 6\n  b")
    assert (change.old, change.also) == ("5", ())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ttl", "soon"),
        ("ttl", "-2"),
        ("ttl", ""),
        ("ttl", "5\n"),
        ("unlisted", "perhaps"),
        ("cmd", "x"),
        ("env", "x"),
        ("nonsense", "x"),
        ("name", "${x}"),
        ("checkEndpoint", "health"),
    ],
)
def test_what_the_key_does_not_take_is_refused(key: str, value: str) -> None:
    with pytest.raises(ConfigRefused):
        key_changed("models:\n  a:\n    cmd: x\n    ttl: 5\n", "a", key, value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("globalTTL: 60 # s\nmodels: {}\n", "globalTTL: 900 # s\nmodels: {}\n"),
        ("# mine\r\nmodels: {}\r\n", "# mine\r\nglobalTTL: 900\r\nmodels: {}\r\n"),
        ("\ufeffmodels: {}\n", "\ufeffglobalTTL: 900\nmodels: {}\n"),
        ("globalTTL: 900\nmodels: {}\n", None),
    ],
)
def test_the_idle_timeout_of_all_models(before: str, after: str | None) -> None:
    change = change_global_ttl(ConfigDocument.read(before), 900)
    assert change.after == (before if after is None else after)


@pytest.mark.parametrize("text", ["{models: {}}\n", "globalTTL: [1]\nmodels: {}\n"])
def test_an_idle_timeout_that_cannot_be_placed_is_refused(text: str) -> None:
    with pytest.raises(ConfigRefused):
        change_global_ttl(ConfigDocument.read(text), 900)
