"""Writing: lines, pastes, earlier prompts, drafts, completion, help."""

import os
import stat
import tempfile
from contextlib import nullcontext
from pathlib import Path

import pytest
from textual import events

from aitui.domain.snapshot import Server
from aitui.ui.controllers import chat as chat_controller
from aitui.ui.screens.help import HelpScreen
from stand_in import StandIn
from ui.chat.pane import ENDLESS, FAST, Pane, chatting

LONG_PASTE = "".join(f"line {number} of what was pasted\n" for number in range(3000))


async def test_a_new_line_is_written_and_sent_with_the_rest(pane: Pane) -> None:
    await pane.app.press(*"a", "ctrl+j", *"b", "enter")
    await pane.ended()
    assert pane.said[0] == "a\nb"


async def test_the_prompt_grows_with_its_lines(pane: Pane) -> None:
    pane.widget.prompt.set_text("\n".join("abc"))
    await pane.app.until(lambda: pane.widget.prompt.size.height == 3, "three lines high")
    pane.widget.prompt.set_text("x" * 1000 + "\n" * 20)
    await pane.app.until(lambda: pane.widget.prompt.size.height == 8, "at its highest")


@pytest.mark.parametrize(("columns", "lines"), [(60, 3), (92, 2)])
async def test_a_prompt_is_whole_at_another_width(pane: Pane, columns: int, lines: int) -> None:
    words = " ".join(f"word{number}" for number in range(19))
    prompt = pane.widget.prompt
    prompt.set_text(words)
    await pane.app.until(lambda: prompt.size.height == 2, "two lines high")
    await pane.app.press("f2")
    await pane.app.pilot.resize_terminal(columns, 30)
    await pane.app.until(lambda: prompt.size.height == lines, "as high as its lines")
    await pane.app.settle()
    shown = [strip.crop(*prompt.region.column_span).text for strip in pane.app.strips]
    own = shown[prompt.region.y : prompt.region.bottom]
    assert " ".join(" ".join(own).split()) == words


async def test_a_long_paste_stays_whole(pane: Pane) -> None:
    pane.app.app.post_message(events.Paste(LONG_PASTE))
    await pane.app.until(lambda: pane.written == LONG_PASTE, "pasted")
    await pane.app.press("enter")
    await pane.app.until(lambda: pane.asked, "asked")
    assert pane.asked[0][0]["content"] == LONG_PASTE


async def test_nothing_is_not_sent(pane: Pane) -> None:
    await pane.app.press("enter", "space", "enter")
    await pane.app.settle()
    assert pane.asked == []


async def test_up_and_down_walk_earlier_prompts_and_keep_the_draft(pane: Pane) -> None:
    for text in ("one", "two"):
        await pane.ask(text)
    await pane.app.press(*"dra", "up")
    assert pane.written == "two"
    await pane.app.press("up", "up")
    assert pane.written == "one"
    await pane.app.press("down", "down")
    assert pane.written == "dra"


async def test_control_u_clears_the_whole_prompt_and_brings_it_back(pane: Pane) -> None:
    pane.widget.prompt.set_text("one\ntwo")
    await pane.app.press("ctrl+u")
    assert pane.written == ""
    await pane.send("/set seed 7")
    await pane.app.told("seed 7")
    await pane.app.press("ctrl+u")
    assert pane.written == "one\ntwo"


async def test_a_question_that_is_cleared_and_brought_back_is_still_edited(pane: Pane) -> None:
    await pane.ask("one")
    await pane.send("/edit")
    await pane.app.until(lambda: pane.written == "one", "to be edited")
    await pane.app.press("ctrl+u")
    await pane.app.until(lambda: not pane.app.controllers.chat.editing, "dropped")
    await pane.app.press("ctrl+u")
    await pane.app.until(lambda: pane.app.controllers.chat.editing, "edited again")
    await pane.app.press("!", "enter")
    await pane.app.until(lambda: len(pane.asked) == 2, "asked")
    assert [message["content"] for message in pane.asked[1]] == ["one!"]


async def test_up_moves_within_a_prompt_first(pane: Pane) -> None:
    await pane.ask("one")
    await pane.app.press(*"ab", "ctrl+j", *"cd", "up", *"x")
    assert pane.written == "abx\ncd"


