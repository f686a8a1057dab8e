"""What was being written, and what was asked before, is there again after a restart."""

import asyncio
import threading
from pathlib import Path

from aitui.domain.snapshot import Server
from aitui.paths import Paths
from aitui.store.history import FILE_NAME
from stand_in import StandIn
from ui.chat.pane import FAST, OTHER, Pane, chatting


async def test_a_draft_in_a_new_conversation_comes_back_with_its_model(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path) as pane:
        pane.widget.prompt.set_text("half a\nquestion")
        await pane.app.settle()
    async with chatting(stand_in, server, tmp_path, OTHER) as pane:
        assert pane.written == ""
        await pane.open(FAST)
        await pane.app.until(lambda: pane.written == "half a\nquestion", "draft")


async def test_a_draft_comes_back_with_its_conversation(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.ask("first")
        conversation = pane.chat.conversation.id
        pane.widget.prompt.set_text("and then")
        await pane.app.settle()
    async with chatting(stand_in, server, tmp_path) as pane:
        assert pane.written == ""
        await pane.app.controllers.chat.resume(conversation)
        await pane.app.until(lambda: pane.written == "and then", "draft")


async def test_a_draft_is_kept_while_it_is_written(pane: Pane, tmp_path: Path) -> None:
    pane.widget.prompt.set_text("not sent")
    history = pane.app.controllers.chat.history
    assert history is not None
    conversation = pane.chat.conversation
    key = f"{conversation.server} {conversation.model}"
    kept = ""
    while kept != "not sent":
        await pane.app.settle()
        kept, _ = await history.draft(key)
    paths = Paths.below(tmp_path)
    assert (paths.data / FILE_NAME).stat().st_mode & 0o777 == 0o600


async def test_a_draft_is_kept_though_aitui_ends_while_it_is_saved(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path) as pane:
        app, workers = pane.app, pane.app.app.workers
        history = app.controllers.chat.history
        assert history is not None
        is_free = threading.Event()
        asyncio.get_running_loop().run_in_executor(history._thread, is_free.wait)
        try:
            pane.widget.prompt.set_text("not sent")
            await app.until(lambda: any(w.group == "save drafts" for w in workers), "saving")
            workers.cancel_all()
        finally:
            is_free.set()
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.app.until(lambda: pane.written == "not sent", "draft")


async def test_a_prompt_is_kept_though_aitui_ends_while_it_is_saved(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    asked = ["first", "second"]
    async with chatting(stand_in, server, tmp_path) as pane:
        workers, history = pane.app.app.workers, pane.app.controllers.chat.history
        assert history is not None
        is_free = threading.Event()
        asyncio.get_running_loop().run_in_executor(history._thread, is_free.wait)
        try:
            for prompt in asked:
                pane.app.controllers.chat.add_to_history(prompt)
            await pane.app.until(
                lambda: any(one.group == "save prompts" and one.is_running for one in workers),
                "saving",
            )
            workers.cancel_all()
        finally:
            is_free.set()
    async with chatting(stand_in, server, tmp_path) as pane:
        for prompt in reversed(asked):
            await pane.app.press("up")
            assert pane.written == prompt
        await pane.app.press("up")
        assert pane.written == asked[0]


async def test_what_was_sent_is_no_draft_any_more(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path) as pane:
        pane.widget.prompt.set_text("first")
        await pane.app.settle()
        await pane.ask("first")
    async with chatting(stand_in, server, tmp_path) as pane:
        assert pane.written == ""


async def test_an_edit_that_was_begun_is_still_one(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.ask("first")
        conversation = pane.chat.conversation.id
        await pane.send("/edit")
        await pane.app.until(lambda: pane.written == "first", "edit")
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.app.controllers.chat.resume(conversation)
        await pane.app.until(lambda: pane.written == "first", "edit")
        await pane.ask("second")
        assert pane.said[0] == "second"
        assert len(pane.chat.conversation.path) == 2


async def test_earlier_prompts_are_walked_after_a_restart(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.ask("first")
        await pane.send("/set temperature 0.5")
        await pane.app.told("temperature")
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.app.press("up")
        assert pane.written == "/set temperature 0.5"
        await pane.app.press("up")
        assert pane.written == "first"
        await pane.app.press("down", "down")
        assert pane.written == ""


async def test_a_draft_of_the_first_conversation_that_is_opened_has_all_its_lines(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path) as pane:
        await pane.ask("first")
        conversation = pane.chat.conversation.id
        pane.widget.prompt.set_text("and then\nand now\nand so")
        await pane.app.settle()
    async with chatting(stand_in, server, tmp_path, "") as pane:
        controllers = pane.app.controllers
        controllers.context.tasks.run_in_background(
            controllers.conversations.resume(conversation), "open conversation"
        )
        await pane.app.see("❯ and then")
        await pane.app.until(lambda: pane.widget.prompt.size.height == 3, "three lines")
        assert pane.widget.prompt.has_focus
