"""Ten thousand models cost no more to look at than what is on screen."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.strip import Strip

from aitui.domain.models import ContextSize, ContextSource, Model, RunState
from aitui.ui.widgets.model_table import ModelTable
from ui.driven import Driven, driven
from ui.hand_made import NOW, SERVER, STILL, live, show_instead_of_servers

MANY = 10_000
MODELS = tuple(
    Model(f"model-{number:04d}", context=ContextSize(4096, ContextSource.RUNNING_COMMAND))
    for number in range(MANY)
)


@pytest.fixture
async def crowded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Driven]:
    """The app with very many models."""
    show_instead_of_servers(monkeypatch, live(*MODELS))
    async with driven(SERVER, tmp_path, clock=STILL) as app:
        await app.see("model-0000")
        yield app


@pytest.fixture
def drawn(crowded: Driven, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lines of the table that were drawn, as they are."""
    lines: list[int] = []
    draw = ModelTable.render_line

    def render_line(self: ModelTable, y: int) -> Strip:
        lines.append(y)
        return draw(self, y)

    monkeypatch.setattr(ModelTable, "render_line", render_line)
    return lines


async def test_the_ends_are_a_key_away(crowded: Driven) -> None:
    await crowded.press("G")
    assert crowded.under_cursor == "model-9999"
    assert "model-9999" in crowded.text
    await crowded.press("pageup", "k")
    assert crowded.under_cursor in crowded.text
    await crowded.press("g", "j")
    assert crowded.under_cursor == "model-0001"


@pytest.mark.frames
async def test_one_changed_model_redraws_its_row_and_no_other(
    crowded: Driven, drawn: list[int]
) -> None:
    await crowded.press("j")
    await crowded.settle()
    drawn.clear()
    changed = replace(MODELS[5], rate=12.0)
    crowded.app.snapshot = live(*MODELS[:5], changed, *MODELS[6:])
    await crowded.settle()
    assert set(drawn) <= {1, 5}, "the changed row, and the cursor's"
    assert 5 in drawn


async def test_a_change_out_of_sight_redraws_no_row_but_the_cursors(
    crowded: Driven, drawn: list[int]
) -> None:
    await crowded.press("j")
    await crowded.settle()
    drawn.clear()
    changed = replace(MODELS[-1], rate=12.0)
    crowded.app.snapshot = live(*MODELS[:-1], changed)
    await crowded.settle()
    assert set(drawn) <= {1}


@pytest.mark.frames
async def test_a_move_of_the_cursor_redraws_two_rows(crowded: Driven, drawn: list[int]) -> None:
    await crowded.press("j")
    await crowded.settle()
    drawn.clear()
    await crowded.press("j")
    await crowded.settle()
    assert set(drawn) == {1, 2}


async def test_time_that_passes_redraws_only_rows_whose_words_change(
    crowded: Driven, drawn: list[int]
) -> None:
    loading = replace(MODELS[3], state=RunState.STARTING, since=NOW)
    crowded.app.snapshot = live(*MODELS[:3], loading, *MODELS[4:])
    await crowded.see("loading 0 s")
    await crowded.settle()
    drawn.clear()
    crowded.table.tick()
    await crowded.settle()
    assert drawn == []


async def test_a_filter_finds_one_among_all(crowded: Driven) -> None:
    await crowded.press("slash")
    crowded.burst(*"7777")
    await crowded.until(lambda: len(crowded.table._rows) == 1, "found")
    assert crowded.under_cursor == "model-7777"


async def test_a_key_looks_at_the_models_on_screen_and_not_at_all_of_them(
    crowded: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []
    tell = Model.resident.fget  # type: ignore[attr-defined]

    def resident(self: Model) -> bool:
        looked_at.append(self.id)
        return bool(tell(self))

    monkeypatch.setattr(Model, "resident", property(resident))
    await crowded.press("j")
    await crowded.settle()
    assert 0 < len(looked_at) < 1000
