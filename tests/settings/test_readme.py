"""The README's table of settings."""

from pathlib import Path
from typing import Any

from aitui.settings.table import SERVER_SETTINGS, TOP_SETTINGS, Setting

README = Path(__file__).parents[2] / "README.md"


def row(setting: Setting[Any]) -> str:
    default = setting.default_text
    default = default if default == "none" else f"`{default}`"
    variable = f"`{setting.variable}`" if setting.variable else "–"
    return f"| `{setting.name}` | {variable} | {default} | {setting.words} |"


def test_the_readme_lists_every_setting() -> None:
    rows = [
        "| key | variable | default | what it is |",
        "|---|---|---|---|",
        *(row(setting) for setting in (*TOP_SETTINGS, *SERVER_SETTINGS)),
    ]
    assert "\n".join(rows) in README.read_text(encoding="utf-8")
