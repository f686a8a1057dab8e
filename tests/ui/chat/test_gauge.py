"""The gauge counts against what one slot holds, as the model's log says it."""

from pathlib import Path

import pytest

from aitui.domain.chat.conversation import SamplingParameters
from aitui.domain.snapshot import Server
from aitui.ui.theme import theme_color
from aitui.ui.widgets.chat_status import SentFacts
from stand_in import FixedResponse, StandIn
from ui.chat.pane import DIES, FAST, SHARED, Pane, chatting


def reads_of_log(stand_in: StandIn, model_id: str) -> int:
    return sum(request.path == f"/logs/stream/{model_id}" for request in stand_in.requests)


def asked_of_models(stand_in: StandIn) -> list[str]:
    return [one.path for one in stand_in.requests if one.path.startswith("/upstream")]


async def test_slots_that_share_the_context_have_all_of_it(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with chatting(stand_in, server, tmp_path, SHARED) as pane:
        await pane.ask("hi")
        # By its command alone each of the four would have 2,048.
        await pane.app.see(f"{pane.answer.context_used} of 8k")
        assert not asked_of_models(stand_in)


@pytest.mark.parametrize(
    "reply",
    [
        FixedResponse(404, b"no such log"),
        FixedResponse(200, b"not a log of llama-server\n", "text/plain"),
        FixedResponse(200, b"slot load_model: n_ctx_slot = -1\n", "text/plain"),
        FixedResponse(200, b"", "text/plain"),
    ],
)
async def test_a_log_that_does_not_say_leaves_the_figures_of_the_command(
    reply: FixedResponse, stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    stand_in.fault(f"/logs/stream/{SHARED}", reply)
    async with chatting(stand_in, server, tmp_path, SHARED) as pane:
        await pane.ask("hi")
        await pane.app.until(lambda: reads_of_log(stand_in, SHARED), "read")
        await pane.app.see(f"{pane.answer.context_used} of 2k")
        assert not pane.app.said
        assert not asked_of_models(stand_in)


async def test_the_size_is_read_once_a_load_and_no_model_is_asked_for_it(pane: Pane) -> None:
    def reads() -> int:
        return reads_of_log(pane.stand_in, FAST)

    assert not reads()
    await pane.ask("one")
    await pane.ask("two")
    await pane.app.until(lambda: reads() == 1, "read")
    await pane.app.until_ready(FAST)
    await pane.app.controllers.chat.session.client.unload(FAST)
    await pane.app.until(lambda: not pane.app.models.snapshot.ready, "unloaded")
    assert reads() == 1
    await pane.ask("three")
    await pane.app.until(lambda: reads() == 2, "read again")
    assert not asked_of_models(pane.stand_in)


async def test_a_model_that_dies_while_it_replies_is_not_loaded_again(pane: Pane) -> None:
    await pane.open(DIES)
    await pane.ask("hi")
    await pane.app.see("crashed")
    assert not asked_of_models(pane.stand_in)
    assert not pane.app.models.snapshot.ready


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
