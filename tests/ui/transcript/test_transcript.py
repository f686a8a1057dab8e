"""The transcript on a screen: follows, stays, reflows, folds, copies."""

import pytest
from rich.cells import get_character_cell_size
from textual.geometry import Offset
from textual.selection import Selection

from aitui.ui.transcript.conversation import CompletedTurn
from ui.transcript.documents import MIXED
from ui.transcript.shown import Shown, shown

PARAGRAPHS = "\n\n".join(f"Paragraph {number} with a few words." for number in range(100))


def rows_of(running: Shown) -> list[str]:
    """All rows of the transcript, in sight or not."""
    layout = running.transcript._layout
    rows = [layout.row(number) for number in range(layout.height)]
    return [row.text for row in rows if row is not None]


async def test_an_answer_in_small_deltas_ends_as_the_same_rows_as_one_that_comes_at_once() -> None:
    fence = "```c\n" + "".join(f"/* {n}\n   goes on */ int x{n};\n" for n in range(60)) + "```\n"
    document = MIXED + fence + MIXED
    async with shown((90, 30)) as whole, shown((90, 30)) as parts:
        await whole.answer(document)
        parts.transcript.begin_turn("1", "assistant", "model")
        for at in range(0, len(document), 11):
            parts.transcript.append("1", document[at : at + 11])
            if at % 5 == 0:
                parts.transcript._show()
        parts.transcript.finish("1")
        await parts.settle()
        one, other = whole.transcript._layout, parts.transcript._layout
        assert [laid.rows for laid in one.entries] == [laid.rows for laid in other.entries]
        assert whole.text == parts.text


async def test_text_that_comes_while_a_frame_is_drawn_leaves_no_timer() -> None:
    async with shown() as running:
        transcript = running.transcript
        transcript.begin_turn("1", "assistant", "model")
        for number in range(3):
            transcript._flush()
            transcript.append("1", f"paragraph {number}\n\n")
        transcript.finish("1")
        await running.settle()
        assert "paragraph 2" in running.text
        assert all(timer._interval < 1 for timer in transcript._timers)


async def test_a_comment_across_two_parts_of_a_fence_is_colored_whole_in_the_end() -> None:
    text = "```c\nint a;\n/*\n" + "inside\n" * 60 + "*/\nint b;\n```\n"
    async with shown() as running:
        await running.answer(text)
        rows = [row for laid in running.transcript._layout.entries for row in laid.rows or ()]
        inks = {ink.part for row in rows for run, ink in row.runs if run == "inside"}
        assert inks == {"code-comment"}


async def test_the_end_is_followed_until_somebody_scrolls_up() -> None:
    async with shown() as running:
        transcript = running.transcript
        await running.answer(PARAGRAPHS)
        assert "Paragraph 99" in running.text
        await running.pilot.press("pageup", "pageup")
        before = running.text
        assert not running.follows()
        transcript.begin_turn("2", "assistant", "model")
        transcript.append("2", "More\n\nand more")
        transcript.finish("2")
        await running.settle()
        assert running.lines[:-1] == before.split("\n")[:-1]
        assert "↓ 5 new lines · End follows" in running.lines[-1]
        await running.pilot.press("end")
        await running.settle()
        assert running.follows()
        assert "and more" in running.text
        assert "new lines" not in running.text


async def test_whoever_scrolls_back_to_the_end_follows_again() -> None:
    async with shown() as running:
        await running.answer(PARAGRAPHS)
        await running.pilot.press("k", "k")
        assert not running.follows()
        await running.pilot.press("j", "j")
        assert running.follows()


async def test_a_narrower_screen_breaks_lines_anew_and_keeps_the_place() -> None:
    long = "\n\n".join(f"Paragraph {n} " + "with more words than fit " * 6 for n in range(60))
    async with shown((120, 30)) as running:
        await running.answer(long)
        await running.pilot.press("g")
        await running.pilot.press(*["pagedown"] * 3)
        await running.settle()
        top = next(line for line in running.lines if "Paragraph" in line).split()[1]
        await running.pilot.resize_terminal(60, 30)
        await running.settle()
        assert top in "".join(running.lines[:8])
        assert max(len(line) for line in running.lines) <= 60
        async with shown((60, 30)) as other:
            await other.answer(long)
            assert rows_of(running) == rows_of(other)


async def test_the_end_stays_in_sight_when_the_screen_changes() -> None:
    async with shown((120, 30)) as running:
        await running.answer(PARAGRAPHS)
        for size in ((50, 10), (100, 40), (80, 24)):
            await running.pilot.resize_terminal(*size)
            await running.settle()
            assert "Paragraph 99" in running.text


async def test_every_line_has_exactly_the_width() -> None:
    for width in (40, 80, 120):
        async with shown((width, 60)) as running:
            await running.answer(MIXED + "👩\u200d💻 " * 40 + "e\u0301" * 200)
            transcript = running.transcript
            strips = [transcript.render_line(y) for y in range(transcript.size.height)]
            assert {strip.cell_length for strip in strips} == {transcript.size.width}


