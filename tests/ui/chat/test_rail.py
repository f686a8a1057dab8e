"""Beside a zoomed chat: the conversations, what is sent with every prompt, the context by part."""

import time
from pathlib import Path

import pytest

from aitui.domain.chat.conversation import Attachment
from aitui.domain.snapshot import Clock, Server
from stand_in import StandIn
from ui.chat.pane import FAST, Pane, chatting

CAT, DOG = (Attachment(name, "image/png", f"data:{name}") for name in ("cat.png", "dog.png"))


async def zoom(pane: Pane) -> None:
    """Zoom the chat, and wait for its rail."""
    pane.widget.prompt.focus()
    await pane.app.press("f2")
    await pane.app.until(lambda: pane.widget.has_rail, "beside a rail")


@pytest.mark.parametrize(("size", "has_rail"), [((120, 36), True), ((100, 36), False)])
async def test_a_rail_shows_what_is_sent_instead_of_the_lines_above_the_prompt(
    size: tuple[int, int], has_rail: bool, stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, size=size) as pane:
        await pane.send("/system Be brief.")
        await pane.app.see("with  Be brief.")
        pane.widget.attachments = (CAT, DOG)
        await pane.app.press("f2")
        if not has_rail:
            await pane.app.until(lambda: pane.widget.outer_size.width == 100, "zoomed")
            await pane.app.see("with  Be brief.", "▣ cat.png ×")
            assert "Sent with every prompt" not in pane.app.text
            return
        await pane.app.see("Sent with every prompt", "system  Be brief.", "files   ▣ cat.png ×")
        await pane.app.unsee("with  Be brief.")
        await pane.app.settle()
        await pane.app.click("▣ cat.png")
        await pane.app.unsee("cat.png")
        assert pane.app.controllers.chat.pane.attachments == (DOG,)
        await pane.app.press("f2")
        await pane.app.see("with  Be brief.", "▣ dog.png")


async def test_what_was_set_beside_the_rail_stands_above_the_prompt_without_it(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, size=(120, 36)) as pane:
        await zoom(pane)
        await pane.send("/system Be brief.")
        await pane.app.see("system  Be brief.")
        await pane.app.press("f2")
        await pane.app.see("with  Be brief.")


async def test_a_screen_that_grows_shows_what_is_sent_with_every_prompt(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, size=(80, 12)) as pane:
        await pane.send("/system Be brief.")
        await pane.app.until(lambda: pane.widget.sent.facts.system, "set")
        await pane.app.settle()
        assert "Be brief." not in pane.app.text
        await pane.app.pilot.resize_terminal(80, 24)
        await pane.app.see("with  Be brief.")


async def test_a_rail_splits_the_context_as_the_server_counts_it(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, size=(120, 36)) as pane:
        await zoom(pane)
        await pane.app.see("not known before the first reply", "nothing but the prompt")
        answer = await pane.ask("hi")
        used = answer.context_used
        assert used is not None
        await pane.app.see(f"{used} / 8k · {used * 100 // 8192} %", "free")
        assert pane.app.line_of("last reply").split("│")[-2].split()[-1] == "40"
        assert pane.app.line_of("█ conversation").split("│")[-2].split()[-1] == str(used - 40)


async def test_a_click_in_the_rail_opens_another_conversation(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, FAST, size=(120, 36)) as pane:
        await pane.ask("about cats")
        await pane.send("/clear")
        await pane.app.until(lambda: not pane.said, "new")
        await zoom(pane)
        await pane.ask("about dogs")
        await pane.app.see("Conversations 2", "^o all")
        await pane.app.click("about cats")
        await pane.app.until(lambda: pane.said[:1] == ["about cats"], "opened")


async def test_a_rail_follows_what_the_list_renames_and_deletes(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, FAST, size=(120, 36)) as pane:
        await pane.ask("about cats")
        await pane.send("/clear")
        await pane.app.until(lambda: not pane.said, "new")
        await zoom(pane)
        await pane.ask("about dogs")
        await pane.app.see("Conversations 2")
        await pane.send("/rename Puppies")
        await pane.app.until(lambda: "Puppies" in headings(pane), "renamed")
        await pane.app.press("ctrl+o", *"cats", "tab", "delete")
        await pane.app.see("Delete this conversation?", "about cats")
        await pane.app.answer("y")
        await pane.app.until(lambda: headings(pane) == ["Puppies"], "deleted")
        await pane.app.press("escape", "escape")
        assert "2 h" not in pane.app.text
        pane.widget.rail._clock = Clock(time.monotonic, lambda: time.time() + 7200)
        await pane.app.see("2 h")


def headings(pane: Pane) -> list[str]:
    """The conversations that the rail has."""
    return [one.heading for one in pane.widget.rail.conversations]
