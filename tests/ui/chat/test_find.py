"""Words found in a conversation: counted, marked, gone to, also folded and while it grows."""

import re

from msgspec.structs import replace

from aitui.ui.transcript.conversation import CompletedTurn
from aitui.ui.transcript.layout import LaidOutPiece
from aitui.ui.transcript.rows import TranscriptRow
from aitui.ui.transcript.search import Match, find_in_rows
from ui.chat.pane import TALKATIVE, Pane
from ui.transcript.shown import Shown, shown

FILLER = "\n\n".join(f"paragraph {number}" for number in range(40))
TURNS = [
    CompletedTurn("1", "user", "where is the needle?"),
    CompletedTurn("2", "assistant", f"a **need**le\n\n{FILLER}", "m", "needle, and needle", 2.0),
    CompletedTurn("3", "assistant", f"{FILLER}\n\nthe Needle `needle`", "m"),
]


def look(running: Shown, words: str) -> None:
    running.transcript.search(re.compile(words, re.IGNORECASE), 0)


def position(running: Shown) -> str:
    return f"{running.transcript.match_number()} of {running.transcript.match_count}"


def test_what_a_row_ends_in_is_found_with_its_next_row() -> None:
    style = TranscriptRow((("│ ", None), ("look for words", None)), lead=2)  # type: ignore[arg-type]
    rows = (style, replace(style, glue=" "), replace(style, glue="\n"))
    found = find_in_rows(rows, re.compile("words look"))
    assert found == (((0, 11, 16), (1, 2, 6)),)


async def test_every_place_is_gone_to_in_its_order_and_folded_reasoning_opens() -> None:
    async with shown((60, 12)) as running:
        running.transcript.replace(TURNS)
        await running.settle()
        look(running, "needle")
        await running.settle()
        assert position(running) == "1 of 6"
        assert "2 found" in running.text
        assert "1 of 6" in running.lines[0]
        at = []
        for _ in range(6):
            running.transcript.search_next(1)
            await running.settle()
            at.append(position(running))
        assert at == [f"{number} of 6" for number in (2, 3, 4, 5, 6, 1)]
        assert "where is the needle?" in running.text
        running.transcript.search_next(-1)
        await running.settle()
        assert "the Needle needle" in running.text
        running.transcript.search(None, 0)
        await running.settle()
        assert " of 6" not in running.text


async def test_it_counts_what_comes_and_what_is_folded_while_it_comes() -> None:
    async with shown((60, 12)) as running:
        look(running, "needle")
        running.transcript.begin_turn("1", "assistant", "m")
        for kind, count in (("reasoning", 3), ("text", 4)):
            for _ in range(count):
                running.transcript.append("1", "a needle and\n\n", kind)
                running.transcript._show()
        assert running.transcript.match_count == 7
        looked: list[LaidOutPiece] = []
        search = running.transcript._search
        find = search._matches_of

        def find_and_count(laid: LaidOutPiece) -> tuple[Match, ...]:
            looked.append(laid)
            return find(laid)

        search._matches_of = find_and_count  # type: ignore[method-assign]
        running.transcript.replace(TURNS)
        await running.settle()
        assert running.transcript.match_count == 6
        looked.clear()
        running.transcript.begin_turn("4", "user")
        running.transcript.append("4", "one needle more")
        running.transcript.finish("4")
        assert running.transcript.match_count == 7
        # The new turn, and what is folded, of which each piece is known.
        assert len(looked) < 12


async def test_keys_find_and_leave_from_the_prompt_and_from_the_text(pane: Pane) -> None:
    await pane.ask("where is the needle?")
    await pane.app.press(*"draft", "ctrl+f", *"needl")
    await pane.app.see("1 of 1")
    await pane.app.press("escape")
    await pane.app.until(lambda: pane.widget.prompt.has_focus, "back in the prompt")
    assert pane.written == "draft"
    assert "1 of 1" not in pane.app.text
    # What is typed at once behind the key belongs to the words.
    await pane.app.press("escape")
    pane.app.burst("slash", *"stand-in")
    # What is in sight comes first, and what is folded is not unfolded while one types.
    await pane.app.see("2 of 2", "▸ reasoning", "1 found")
    await pane.app.press("enter", "n")
    await pane.app.see("1 of 2", "▾ reasoning", "n next")
    assert "new lines" not in pane.app.text
    await pane.app.press("N")
    await pane.app.see("2 of 2")
    await pane.app.press("escape")
    await pane.app.until(lambda: pane.widget.transcript.needle is None, "marks gone")
    assert pane.widget.transcript.has_focus
    await pane.app.press("escape")
    await pane.app.until(lambda: pane.app.table.has_focus, "chat left")


async def test_a_reply_that_streams_is_searched(pane: Pane) -> None:
    await pane.open(TALKATIVE)
    await pane.send("hi")
    await pane.begun()
    await pane.app.press("ctrl+f", *"weights")
    await pane.app.until(lambda: pane.widget.transcript.match_count > 2, "counted")
    await pane.app.press("escape", "ctrl+c")
    await pane.ended()
