"""A prompt that is sent while a reply streams waits for its end, and is never lost."""

from pathlib import Path

import pytest

from aitui.domain.chat.conversation import Attachment
from aitui.domain.snapshot import Server
from stand_in import StandIn
from ui.chat.pane import DIES, ENDLESS, FAST, UNHURRIED, Pane, chatting

IMAGE = Attachment("cat.png", "image/png", "data:image/png;base64,AA==")


def prompts(pane: Pane) -> list[str]:
    """What the user said in the conversation that is shown."""
    return pane.said[::2]


async def queue(pane: Pane, *texts: str) -> None:
    """Have a reply under way, and these prompts behind it."""
    await pane.send("go on")
    await pane.streams()
    for text in texts:
        await pane.send(text)
    await pane.app.until(lambda: len(pane.widget.queued) == len(texts), "queued")


def send_at_once(pane: Pane, *texts: str) -> None:
    """Send prompts before the reply to the first one can begin, or end."""
    for text in texts:
        pane.widget.prompt.set_text(text)
        pane.widget.prompt.action_send()


async def test_queued_prompts_are_sent_one_after_the_other_when_the_reply_has_ended(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, UNHURRIED) as pane:
        send_at_once(pane, "go on", "and this?", "and that?")
        await pane.app.until(lambda: len(pane.bodies) == 3, "sent")
        await pane.ended()
        assert prompts(pane) == ["go on", "and this?", "and that?"]
        assert [len(messages) for messages in pane.asked] == [1, 3, 5]
        await pane.app.unsee("queued")


async def test_a_key_and_a_click_take_a_queued_prompt_back_with_its_images(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, ENDLESS) as pane:
        await pane.send("go on")
        await pane.streams()
        pane.widget.attachments = (IMAGE,)
        await pane.send("what is this?")
        await pane.send("and that?")
        await pane.app.see("2 queued", "▣ what is this?", "The next prompt waits", "⏎ queue")
        assert pane.widget.sent.facts.images == ()
        await pane.app.click("↑ take back")
        await pane.app.until(lambda: pane.written == "and that?", "taken back")
        await pane.app.click("what is this?")
        await pane.app.until(lambda: not pane.widget.queued, "taken back")
        assert pane.written == "what is this?\nand that?"
        assert pane.widget.attachments == (IMAGE,)
        assert pane.chat.busy
        assert len(pane.bodies) == 1


async def test_a_reply_that_is_stopped_holds_the_queue_until_it_is_sent(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, ENDLESS) as pane:
        await queue(pane, "and this?")
        await pane.app.press("ctrl+c")
        await pane.app.told("so the queued prompt is not sent")
        await pane.ended()
        await pane.send("/set max_tokens 20")
        await pane.app.told("max_tokens 20")
        await pane.app.see("queued", "and this?", "⏎ send queued")
        assert len(pane.bodies) == 1
        await pane.app.press("enter")
        await pane.app.until(lambda: len(pane.bodies) == 2, "sent")
        await pane.ended()
        assert prompts(pane) == ["go on", "and this?"]


async def test_a_reply_that_is_cut_holds_the_queue(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, DIES) as pane:
        send_at_once(pane, "hi", "and this?")
        await pane.app.told("so the queued prompt is not sent")
        assert pane.widget.queued == ("and this?",)
        assert len(pane.bodies) == 1


@pytest.mark.parametrize("written", ["", "a draft"])
async def test_a_queue_goes_on_out_of_sight_and_comes_back_with_its_chat(
    written: str, stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, ENDLESS, size=(120, 36)) as pane:
        await queue(pane, "and this?")
        pane.widget.prompt.set_text(written)
        await pane.open(FAST)
        await pane.app.unsee("queued")
        assert pane.written == ""
        await pane.open(ENDLESS)
        await pane.app.see("queued", "and this?")
        assert pane.written == written


async def test_what_is_queued_when_aitui_ends_is_a_draft(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, ENDLESS) as pane:
        await queue(pane, "and this?", "and that?")
        conversation = pane.chat.conversation.id
        pane.widget.prompt.set_text("a draft")
        await pane.app.settle()
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.app.controllers.chat.resume(conversation)
        await pane.app.until(lambda: bool(pane.written), "draft")
        assert pane.written == "and this?\n\nand that?\n\na draft"
