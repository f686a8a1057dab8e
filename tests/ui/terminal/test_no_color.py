"""With NO_COLOR no color is sent, and everything can still be told."""

import re
from pathlib import Path

from catalogue import OUT_OF_MEMORY, QUICK
from e2e.pseudo_terminal.terminal import Terminal, surroundings, terminal
from stand_in import StandIn

SGR = re.compile(rb"\x1b\[([\d;]*)m")
FLAGS = {b"", *(str(flag).encode() for flag in range(10))}


def colored(shown: Terminal) -> set[bytes]:
    """Every SGR that has more than flags, such as bold and reverse: grays are colors, too."""
    sent = {match[1] for match in SGR.finditer(bytes(shown.sent))}
    return {sgr for sgr in sent if not FLAGS.issuperset(sgr.split(b";"))}


def underlined(shown: Terminal) -> list[int]:
    """Rows that begin with underlined words."""
    return [
        row
        for row, line in enumerate(shown.screen.display)
        if any(shown.screen.buffer[row][at].underscore for at in range(len(line) // 8))
    ]


async def test_states_and_the_cursor_are_told_without_colors(
    plain: StandIn, tmp_path: Path
) -> None:
    environment = surroundings(tmp_path, NO_COLOR="1")
    async with plain.busy(QUICK), terminal(["--url", plain.url], environment) as shown:
        await shown.see(" ms ", f"● {QUICK}", "ready")
        row = next(number for number, line in enumerate(shown.screen.display) if line[1] == "▌")
        shown.press("j")
        await shown.until(lambda: shown.screen.display[row + 1][1] == "▌", "moved")
        assert shown.screen.display[row][1] != "▌"
        await shown.see("○", OUT_OF_MEMORY)
        assert not colored(shown)


async def test_dialogs_lists_and_finds_show_their_place_without_colors(
    plain: StandIn, tmp_path: Path
) -> None:
    environment = surroundings(tmp_path, NO_COLOR="1")
    async with plain.busy(QUICK), terminal(["--url", plain.url], environment) as shown:
        await shown.see(" ms ", f"● {QUICK}")
        shown.press("j")
        shown.press("l")
        await shown.see("▸ n Cancel")
        shown.press("\x1b[C")
        await shown.see("▸ y Load")
        shown.press("n")
        await shown.unsee("Cancel")
        shown.press("2")
        await shown.see("listening on")
        shown.press("/")
        await shown.see("find: words")
        shown.press("listening")
        await shown.see("1 of 1")
        row = shown.line_of("listening on")
        column = shown.screen.display[row].index("listening")
        await shown.until(lambda: shown.screen.buffer[row][column].reverse, "marked")
        shown.press("\r")
        await shown.see("/ find")
        shown.press(":")
        await shown.see("a conversation, a server, a theme")
        shown.press("\x1b[B")
        await shown.until(lambda: underlined(shown), "a place in the list")
        assert not colored(shown)


async def test_what_is_found_in_a_chat_is_told_without_colors(
    plain: StandIn, tmp_path: Path
) -> None:
    environment = surroundings(tmp_path, NO_COLOR="1")
    async with terminal(["--url", plain.url], environment) as shown:
        await shown.see(" ms ", QUICK)
        shown.press("\r")
        await shown.see("Ask ")
        shown.press("a needle\r")
        await shown.see("▎ a needle", "✓ done")
        shown.press("\x06needle")
        await shown.see("1 of ")
        row = shown.line_of("a needle")
        column = shown.screen.display[row].index("needle")
        await shown.until(lambda: shown.screen.buffer[row][column].reverse, "marked")
        assert not colored(shown)
