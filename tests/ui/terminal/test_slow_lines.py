"""Frames: no more than --fps allows, and none for a terminal that takes nothing."""

import asyncio
from pathlib import Path
from time import monotonic

import pytest

from catalogue import QUICK
from e2e.pseudo_terminal.terminal import FRAME, Terminal, surroundings, terminal
from stand_in import FixedResponse, StandIn

FLOODED = 4.0


async def frames_a_second(stand_in: StandIn, shown: Terminal) -> float:
    """While a log that is shown grows a hundred times a second."""
    await shown.see(" ms ", QUICK)
    shown.press("2")
    await shown.see("● live")
    before, began, number = shown.sent.count(FRAME), monotonic(), 0
    while monotonic() - began < FLOODED:
        number += 1
        stand_in.write_log(f"[INFO] line {number}\n")
        await asyncio.sleep(0.01)
    return (shown.sent.count(FRAME) - before) / (monotonic() - began)


OF_OTHERS = {
    "TEXTUAL": "debug,devtools,headless",
    "TEXTUAL_DRIVER": "no.such:Driver",
    "TEXTUAL_PRESS": "q",
    "TEXTUAL_DEBUG": "1",
    "TEXTUAL_DEVTOOLS_HOST": "256.1.1.1",
    "TEXTUAL_DEVTOOLS_PORT": "none",
    "TEXTUAL_SCREENSHOT": "none",
    "TEXTUAL_SCREENSHOT_LOCATION": "pictures",
    "TEXTUAL_SCREENSHOT_FILENAME": "picture.svg",
    "TEXTUAL_LOG": "textual.log",
    "TEXTUAL_SLOW_THRESHOLD": "none",
}
"""Left there for another program; none of it is for aitui."""


@pytest.mark.parametrize(
    ("left_there", "arguments"), [("", ["--fps", "2"]), ("60", ["--fps", "2"]), ("2", [])]
)
async def test_frames_a_second_are_capped(
    plain: StandIn, tmp_path: Path, left_there: str, arguments: list[str]
) -> None:
    environment = surroundings(tmp_path, **({"TEXTUAL_FPS": left_there} if left_there else {}))
    async with terminal(["--url", plain.url, *arguments], environment, frames=True) as shown:
        assert 0 < await frames_a_second(plain, shown) <= 3


async def test_what_is_set_for_other_programs_of_textual_is_ignored(
    plain: StandIn, tmp_path: Path
) -> None:
    pictures = {"TEXTUAL_SCREENSHOT": "1", "TEXTUAL_SCREENSHOT_LOCATION": str(tmp_path)}
    log = {"TEXTUAL_LOG": str(tmp_path / "textual.log")}
    environment = surroundings(tmp_path, **{**OF_OTHERS, **log, **pictures})
    async with terminal(["--url", plain.url], environment) as shown:
        await shown.see(QUICK)
        await asyncio.sleep(1.5)  # the screenshot would have ended it
        shown.press("q")
        assert await shown.ends() == 0
    assert not [*tmp_path.glob("*.svg"), *tmp_path.glob("*.log")]


async def test_without_the_cap_more_frames_come(plain: StandIn, tmp_path: Path) -> None:
    async with terminal(["--url", plain.url], surroundings(tmp_path), frames=True) as shown:
        assert await frames_a_second(plain, shown) > 3


async def test_a_terminal_that_takes_nothing_stops_nobody(plain: StandIn, shown: Terminal) -> None:
    # Without events the server is asked every other second, unless everything waits.
    plain.fault("/api/events", FixedResponse(404))
    await plain.reload()
    shown.press("2")
    await shown.see("lines")
    shown.stall()
    for number in range(500):
        plain.write_log("".join(f"[INFO] {number} {line} flood\n" for line in range(40)))
        await asyncio.sleep(0.02)
    await asyncio.sleep(2)
    asked = len(plain.requests)
    await shown.until(lambda: len(plain.requests) > asked, "still at work")
    plain.write_log("[INFO] the very last line\n")
    shown.go_on()
    await shown.see("the very last line")
