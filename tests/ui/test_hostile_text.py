"""Ids, names and descriptions that try to steer the terminal or the app are shown as text."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.widgets._toast import Toast

from aitui.domain.snapshot import Server
from aitui.ui.widgets.model_detail import ModelDetail
from stand_in import StandIn
from ui.driven import Driven, driven
from ui.hostile import PAYLOADS, catalogue_of

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture
async def hostile(tmp_path: Path) -> AsyncIterator[Driven]:
    """The app in front of a server full of hostile texts."""
    async with StandIn(catalogue_of()) as server:
        where = Server(server.url, identity="hostile", name="hostile")
        async with driven(where, tmp_path, size=(120, 40)) as app:
            await app.until(lambda: len(app.models.snapshot.models) == len(PAYLOADS), "listed")
            yield app


def assert_harmless(app: Driven) -> None:
    width, height = app.app.size
    strips = app.strips
    assert len(strips) == height
    for strip in strips:
        assert not CONTROL.search(strip.text), repr(strip.text)
        assert strip.cell_length == cell_len(strip.text) == width, repr(strip.text)
        for segment in strip:
            assert segment.style is None or segment.style.link is None


@pytest.mark.parametrize("size", [(200, 50), (120, 36), (80, 24), (60, 20), (30, 8)])
async def test_every_model_is_shown_harmless_and_in_its_columns(
    hostile: Driven, size: tuple[int, int]
) -> None:
    await hostile.pilot.resize_terminal(*size)
    await hostile.until(lambda: hostile.app.size == size, "resized")
    for _ in PAYLOADS:
        await hostile.settle()
        assert_harmless(hostile)
        await hostile.press("j")
    assert hostile.app.is_running


async def test_columns_stand_one_below_the_other(hostile: Driven) -> None:
    await hostile.settle()
    state, _ = hostile.place_of("STATE")
    rows = [strip for strip in hostile.strips if "4k" in strip.text or "32k?" in strip.text]
    assert len(rows) > 5
    for row in rows:
        assert row.crop(state, state + 1).text == "–", row.text


async def test_questions_and_what_is_said_are_harmless(hostile: Driven) -> None:
    await hostile.pilot.resize_terminal(80, 24)
    first, *others = hostile.table._rows
    await hostile.press("l")
    await hostile.until_ready(first.id)
    for model in others:
        hostile.go_to(model.id)
        await hostile.press("y", "l")
        await hostile.see("n Cancel", "y Load")
        assert_harmless(hostile)
        assert all(toast.region.height <= 15 for toast in hostile.app.screen.query(Toast))
        await hostile.press("escape")
        hostile.app.clear_notifications()
    await hostile.press("U")
    await hostile.see("Unload the only model?")
    assert_harmless(hostile)


async def test_long_texts_break_inside_their_pane(hostile: Driven) -> None:
    await hostile.pilot.resize_terminal(120, 36)
    longest = max(hostile.table._rows, key=lambda model: len(model.id))
    hostile.go_to(longest.id)
    await hostile.settle()
    pane = hostile.models.query_one(ModelDetail)
    lines = [strip.text.strip() for strip in hostile.strips[pane.region.y + 1 : pane.region.bottom]]
    assert min(map(len, lines[2:])) > 20, lines


async def test_a_click_on_markup_runs_nothing(hostile: Driven) -> None:
    await hostile.click("[@click=app.quit]")
    for row, strip in enumerate(hostile.strips):
        if "[@click" in strip.text:
            await hostile.pilot.click(offset=(strip.text.index("[@click") + 16, row))
    await hostile.settle()
    assert hostile.app.is_running


async def test_what_is_typed_into_the_filter_is_text(hostile: Driven) -> None:
    await hostile.press("slash", *"[/x][@click=app.quit]")
    await hostile.see("Nothing matches “[/x][@click=app.quit]”")
    assert_harmless(hostile)


async def test_a_hostile_title_of_an_error_is_text(hostile: Driven) -> None:
    await hostile.press("S", "tab", *"http://[/x]", "enter")
    await hostile.see("http://[/x] (typed): expected a host name")
    assert_harmless(hostile)