@pytest.mark.parametrize("joined", ["A\u200d", "क\u200d", "👩\u200d", "☃\ufe0f", "A\u200d\u200d"])
async def test_joiners_make_no_row_wider_than_a_terminal_draws_it(joined: str) -> None:
    run = joined * 400
    async with shown((60, 140)) as running:
        await running.answer(f"{run}\n\n```\n{run}\n```\n\n> {run}\n\n|a|b|\n|-|-|\n|{run}|x|\n")
        transcript = running.transcript
        for raw in (False, True):
            transcript.raw = raw
            await running.settle()
            for y in range(transcript.size.height):
                text = transcript.render_line(y).text
                assert sum(map(get_character_cell_size, text)) == transcript.size.width, text


async def test_reasoning_is_one_line_until_it_is_opened() -> None:
    async with shown() as running:
        transcript = running.transcript
        transcript.begin_turn("1", "assistant", "model")
        transcript.append("1", "First I think", "reasoning")
        transcript._show()
        await running.pilot.pause()
        assert "▸ reasoning" in running.text
        transcript.append("1", "Then I speak.")
        transcript.finish("1", "done")
        await running.settle()
        assert "▸ reasoning · 0.0 s" in running.text
        assert "First I think" not in running.text
        await running.pilot.press("t")
        await running.settle()
        assert "▾ reasoning · 0.0 s" in running.text
        assert "  First I think" in running.text
        await running.pilot.press("t")
        await running.settle()
        assert "First I think" not in running.text
        row = next(at for at, line in enumerate(running.lines) if "▸ reasoning" in line)
        await running.pilot.click(transcript, offset=(4, row))
        await running.settle()
        assert "  First I think" in running.text


async def test_a_prompt_is_shown_as_it_was_typed() -> None:
    async with shown() as running:
        running.transcript.begin_turn("1", "user")
        running.transcript.append("1", "# no heading\n\n    four  blanks\n**x**")
        running.transcript.finish("1")
        await running.settle()
        assert running.lines[:5] == [
            "▎ You",
            "▎ # no heading",
            "▎",
            "▎     four  blanks",
            "▎ **x**",
        ]


async def test_another_branch_takes_the_place_of_what_was_shown() -> None:
    turns = [
        CompletedTurn("a", "user", "Why?"),
        CompletedTurn("b", "assistant", PARAGRAPHS, "model", "Hm", 2.14, "stop"),
    ]
    async with shown() as running:
        await running.answer("old")
        running.transcript.replace(turns)
        await running.settle()
        assert "Paragraph 99" in running.text
        await running.pilot.press("g")
        assert "old" not in running.text
        assert "▸ reasoning · 2.1 s" in running.text
        running.transcript.append("b", "\n\nand on")
        running.transcript.finish("b")
        await running.settle()
        assert rows_of(running)[-1].endswith("and on")


async def test_blocks_are_moved_by_and_copied() -> None:
    fence = "```python\n" + "x = 1\n" * 60 + "```"
    text = f"First\n\n{fence}\n\n- one\n- two\n\nLast"
    async with shown() as running:
        await running.answer(text)
        await running.pilot.press("K", "y", "K", "K", "K", "y", "K", "y", "o", "Y", "ctrl+y")
        await running.settle()
        assert running.app.copied == [
            "Last",
            "\n".join(["x = 1"] * 60),
            "First",
            text,
            text,
        ]
        assert running.app.opened == ["First"]
        assert "▌ First" in running.lines


async def test_the_source_is_shown_on_a_key() -> None:
    async with shown((100, 60)) as running:
        await running.answer(MIXED)
        await running.pilot.press("v")
        await running.settle()
        assert "# Why the sky is blue" in running.text
        assert "|:-----|:----------:|-------:|" in running.text
        await running.pilot.press("v")
        await running.settle()
        assert "# Why" not in running.text


async def test_a_selection_is_copied_without_decoration_and_with_whole_lines() -> None:
    async with shown((40, 30)) as running:
        await running.answer(
            "A paragraph that is longer than one line here.\n\n> quoted\n\n```\ncode\n  more\n```"
        )
        selection = Selection(Offset(4, 1), None)
        copied = running.transcript.get_selection(selection)
        assert copied is not None
        assert copied[0] == (
            "paragraph that is longer than one line here.\n\nquoted\n\ncode\n  more"
        )


async def test_dragging_selects_what_is_under_the_mouse() -> None:
    async with shown() as running:
        await running.answer("One two three\n\nfour five six")
        await running.pilot.mouse_down(offset=Offset(6, 1))
        await running.pilot.hover(offset=Offset(5, 3))
        await running.pilot.mouse_up(offset=Offset(5, 3))
        await running.pilot.pause()
        assert running.app.screen.get_selected_text() == "two three\n\nfour"