async def test_up_moves_within_a_line_that_is_wrapped_first(pane: Pane) -> None:
    await pane.ask("one")
    pane.widget.prompt.set_text("word " * 40)
    await pane.app.press("up")
    assert pane.written == "word " * 40


async def test_commands_are_among_the_earlier_prompts(pane: Pane) -> None:
    await pane.send("/set seed 7")
    await pane.app.told("seed 7")
    await pane.app.press("up")
    assert pane.written == "/set seed 7"


async def test_every_conversation_has_its_own_draft(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, size=(120, 36)) as pane:
        pane.widget.prompt.set_text("for the fast one")
        await pane.open(ENDLESS)
        assert pane.written == ""
        await pane.open(FAST)
        assert pane.written == "for the fast one"


@pytest.mark.parametrize(
    ("begun", "completed"),
    [("/sta", "/status"), ("/unl", "/unload "), ("/load fast", f"/load {FAST}")],
)
async def test_tab_completes_commands_and_ids(pane: Pane, begun: str, completed: str) -> None:
    pane.widget.prompt.set_text(begun)
    await pane.app.press("tab")
    assert pane.written == completed


async def test_tab_finds_an_id_by_its_middle(pane: Pane) -> None:
    pane.widget.prompt.set_text("/model 30b")
    await pane.app.press("tab")
    assert pane.written == f"/model {ENDLESS}"


async def test_the_list_of_commands_filters_as_one_types_and_inserts(pane: Pane) -> None:
    listed = pane.widget.commands
    await pane.app.press(*"/re")
    await pane.app.see("/retry", "/rename TITLE", "⏎ run /retry")
    assert listed.region.bottom <= pane.widget.status.region.y
    await pane.app.press("down", "up", "down")
    chosen = listed.suggestion
    assert chosen is not None
    await pane.app.press("tab")
    assert pane.written == chosen.text
    await pane.app.press("ctrl+u", *"/sta", "escape")
    await pane.app.until(lambda: not listed.display, "closed")
    assert (pane.written, pane.app.models.focused) == ("/sta", pane.widget.prompt)


async def test_enter_runs_the_selected_command_once_it_is_listed(pane: Pane) -> None:
    await pane.app.press(*"/stat")
    await pane.app.see("⏎ run /status")
    await pane.app.press("enter")
    await pane.app.see("of 8 models")


async def test_a_command_typed_ahead_is_sent_as_it_is_typed(pane: Pane) -> None:
    pane.app.burst("slash", *"set seed 7", "enter")
    await pane.app.told("seed 7")


async def test_tab_says_where_nothing_completes(pane: Pane) -> None:
    pane.widget.prompt.set_text("/load nothing-like-it")
    await pane.app.press("tab")
    await pane.app.told("No completion")


async def test_tab_goes_on_elsewhere_in_a_text(pane: Pane) -> None:
    await pane.app.press(*"text", "tab")
    await pane.app.until(lambda: pane.app.models.focused is not pane.widget.prompt, "left")
    assert pane.written == "text"


async def test_a_question_mark_is_written(pane: Pane) -> None:
    await pane.app.press("question_mark")
    assert pane.written == "?"


async def test_help_tells_the_keys_of_the_prompt_first(pane: Pane) -> None:
    await pane.app.press("f1")
    await pane.app.until(lambda: isinstance(pane.app.app.screen, HelpScreen), "help")
    await pane.app.see("send", "new line", "write in $EDITOR", "leave the prompt")
    assert "unload" not in pane.app.text


