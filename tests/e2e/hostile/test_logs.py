"""Log lines of any content and any length, in a real pseudo-terminal."""

import asyncio

from e2e.hostile.payloads import CONTROLS, MARKUP, SEQUENCES, leaks
from e2e.pseudo_terminal.terminal import Terminal
from stand_in import StandIn

MARK = "38;2;66;6;66"
"""A log's own colors are kept."""


async def harmless(shown: Terminal) -> None:
    await asyncio.sleep(0.3)
    assert shown.is_running, shown.text
    assert leaks(bytes(shown.sent)) in ([], [MARK])


async def test_lines_of_every_log(hostile: StandIn, shown: Terminal) -> None:
    for number, payload in enumerate((*SEQUENCES, CONTROLS, MARKUP)):
        for source in ("proxy", "upstream", "fails"):
            hostile.write_log(f"[WARN] before{number}{payload}after\n", source=source)
    shown.press("Gk")
    shown.press("2")
    await shown.see("listening on")
    await harmless(shown)
    for key in ("w", "w", "\t", "\t", "\t"):
        shown.press(key)
        await harmless(shown)
    shown.press("y")
    await shown.told("Copied")
    await harmless(shown)


async def test_a_line_of_ten_megabytes(hostile: StandIn, shown: Terminal) -> None:
    shown.press("2")
    await shown.see("listening on")
    hostile.write_log("x" * 10_000_000 + "".join(SEQUENCES) + "\n[INFO] after it\n")
    await shown.see("[INFO] after it")
    for key in ("k", "w", "w", "\x1b[C", "y"):
        shown.press(key)
        await harmless(shown)
    shown.press("\x1b[DG")
    await shown.see("[INFO] after it")


async def test_a_sequence_that_never_ends(hostile: StandIn, shown: Terminal) -> None:
    shown.press("2")
    await shown.see("listening on")
    for opener in ("\x1b]0;owned", "\x1bPq", "\x9b1;1", "\x1b["):
        hostile.write_log(opener)
        await asyncio.sleep(0.1)
    hostile.write_log("\n[INFO] after it\n")
    await shown.see("[INFO] after it")
    await harmless(shown)
