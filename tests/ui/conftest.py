"""The app in front of the stand-in."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet

from aitui.domain.snapshot import Server
from ui.driven import Driven, driven


@pytest.fixture(scope="session", autouse=True)
def _style_sheets() -> Iterator[None]:
    """Every test starts the app, and a sixth of the start is the parsing of the same style sheets."""
    known: dict[object, list[RuleSet]] = {}
    parse = Stylesheet._parse_rules

    def parse_once(sheet: Stylesheet, css: str, *place: Any, **more: Any) -> list[RuleSet]:
        key = (css, place, tuple(more.items()), tuple(sheet._variables.items()))
        if key not in known:
            known[key] = parse(sheet, css, *place, **more)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", parse_once)
        # Each widget asks for the hash of each rule; this one is as unique, and isn't Python.
        patch.setattr(RuleSet, "__hash__", object.__hash__)
        # Done already; each app that it leaves out of the searches would stay for good.
        patch.setattr("aitui.ui.controllers.server.tune_collector", lambda: None)
        yield


@pytest.fixture
async def app(server: Server, tmp_path: Path) -> AsyncIterator[Driven]:
    """The app at 80×24, connected to the stand-in, every model listed."""
    async with driven(server, tmp_path) as running:
        await running.until(lambda: running.models.snapshot.events_flow, "live")
        yield running