@pytest.fixture
def editor(pane: Pane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor that adds a few words at the end."""
    path = tmp_path / "editor"
    path.write_text('#!/bin/sh\nprintf " and so on\\n" >> "$1"\n')
    path.chmod(stat.S_IRWXU)
    monkeypatch.setitem(os.environ, "VISUAL", str(path))
    monkeypatch.setattr(pane.app.app, "suspend", nullcontext)


@pytest.mark.usefixtures("editor")
async def test_the_editor_gets_the_prompt_and_gives_it_back(pane: Pane) -> None:
    pane.widget.prompt.set_text("once upon a time")
    await pane.app.press("ctrl+e")
    await pane.app.until(lambda: pane.written == "once upon a time and so on", "edited")


@pytest.mark.usefixtures("editor")
async def test_a_long_text_from_the_editor_is_attached(
    pane: Pane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_controller, "LONGEST_IN_PROMPT", 20)
    pane.widget.prompt.set_text("once upon a time")
    await pane.app.press("ctrl+e")
    await pane.app.told("26 characters are attached to the next prompt: prompt.md")
    (attached,) = pane.widget.attachments
    assert (attached.url, pane.written) == ("once upon a time and so on", "")


async def test_an_editor_that_is_missing_leaves_the_prompt_alone(
    pane: Pane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "VISUAL", "/nonexistent/editor")
    pane.widget.prompt.set_text("once upon a time")
    await pane.app.press("ctrl+e")
    await pane.app.told("The editor /nonexistent/editor can't be started.")
    assert pane.written == "once upon a time"


async def test_no_room_for_the_editor_s_file_leaves_the_prompt_alone(
    pane: Pane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "VISUAL", "true")
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    pane.widget.prompt.set_text("once upon a time")
    await pane.app.press("ctrl+e")
    await pane.app.told("No such file or directory")
    assert pane.written == "once upon a time"


async def test_without_a_terminal_there_is_no_editor(
    pane: Pane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "VISUAL", "true")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = sorted(tmp_path.iterdir())
    pane.widget.prompt.set_text("once upon a time")
    await pane.app.press("ctrl+e")
    await pane.app.told("It needs a terminal")
    assert pane.written == "once upon a time"
    assert sorted(tmp_path.iterdir()) == before


# --- the text above


async def test_y_copies_the_block_under_the_cursor(pane: Pane) -> None:
    await pane.ask("hi")
    await pane.app.press("escape", "K", "y")
    await pane.app.told("Copied")


async def test_t_opens_the_reasoning(pane: Pane) -> None:
    await pane.ask("hi")
    await pane.app.press("escape")
    assert "The user wants" not in pane.app.text
    await pane.app.press("t")
    await pane.app.see("The user wants an answer")
    await pane.app.press("i", "ctrl+t")
    await pane.app.unsee("The user wants an answer")
    assert pane.app.models.focused is pane.widget.prompt


async def test_the_slash_of_the_footer_lists_the_commands(pane: Pane) -> None:
    await pane.app.click("/ commands  ^j")
    await pane.app.see("Commands 28 of 28")
    assert "/ commands" not in pane.app.text


async def test_the_key_that_stops_is_named_only_while_something_can_be_stopped(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, ENDLESS) as pane:
        assert "^c stop" not in pane.app.text
        await pane.send("go on")
        await pane.app.see("^c stop")
        await pane.app.press("ctrl+c")
        await pane.app.unsee("^c stop")


async def test_the_mouse_can_press_the_keys_of_the_last_line(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, ENDLESS) as pane:
        await pane.send("go on")
        await pane.streams()
        await pane.app.click("^c stop")
        await pane.ended()
        assert pane.said[0] == "go on"


async def test_f2_zooms_the_chat_while_typing_and_esc_leaves_the_prompt_first(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, size=(120, 36)) as pane:
        app = pane.app
        await app.press("z", "f2")
        await app.until(lambda: not app.table.region, "zoomed")
        assert pane.written == "z"
        await app.press("escape", "escape")
        await app.until(lambda: app.table.has_focus, "left")
        assert pane.widget.display is False


async def test_the_transcript_scrolls_and_follows_while_the_prompt_has_the_focus(
    pane: Pane,
) -> None:
    transcript = pane.widget.transcript
    transcript.add_note("Long", "\n\n".join(f"paragraph {number}" for number in range(40)))
    await pane.app.see("paragraph 39")
    await pane.app.press("pageup")
    await pane.app.until(lambda: not transcript.following, "scrolled")
    await pane.app.press(*"abc", "home", "end")
    assert not transcript.following
    await pane.app.press("end")
    await pane.app.until(lambda: transcript.following, "followed")
    assert pane.written == "abc"