async def test_hostile_text_is_text() -> None:
    hostile = (
        "[@click=app.quit]x[/] \x1b]0;owned\x07 \x9b31m \u202eevil [a](javascript:alert(1)) "
        "<script> [/nope] " + "z" * 1_000_000
    )
    async with shown() as running:
        await running.answer(hostile)
        await running.pilot.press("g")
        await running.settle()
        assert "[@click=app.quit]x[/] �]0;owned� �31m �evil [a](javascript:alert(1))" in " ".join(
            line.strip() for line in running.lines
        )
        strips = running.app.screen._compositor.render_strips()
        styles = [segment.style for strip in strips for segment in strip if segment.style]
        assert not any(style.link or "@click" in style.meta for style in styles)
        await running.pilot.click(offset=(4, 1))
        assert running.app.is_running


async def test_links_by_reference_show_the_target_that_is_defined_below_them() -> None:
    text = "See [the notes][1] and [2].\n\nMore.\n\n[1]: https://example.org/notes\n[2]: <https://b.org>"
    async with shown() as whole, shown() as parts:
        await whole.answer(text)
        assert [row for row in rows_of(whole)[1:] if row] == [
            "See the notes (https://example.org/notes) and 2 (https://b.org).",
            "More.",
        ]
        parts.transcript.begin_turn("1", "assistant", "model")
        for character in text:
            parts.transcript.append("1", character)
            parts.transcript._show()
        parts.transcript.finish("1")
        await parts.settle()
        assert rows_of(parts) == rows_of(whole)
        await parts.pilot.press("ctrl+y")
        await parts.settle()
        assert parts.app.copied == [text]


async def test_nothing_waits_after_the_end() -> None:
    async with shown() as running:
        transcript = running.transcript
        transcript.begin_turn("1", "assistant", "model")
        for word in ("last ", "words"):
            transcript.append("1", word)
        transcript.finish("1")
        assert rows_of(running)[-1] == "last words"


async def test_frames_are_left_out_while_the_terminal_takes_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    takes_more: list[bool] = []
    is_ready = "aitui.ui.widgets.transcript.is_terminal_ready"
    monkeypatch.setattr(is_ready, lambda _: bool(takes_more))
    async with shown() as running:
        transcript = running.transcript
        transcript.begin_turn("1", "assistant", "model")
        transcript.append("1", "waits")
        await running.pilot.pause(0.2)
        assert "waits" not in running.text
        takes_more.append(True)
        await running.pilot.pause(0.3)
        assert "waits" in running.text


async def test_memory_stays_below_a_kilobyte_a_token() -> None:
    import tracemalloc

    tokens = 5000
    words = [
        f"word{number % 97} " if number % 12 else "\n\n- **bold** " for number in range(tokens)
    ]
    async with shown((120, 36)) as running:
        tracemalloc.start()
        running.transcript.begin_turn("1", "assistant", "model")
        for at, word in enumerate(words):
            running.transcript.append("1", word)
            if at % 100 == 0:
                running.transcript._show()
        running.transcript.finish("1")
        grown = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert grown / tokens < 1024


async def test_the_time_of_a_turn_stands_beside_its_speaker_where_there_is_room() -> None:
    turn = CompletedTurn("1", "assistant", "Yes.", "Qwen3-Coder-30B", when="2026-11-29 12:41")
    for width, header in ((60, "Qwen3-Coder-30B  2026-11-29 12:41"), (36, "Qwen3-Coder-30B")):
        async with shown((width, 12)) as running:
            running.transcript.replace([turn])
            await running.settle()
            assert rows_of(running)[0] == header


FACTS = "1,204 tokens · 48.3 tok/s · 25 s · first token 0.41 s · prompt 812 tok/s"


async def test_a_footer_drops_whole_items_from_its_end() -> None:
    async with shown((60, 12)) as running:
        running.transcript.replace([CompletedTurn("1", "assistant", "Yes.", footer=FACTS)])
        await running.settle()
        assert rows_of(running)[-1] == "1,204 tokens · 48.3 tok/s · 25 s · first token 0.41 s"


async def test_a_sentence_in_a_footer_is_whole_and_has_the_facts_below_it() -> None:
    cut = "✘ cut: the model was unloaded, or its server restarted (/continue goes on)"
    async with shown((60, 12)) as running:
        running.transcript.replace(
            [CompletedTurn("1", "assistant", "Yes.", footer=f"{cut} · {FACTS}")]
        )
        await running.settle()
        rows = rows_of(running)
        assert " ".join(rows[-3:-1]) == cut
        assert rows[-1] == "1,204 tokens · 48.3 tok/s · 25 s · first token 0.41 s"


async def test_a_table_breaks_no_word_that_has_room() -> None:
    async with shown((46, 20)) as running:
        await running.answer(
            "| model | note |\n|---|---|\n"
            "| Qwen3-Coder-30B-A3B-Q6_K_XL | loads slowly, since it is split over two cards |\n"
        )
        assert "Qwen3-Coder-30B-A3B-Q6_K_XL │ loads" in running.text
