"""The keymap: the only place that names keys, and what the README says of them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from aitui.domain.checks import inconclusive_check
from aitui.domain.slash import SLASH_COMMANDS
from aitui.errors import Action, ConfigRefused
from aitui.ui import keymap
from aitui.ui.controllers.slash_commands import SlashCommandRunner
from aitui.ui.keymap import README_GROUPS, Key, KeyGroup, remedy_text

ROOT = Path(__file__).parents[2]
UI = ROOT / "aitui" / "ui"
GROUPS = [value for value in vars(keymap).values() if isinstance(value, KeyGroup)]


def calls(name: str) -> set[str]:
    """The files below `ui` that call something of that name."""
    return {
        path.name
        for path in UI.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    }


def texts(tree: ast.AST) -> Iterator[str]:
    """The string constants that are no docstrings."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
    for node in constants:
        if isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def test_every_binding_comes_from_the_keymap() -> None:
    assert calls("Binding") == {"keymap.py"}


def test_no_screen_names_a_key_by_itself() -> None:
    """A letter in brackets, after "press", or before a verb; the unit of seconds is none."""
    literal = re.compile(
        r" \([a-zA-Z:/]\)|[Pp]ress [a-zA-Z:/]\b|: [a-zA-Z],"
        r"|(?<![\w'’./{}-])(?:[b-rt-zB-HJ-Z]|Esc|Del|Tab|F\d|\^[a-z]) [a-z]+s\b"
    )
    found = [
        (path.name, text)
        for folder in (UI, UI.parent / "services", UI.parent / "format")
        for path in folder.rglob("*.py")
        for text in texts(ast.parse(path.read_text(encoding="utf-8")))
        if literal.search(text)
    ]
    assert found == []


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: str(group.name))
def test_no_key_does_two_things_in_one_place(group: KeyGroup) -> None:
    keys = [name for key in group.keys if key.bound for name in key.keys.split(",")]
    assert len(keys) == len(set(keys))


def row(key: Key) -> str:
    return f"| {' '.join(f'`{sign}`' for sign in key.signs)} | {key.manual} |"


def test_the_readme_lists_the_keys() -> None:
    rows = [row(key) for group in README_GROUPS for key in group.keys if key.manual]
    table = "\n".join(["| key | what it does |", "|---|---|", *rows])
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_remedy_names_the_key_of_its_action() -> None:
    refused = ConfigRefused("no", remedy="reload it", action=Action.RELOAD_CONFIG)
    assert remedy_text(refused) == "reload it (H)"
    assert refused.shell_remedy == "reload it (aitui reload)"
    check = inconclusive_check("file", "old", "fix it", Action.EDIT_CONFIG)
    assert remedy_text(check) == "fix it (5, then e)"
    whole = ConfigRefused("no", remedy="Change it.", action=Action.EDIT_CONFIG)
    assert remedy_text(whole) == "Change it (5, then e)."


def test_an_action_without_a_key_names_its_command() -> None:
    error = ConfigRefused("no", remedy="list the changes", action=Action.SHOW_JOURNAL)
    assert remedy_text(error) == "list the changes (aitui journal)"


def test_every_slash_command_has_a_handler() -> None:
    assert SlashCommandRunner.HANDLERS.keys() == {spec.name for spec in SLASH_COMMANDS}
