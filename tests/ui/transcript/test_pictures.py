"""How a conversation looks at the two sizes that the screens are made for."""

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from aitui.ui.transcript.conversation import CompletedTurn
from aitui.ui.widgets.transcript import Transcript
from ui.transcript.documents import MIXED
from ui.transcript.shown import Chat, is_settled

TURNS = [
    CompletedTurn("1", "user", "Why is the sky blue?\nPlease be brief."),
    CompletedTurn(
        "2", "assistant", MIXED, "Qwen_Qwen3.6-35B-A3B-Q8_0", "Hm.", 2.1, "48.3 tok/s · stop"
    ),
]


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (80, 64)])
def test_a_conversation(snap_compare: Callable[..., bool], size: tuple[int, int]) -> None:
    async def show(pilot: Pilot[Any]) -> None:
        transcript = pilot.app.query_one(Transcript)
        transcript.focus()
        transcript.replace(TURNS)
        while not is_settled(transcript):
            await pilot.pause(0.01)
        await pilot.press("K", "K", "g")
        await pilot.pause()

    assert snap_compare(Chat(), terminal_size=size, run_before=show)
