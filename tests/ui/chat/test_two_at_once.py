"""Two aitui of one user on one history."""

from pathlib import Path

from aitui.domain.snapshot import Server
from aitui.ui.controllers.chat import ChatController
from stand_in import StandIn
from ui.chat.pane import Pane, chatting


def chats_of(pane: Pane) -> ChatController:
    return pane.app.controllers.chat


async def test_the_same_conversation_opened_twice_forks(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with (
        chatting(stand_in, server, tmp_path) as one,
        chatting(stand_in, server, tmp_path) as other,
    ):
        await one.ask("in common")
        original = one.chat.conversation.id
        await chats_of(other).resume(original)
        await other.app.told("this is a copy")
        await other.ask("over there")
        await one.ask("over here")
        assert other.chat.conversation.forked_from == original
        assert (one.said[::2], other.said[::2]) == (
            ["in common", "over here"],
            ["in common", "over there"],
        )
        history = chats_of(other).history
        assert history is not None
        assert len(await history.conversations()) == 2
        kept = await history.read(original)
        assert [turn.text for turn in kept.path][::2] == ["in common", "over here"]
