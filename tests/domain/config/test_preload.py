"""A model added to those that llama-swap loads when it starts, and nothing else changed."""

import pytest

from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.preload import add_preload, preloaded_models
from aitui.errors import ConfigRefused

MODELS = "models:\n  a:\n    cmd: x\n  b:\n    cmd: y\n    aliases: [bee]\n"


@pytest.mark.parametrize(
    ("rest", "after"),
    [
        ("", "hooks:\n  on_startup:\n    preload:\n      - a\n"),
        ("hooks:\n  on_startup:\n    preload: # why\n    - b # b\n# end\n",
         "hooks:\n  on_startup:\n    preload: # why\n    - b # b\n    - a\n# end\n"),
        ("hooks:\n  on_startup:\n    preload:\n      -  'b'\n",
         "hooks:\n  on_startup:\n    preload:\n      -  'b'\n      -  a\n"),
        ("hooks: {on_startup: {preload: [b]}}\n", "hooks: {on_startup: {preload: [b, a]}}\n"),
        ("hooks: {on_startup: {preload: []}}\n", "hooks: {on_startup: {preload: [a]}}\n"),
        ("hooks:\n  on_startup:\n    profile: p\n",
         "hooks:\n  on_startup:\n    profile: p\n    preload:\n      - a\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_it_is_added_to_what_is_there(rest: str, after: str, ending: str) -> None:
    text = (MODELS + rest).replace("\n", ending)
    change = add_preload(ConfigDocument.read(text), "a")
    assert change.after == (MODELS + after).replace("\n", ending)
    assert preloaded_models(ConfigDocument.read(change.after))[-1] == "a"


def test_at_a_command_that_keeps_its_last_lines_it_stands_first() -> None:
    text = "models:\n  a:\n    cmd: |+\n      x\n\n"
    change = add_preload(ConfigDocument.read(text), "a")
    assert change.after == f"hooks:\n  on_startup:\n    preload:\n      - a\n{text}"


def test_an_alias_in_the_list_counts() -> None:
    text = f"{MODELS}hooks:\n  on_startup:\n    preload: [bee]\n"
    assert add_preload(ConfigDocument.read(text), "b").after == text


@pytest.mark.parametrize(
    ("rest", "line"),
    [
        ("hooks: {}\n", 7),
        ("hooks:\n", 7),
        ("x: &l [b]\nhooks:\n  on_startup:\n    preload: *l\n", 10),
        ("hooks:\n  on_startup:\n    preload: b\n", 9),
        ("hooks:\n  on_startup: {profile: p}\n", 8),
    ],
)
def test_what_is_written_in_an_unusual_way_is_refused_with_its_line(rest: str, line: int) -> None:
    with pytest.raises(ConfigRefused) as refused:
        add_preload(ConfigDocument.read(MODELS + rest), "a")
    assert refused.value.line == line
    assert refused.value.remedy == "Add “- a” to it in the editor."


def test_an_unknown_model_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigRefused) as refused:
        add_preload(ConfigDocument.read(MODELS), "aa")
    assert refused.value.why == "Nearest: a."
