"""The gauge counts against what one slot holds, as the model's own server says it."""

from pathlib import Path

import pytest

from aitui.domain.chat.conversation import SamplingParameters
from aitui.domain.snapshot import Server
from aitui.ui.theme import theme_color
from aitui.ui.widgets.chat_status import SentFacts
from stand_in import FixedResponse, StandIn
from ui.chat.pane import FAST, SHARED, Pane, chatting


def asked_for_slots(stand_in: StandIn) -> int:
    return sum(request.path.endswith("/slots") for request in stand_in.requests)


async def test_slots_that_share_the_context_have_all_of_it(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, SHARED) as pane:
        await pane.ask("hi")
        # By its command alone each of the four would have 2,048.
        await pane.app.see(f"{pane.answer.context_used} of 8k")


@pytest.mark.parametrize(
    "reply",
    [
        FixedResponse(501, b'{"error":{"code":501,"message":"Start it with `--slots`"}}'),
        FixedResponse(200, b"not JSON"),
        FixedResponse(200, b'[{"id":0,"n_ctx":-1}]'),
        FixedResponse(200, b"[]"),
    ],
)
async def test_a_server_that_does_not_tell_leaves_the_figures_of_its_command(
    reply: FixedResponse, stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    stand_in.fault(f"/upstream/{SHARED}/slots", reply)
    async with chatting(stand_in, server, tmp_path, SHARED) as pane:
        await pane.ask("hi")
        await pane.app.until(lambda: asked_for_slots(stand_in), "asked")
        await pane.app.see(f"{pane.answer.context_used} of 2k")
        assert not pane.app.said


async def test_a_model_is_asked_once_a_load_and_only_while_it_answers(pane: Pane) -> None:
    assert not asked_for_slots(pane.stand_in)
    await pane.ask("one")
    await pane.ask("two")
    assert asked_for_slots(pane.stand_in) == 1
    await pane.app.until_ready(FAST)
    await pane.app.controllers.chat.session.client.unload(FAST)
    await pane.app.until(lambda: not pane.app.models.snapshot.ready, "unloaded")
    assert asked_for_slots(pane.stand_in) == 1
    await pane.ask("three")
    assert asked_for_slots(pane.stand_in) == 2


@pytest.mark.parametrize(("used", "color"), [(79, "ready"), (80, "warning"), (95, "error")])
async def test_the_gauge_changes_its_color_near_the_end(pane: Pane, used: int, color: str) -> None:
    # The next snapshot would bring the facts of the conversation back.
    pane.app.controllers.chat.show_settings = lambda: None  # type: ignore[method-assign]
    sent = pane.widget.sent
    sent.facts = SentFacts(
        system="Be terse.", sampling=SamplingParameters.of({"seed": 7}), used=used, context_size=100
    )
    await pane.app.see("with  Be terse.", " seed 7 ", f"{used} %", f"{used} of 100")
    bar = next(segment for segment in sent.render_line(1) if "━" in segment.text)
    assert bar.style is not None
    assert bar.style.color == theme_color(pane.app.app, color)
