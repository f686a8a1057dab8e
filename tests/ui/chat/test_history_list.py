"""Earlier conversations: found, gone on with, deleted."""

import re
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
from rich.cells import cell_len
from textual.widgets import OptionList

from aitui.domain.chat.conversation import Conversation, ListedConversation, Role, Turn
from aitui.domain.chat.reply import TokenUsage
from aitui.domain.snapshot import Server
from aitui.ui.plain import PlainText
from aitui.ui.screens.history import ConversationSource, HistoryScreen
from stand_in import StandIn
from ui.chat.pane import FAST, OTHER, Pane, chatting
from ui.driven import driven
from ui.hand_made import SERVER, STILL, live, show_instead_of_servers


async def test_a_conversation_is_found_and_gone_on_with_after_a_restart(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.ask("Why is the sky blue?")
    async with chatting(stand_in, server, tmp_path) as pane:
        assert pane.said == []
        await pane.send("/history blue")
        await pane.app.until(lambda: isinstance(pane.app.app.screen, HistoryScreen), "open")
        await pane.app.see("Why is the sky blue?")
        await pane.app.press("enter")
        await pane.app.until(lambda: pane.app.controllers.chat.chat and pane.said, "resumed")
        await pane.app.see("stand-in: no weights were loaded")
        await pane.ask("And at night?")
        assert len(pane.asked[-1]) == 3


@pytest.mark.parametrize("keys", [("down", "enter"), ("enter",), ("tab", "enter")])
async def test_the_first_that_has_the_words_is_opened(pane: Pane, keys: tuple[str, ...]) -> None:
    await pane.ask("about apples")
    apples = pane.chat.conversation.id
    await pane.send("/clear")
    await pane.app.until(lambda: pane.said == [], "new")
    await pane.ask("about pears")
    await pane.send("/history")
    await pane.app.until(lambda: "about apples" in history_text(pane), "listed")
    await pane.app.press(*"apples")
    await pane.app.until(lambda: "about pears" not in history_text(pane), "found")
    await pane.app.press(*keys)
    await pane.app.until(lambda: pane.chat.conversation.id == apples, "opened")


async def test_nothing_is_opened_of_what_other_words_have(pane: Pane) -> None:
    await pane.ask("about apples")
    await pane.app.press("ctrl+o")
    await pane.app.until(lambda: "about apples" in history_text(pane), "listed")
    screen = pane.app.app.screen
    assert isinstance(screen, HistoryScreen)
    screen._entry.value = "pears"
    screen._open_first()
    screen.show_found("", {})
    await pane.app.see("No conversation contains “pears”")
    await pane.app.press("down", "enter")
    await pane.app.settle()
    assert history_open(pane)


async def test_history_without_words_lists_all_and_finds_as_one_types(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.ask("about apples")
        await pane.send("/clear")
        await pane.app.until(lambda: pane.said == [], "new")
        await pane.ask("about pears")
        await pane.send("/history")
        await pane.app.see("about apples", "about pears")
        await pane.app.press(*"pears")
        await pane.app.until(lambda: "about apples" not in history_text(pane), "found")
        assert "about pears" in history_text(pane)


async def test_the_open_conversation_is_shown_and_not_copied(pane: Pane) -> None:
    await pane.ask("about apples")
    before = pane.chat
    await pane.send("/history")
    await pane.app.until(lambda: "about apples" in history_text(pane), "listed")
    await pane.app.press("enter")
    await pane.app.until(lambda: not history_open(pane), "chosen")
    await pane.app.settle()
    assert pane.chat is before


async def test_a_conversation_is_deleted_from_the_history(pane: Pane) -> None:
    await pane.ask("about apples")
    await pane.send("/clear")
    await pane.app.until(lambda: pane.said == [], "new")
    await pane.send("/history")
    await pane.app.until(lambda: "about apples" in history_text(pane), "listed")
    await pane.app.press("down", "delete")
    await pane.app.see("Delete this conversation?", "about apples", "n Keep it")
    await pane.app.answer("y")
    await pane.app.see("No conversations yet")


async def test_a_conversation_stays_where_the_answer_is_the_safe_one(pane: Pane) -> None:
    await pane.ask("about apples")
    for keys in ("n", "enter"):
        await pane.send("/history")
        await pane.app.until(lambda: "about apples" in history_text(pane), "listed")
        await pane.app.press("down", "delete")
        await pane.app.answer(keys)
        await pane.app.until(lambda: "about apples" in history_text(pane), "listed still")
        await pane.app.press("escape")
        await pane.app.until(lambda: not history_open(pane), "closed")
    assert pane.said[0] == "about apples"


async def test_what_moves_elsewhere_deletes_no_conversation(pane: Pane) -> None:
    await pane.ask("about apples")
    await pane.send("/history")
    await pane.app.until(lambda: "about apples" in history_text(pane), "listed")
    await pane.app.press("down", "ctrl+d", "ctrl+u")
    await pane.app.settle()
    assert history_open(pane)
    assert "about apples" in history_text(pane)


async def test_deleting_the_open_conversation_begins_a_new_one(pane: Pane) -> None:
    await pane.ask("about apples")
    await pane.send("/history")
    await pane.app.until(lambda: "about apples" in history_text(pane), "listed")
    await pane.app.press("down", "delete")
    await pane.app.answer("y")
    await pane.app.see("No conversations yet")
    await pane.app.press("escape")
    await pane.app.until(lambda: pane.said == [], "new")
    await pane.ask("about pears")
    assert len(pane.asked[-1]) == 1


async def test_a_conversation_is_renamed_in_its_row(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path) as pane:
        for topic in ("apples", "pears"):
            await pane.ask(f"about {topic}")
            await pane.send("/clear")
            await pane.app.until(lambda: pane.said == [], "new")
        await pane.app.press("escape", "h")
        await pane.app.until(lambda: "about apples" in history_text(pane), "listed")
        # The second row: one is in the database alone, the other one could be open.
        await pane.app.press("down", "e", *["backspace"] * 6, *"plums", "escape", "e")
        await pane.app.press(*["backspace"] * 6, *"cider", "enter")
        await pane.app.until(lambda: "about cider" in history_text(pane), "renamed")
        assert "plums" not in history_text(pane)
        await pane.app.press("slash", *"cider", "enter")
        await pane.app.until(lambda: pane.said[:1] == ["about apples"], "found by its title")
        assert pane.widget.heading == "about cider"
        await pane.app.press("ctrl+o")
        await pane.app.until(lambda: "about cider" in history_text(pane), "listed")
        await pane.app.press("down", "e", "home", *"All ", "enter")
        await pane.app.until(lambda: "All about cider" in history_text(pane), "renamed")
        assert pane.widget.heading == "All about cider"


async def test_the_list_has_title_model_length_and_age_and_is_sorted_by_each(
    pane: Pane, tmp_path: Path
) -> None:
    history = await pane.app.controllers.chat.open_history()
    assert history is not None
    now = time.time()
    for title, model, tokens, days in (("b", "m2", 70, 1), ("a", "m1", None, 3), ("c", "m3", 9, 2)):
        usage = None if tokens is None else TokenUsage(tokens - 1, 1)
        reply = Turn(f"{title}-1", "", Role.ASSISTANT, "said", usage=usage)
        at = now - days * 86400
        await history.save(
            Conversation(title, "s", model, title * 3, turns={"1": reply}, changed=at)
        )
    await pane.app.press("escape", "h", "tab")
    await pane.app.see("TITLE", "MODEL", "TURNS", "TOKENS", "AGE▴", "bbb", "m2", "70", "1 d")

    def titles() -> list[str]:
        return re.findall(r"aaa|bbb|ccc", history_text(pane))

    assert titles() == ["bbb", "ccc", "aaa"]
    for key, column, order in (
        ("s", "TITLE▴", "abc"),
        ("r", "TITLE▾", "cba"),
        ("s", "MODEL▴", "abc"),
        ("s", "TOKENS▾", "bca"),
        ("s", "AGE▴", "bca"),
    ):
        await pane.app.press(key)
        await pane.app.see(column)
        assert titles() == [letter * 3 for letter in order]
    assert pane.app.app.screen.query_one(OptionList).highlighted is not None


async def test_a_long_list_is_not_measured_again_for_each_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_instead_of_servers(monkeypatch, live())
    known = tuple(ListedConversation(str(at), f"number {at}", float(at)) for at in range(1000))
    measured = Mock(side_effect=cell_len)
    screen = HistoryScreen("", Mock(spec=ConversationSource), 0.0)
    async with driven(SERVER, tmp_path, size=(80, 24), clock=STILL) as app:
        await app.app.push_screen(screen)
        await app.settle()
        monkeypatch.setattr("aitui.ui.screens.history.cell_len", measured)
        screen.show_all(known)
        await app.see("number 999", "1,000")
    assert 0 < measured.call_count < 10 * len(known)


async def test_the_last_prompt_and_the_last_reply_are_below_the_list(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, size=(120, 36)) as pane:
        await pane.ask("about **apples**")
        await pane.send("/retry")
        await pane.app.until(lambda: len(pane.bodies) == 2, "asked again")
        await pane.ended()
        await pane.app.press("ctrl+o", "tab")
        await pane.app.see("about apples")
        preview = pane.app.app.screen.query_one("#preview", PlainText)
        who, prompt, model, reply = str(preview.content).split("\n")[:4]
        assert (who, prompt, model) == ("You", "about apples", FAST)
        assert reply.startswith("This answer comes from a stand-in")


async def test_an_empty_history_says_how_it_fills(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, "") as pane:
        await pane.app.press("h")
        await pane.app.see("No conversations yet", "Esc back")
        await pane.app.press("x", "escape")
        await pane.app.see("No conversations yet")
        await pane.app.press("escape")
        await pane.app.until(lambda: not history_open(pane), "closed")


async def test_the_list_is_usable_in_the_smallest_terminal(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, size=(40, 10)) as pane:
        for number in range(4):
            await pane.ask(f"number {number}")
            await pane.send("/clear")
            await pane.app.until(lambda: pane.said == [], "new")
        await pane.app.press("ctrl+o")
        await pane.app.see("number 3", "TITLE")
        await pane.app.press("tab", "G")
        await pane.app.see("number 0")
        await pane.app.press("enter")
        await pane.app.until(lambda: pane.said[:1] == ["number 0"], "opened")


async def test_the_palette_finds_the_list_and_each_conversation(pane: Pane) -> None:
    await pane.ask("about apples")
    await pane.send("/clear")
    await pane.app.until(lambda: pane.said == [], "new")
    await pane.app.press("ctrl+p", *"apples")
    await pane.app.see("conversation about apples", "now")
    await pane.app.press("enter")
    await pane.app.until(lambda: pane.said[:1] == ["about apples"], "opened")
    await pane.app.press("ctrl+p", *"hist")
    await pane.app.see("conversations: history")
    await pane.app.press("enter")
    await pane.app.until(lambda: "about apples" in history_text(pane), "listed")


async def test_an_empty_chat_offers_the_last_conversation_with_its_model(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.ask("about \x1b[31mapples")
        await pane.ask("and pears")
    async with chatting(stand_in, server, tmp_path, OTHER) as pane:
        await pane.app.see("Start typing. / lists commands.")
        await pane.app.settle()
        assert "continues" not in pane.app.text
        await pane.open(FAST)
        await pane.app.see("^l continues · just now · about apples", "^l continue last")
        # It takes neither focus nor text: what is typed stays with the new conversation.
        await pane.app.press(*"why", "ctrl+l")
        await pane.app.until(lambda: pane.said[2:3] == ["and pears"], "continued")
        assert pane.written == ""
        await pane.send("/clear")
        await pane.app.see("^l continues · just now · about apples")
        await pane.app.press("ctrl+o")
        await pane.app.until(lambda: "about apples" in history_text(pane), "listed")
        await pane.app.press("tab", "e", "end", *" pie", "enter", "escape")
        await pane.app.see("^l continues · just now · about apples pie")
        await pane.ask("something else")
        assert "^l" not in pane.app.text
        before = pane.chat
        await pane.app.press("ctrl+l")
        await pane.app.settle()
        assert pane.chat is before


async def test_leaving_the_history_changes_nothing(pane: Pane) -> None:
    await pane.ask("about apples")
    await pane.send("/history")
    await pane.app.until(lambda: history_open(pane), "open")
    await pane.app.press("escape")
    await pane.app.until(lambda: not history_open(pane), "closed")
    assert pane.said[0] == "about apples"


async def test_a_chat_without_a_history_is_saved_as_soon_as_it_can_be(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, "") as pane:
        data = pane.app.app._servers.paths.data
        data.parent.mkdir(parents=True, exist_ok=True)
        data.write_text("in the way")
        await pane.open(FAST)
        await pane.app.told("Conversations are not saved")
        await pane.ask("hi")
        assert pane.said[0] == "hi"
        assert " not saved ─" in pane.app.text
        data.unlink()
        await pane.ask("again")
        await pane.app.until(lambda: " not saved ─" not in pane.app.text, "saved")
        history = await pane.app.controllers.chat.open_history()
        assert history is not None
        kept = await history.read(pane.chat.conversation.id)
        assert [turn.text for turn in kept.path][::2] == ["hi", "again"]


def history_open(pane: Pane) -> bool:
    return isinstance(pane.app.app.screen, HistoryScreen)


def history_text(pane: Pane) -> str:
    """What the dialog shows, nothing before it is composed."""
    if not history_open(pane) or not pane.app.app.screen.is_mounted:
        return ""
    dialog = pane.app.app.screen.query_one("#list").region
    return "\n".join(strip.text for strip in pane.app.strips[dialog.y : dialog.bottom])
