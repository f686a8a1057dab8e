"""Ten thousand lines a second: drawn now and then, by the rows in sight; keys go on working."""

import asyncio

import pytest

from aitui.ui.widgets.log_view import LogView
from stand_in import StandIn
from ui.driven import Driven

CHUNKS, LINES = 40, 500


async def flood(stand_in: StandIn) -> None:
    """Twenty thousand lines in two seconds, or however long this machine takes."""
    for chunk in range(CHUNKS):
        lines = range(chunk * LINES, (chunk + 1) * LINES)
        stand_in.write_log("".join(f"[INFO] \x1b[32mflood\x1b[0m {line}\n" for line in lines))
        await asyncio.sleep(0.05)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often the view got lines, and how many rows it drew."""
    counts = {"extend": 0, "render_line": 0}

    def count(name: str) -> None:
        method = getattr(LogView, name)

        def counting(*arguments: object, **more: object) -> object:
            counts[name] += 1
            return method(*arguments, **more)

        monkeypatch.setattr(LogView, name, counting)

    count("extend")
    count("render_line")
    return counts


async def test_rows_are_drawn_by_what_is_in_sight(
    counted: dict[str, int], logs: Driven, stand_in: StandIn
) -> None:
    before = dict(counted)
    await flood(stand_in)
    await logs.see(f"flood {CHUNKS * LINES - 1}")
    news = counted["extend"] - before["extend"]
    rows = counted["render_line"] - before["render_line"]
    height = logs.app.screen.query_one(LogView).size.height
    assert news < 4 * CHUNKS
    # Once for what came, and once where the scroll bar or the size changed with it.
    assert rows <= 3 * height * (news + 5)
    assert rows < CHUNKS * LINES / 2


async def test_keys_work_in_the_middle_of_it(logs: Driven, stand_in: StandIn) -> None:
    flooding = asyncio.create_task(flood(stand_in))
    await logs.see("flood")
    await logs.press("g")
    await logs.see("first line", "scrolled")
    assert not flooding.done()
    await flooding


async def test_a_line_of_ten_megabytes_is_cut(logs: Driven, stand_in: StandIn) -> None:
    stand_in.write_log("x" * 10_000_000 + "\n[INFO] after it\n")
    await logs.see("after it", "xxx")
    line = next(
        line
        for line in logs.app.screen.query_one(LogView).rows.visible_lines()
        if line.text.startswith("xxx")
    )
    assert len(line.text) < 40_000
    assert "bytes more" in line.text
    await logs.press("w")
    await logs.see("bytes more")
