"""The first screen with the demo, as its pictures have it."""

import re
from pathlib import Path

import pytest

from aitui.__main__ import demo_server
from ui.driven import Driven, driven


def blank_rows(app: Driven) -> list[int]:
    """The rows between header and footer in which some pane has nothing."""
    rows = enumerate(strip.text for strip in app.strips[1:-2])
    return [row for row, text in rows if re.search(r"│\s+│", text)]


@pytest.mark.parametrize("size", [(120, 36), (200, 50)], ids=["120x36", "200x50"])
async def test_at_most_a_tenth_of_the_rows_is_blank(size: tuple[int, int], tmp_path: Path) -> None:
    async with (
        demo_server() as (server, _),
        driven(server, tmp_path, size=size) as app,
    ):
        few = (size[1] - 3) // 10
        await app.until(lambda: len(app.models.snapshot.ready) > 1, "ready")
        await app.until(lambda: len(blank_rows(app)) <= few, "filled")
        shown = [model.id for model in app.models.snapshot.models]
        assert [model_id for model_id in shown if model_id not in app.text] == []
