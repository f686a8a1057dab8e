"""Ids, names and descriptions that try to steer the terminal or the app are shown as text."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from aitui.demo.stand_in import StandIn
from aitui.domain.server import Server
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
    _, state = hostile.place_of("State")[1], hostile.place_of("State")[0]
    rows = [strip for strip in hostile.strips if "4k" in strip.text or "32k?" in strip.text]
    assert len(rows) > 5
    for row in rows:
        assert row.crop(state, state + 1).text == "–", row.text


async def test_dialogs_toasts_and_the_palette_are_harmless(hostile: Driven) -> None:
    for number, model in enumerate(hostile.table.shown):
        hostile.go_to(model.id)
        await hostile.press("y")
        await hostile.press("l")
        await hostile.until(
            lambda model=model: (
                hostile.asking
                or model.id
                in {  # type: ignore[misc]
                    ready.id for ready in hostile.models.snapshot.ready
                }
            ),
            "asked or loaded",
        )
        await hostile.settle()
        assert_harmless(hostile)
        if hostile.asking:
            await hostile.armed()
            await hostile.press("y")
            await hostile.until_ready(model.id)
        assert_harmless(hostile)
        assert hostile.app.is_running, number
    await hostile.press("U")
    await hostile.see("Unload all 1 model?")
    assert_harmless(hostile)


async def test_a_click_on_markup_runs_nothing(hostile: Driven) -> None:
    await hostile.click("[@click=app.quit]")
    for row, strip in enumerate(hostile.strips):
        if "[@click" in strip.text:
            await hostile.pilot.click(offset=(strip.text.index("[@click") + 16, row))
    await hostile.settle()
    assert hostile.app.is_running


async def test_what_is_typed_into_the_filter_is_text(hostile: Driven) -> None:
    await hostile.press("slash", *"[/x][@click=app.quit]")
    await hostile.see("No model matches “[/x][@click=app.quit]”")
    assert_harmless(hostile)


async def test_a_hostile_title_of_an_error_is_text(hostile: Driven) -> None:
    await hostile.press("S", "tab", *"http://[/x]", "enter")
    await hostile.until(lambda: hostile.toasts, "told")
    assert_harmless(hostile)
