"""How a conversation looks in each of its states: values made by hand, a clock that stands."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from aitui.domain.chat.conversation import Conversation, Role, Turn, TurnState
from aitui.domain.chat.reply import (
    GenerationTimings,
    GrowingText,
    PromptProgress,
    Reply,
    ReplyPhase,
    TokenRates,
    TokenUsage,
)
from aitui.domain.models import ContextSize, ContextSource, Model, RunState
from aitui.paths import Paths
from aitui.settings import Settings
from aitui.ui.app import AituiApp
from aitui.ui.context import AppContext
from aitui.ui.controllers.transcript_sync import TranscriptPresenter
from ui.driven import Driven, _no_demo
from ui.hand_made import NOW, SERVER, STILL, WALL, live, show_instead_of_servers
from ui.transcript.shown import is_settled

MODEL = "Qwen_Qwen3.6-35B-A3B-Q8_0"
SNAPSHOT = live(
    Model(
        MODEL,
        state=RunState.READY,
        since=NOW,
        context=ContextSize(262_144, ContextSource.RUNNING_COMMAND),
    ),
    Model("embed-small"),
)
QUESTION = "Why is the sky blue?\nPlease be brief."
THOUGHT = "They want physics, in one paragraph."
TEXT = (
    "Short waves **scatter more**: the intensity goes with λ⁻⁴.\n\n"
    "| colour | scattered |\n|---|---|\n| blue | 5.5 × |\n| red | 1 × |\n\n"
    "```python\ndef scattered(wavelength: float) -> float:\n    return wavelength**-4\n```\n"
)
RATES = TokenRates(812, 0.41, 48.3, (31.0, 40.0, 44.0, 47.5, 46.0, 48.3))
TIMINGS = GenerationTimings(1024, 2048, 4.2, 487.6, 812, 16.8, 48.3, 96, 71)
USAGE = TokenUsage(3072, 812, 1024)


def answer(phase: ReplyPhase, **more: Any) -> Reply:
    text, reasoning = more.pop("text", ""), more.pop("reasoning", "")
    return Reply(
        "a",
        MODEL,
        asked=NOW - 21.4,
        phase=phase,
        phase_since=NOW - 18.0,
        text=GrowingText(text).view(),
        reasoning=GrowingText(reasoning).view(),
        **more,
    )


ANSWERS = {
    "queued": answer(ReplyPhase.QUEUED, position=2),
    "loading": answer(ReplyPhase.LOADING),
    "prefill": answer(ReplyPhase.PREFILL, progress=PromptProgress(41_210, 1024, 25_600, 12.1)),
    "thinking": answer(
        ReplyPhase.THINKING, reasoning=THOUGHT, rates=replace(RATES, tokens=9), timings=TIMINGS
    ),
    "streaming": answer(
        ReplyPhase.STREAMING,
        reasoning=THOUGHT,
        text=TEXT,
        thought=2.1,
        rates=RATES,
        timings=TIMINGS,
    ),
}
ENDED = {
    "stopped": (ReplyPhase.STOPPED, TurnState.STOPPED, {"text": TEXT}),
    "cut": (
        ReplyPhase.CUT,
        TurnState.CUT,
        {
            "text": TEXT,
            "trouble": "The reply was cut off after 812 tokens — the stream ended early: the model"
            " was unloaded, or its server restarted — continue it, or retry",
        },
    ),
    "done": (ReplyPhase.DONE, TurnState.DONE, {"text": TEXT, "finish": "stop"}),
}


def conversation(state: TurnState, **more: Any) -> Conversation:
    """One question and its answer."""
    turn = Turn(
        "a", "q", Role.ASSISTANT, state=state, model=MODEL, began=WALL - 21.4, ended=WALL, **more
    )
    question = Turn("q", "", Role.USER, QUESTION, began=WALL - 21.4)
    return Conversation("c", model=MODEL, turns={"q": question, "a": turn}, shown="a")


def app_in(folder: Path) -> AituiApp:
    opening = AppContext(
        settings=Settings(SERVER, (SERVER,)),
        paths=Paths.below(folder),
        home=folder,
        clock=STILL,
        random=Random(1),
        demo_world=_no_demo,
        missing_certificates=(),
    )
    app = AituiApp(opening)
    app.animation_level = "none"
    return app


def showing(
    tree: Conversation, latest: Reply, keys: tuple[str, ...] = ()
) -> Callable[[Pilot[Any]], Any]:
    async def show(pilot: Pilot[Any]) -> None:
        driven = Driven(pilot.app, pilot)  # type: ignore[arg-type]
        await driven.see("embed-small")
        driven.go_to(MODEL)
        await driven.models.open_chat()
        pane = driven.models.chat
        pane.prompt.cursor_blink = False
        await driven.until(lambda: pane.prompt.has_focus, "in focus")
        pane.model_id = MODEL
        TranscriptPresenter(pane.transcript).show(tree, latest)
        pane.status.reply, pane.is_replying = latest, not latest.phase.is_final
        pane.status.snapshot = live(Model(MODEL, expected_load=29.0))
        await driven.until(lambda: is_settled(pane.transcript), "settled")
        await pilot.press(*keys)
        await driven.settle()

    return show


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AituiApp:
    """The app in front of one snapshot."""
    show_instead_of_servers(monkeypatch, SNAPSHOT)
    return app_in(tmp_path)


@pytest.mark.parametrize("name", ANSWERS)
def test_under_way(snap_compare: Callable[..., bool], app: AituiApp, name: str) -> None:
    show = showing(conversation(TurnState.RUNNING), ANSWERS[name])
    assert snap_compare(app, terminal_size=(80, 24), run_before=show)


def ended(name: str) -> tuple[Conversation, Reply]:
    """A conversation whose answer has ended so."""
    phase, state, more = ENDED[name]
    measured = {"usage": USAGE, "timings": TIMINGS} if phase is ReplyPhase.DONE else {}
    tree = conversation(state, reasoning=THOUGHT, thought=2.1, first_token=0.41, **measured, **more)
    latest = answer(phase, text=TEXT, rates=RATES, timings=TIMINGS, ended_at=NOW)
    return tree, latest


@pytest.mark.parametrize("name", ENDED)
def test_ended(snap_compare: Callable[..., bool], app: AituiApp, name: str) -> None:
    assert snap_compare(app, terminal_size=(80, 24), run_before=showing(*ended(name)))


def test_failed(snap_compare: Callable[..., bool], app: AituiApp) -> None:
    empty = Conversation("c", model=MODEL)
    show = showing(empty, answer(ReplyPhase.FAILED, ended_at=NOW), tuple("Why?"))
    assert snap_compare(app, terminal_size=(80, 24), run_before=show)


def test_beside_the_table(snap_compare: Callable[..., bool], app: AituiApp) -> None:
    assert snap_compare(app, terminal_size=(120, 36), run_before=showing(*ended("done")))


def test_the_text_in_focus(snap_compare: Callable[..., bool], app: AituiApp) -> None:
    show = showing(*ended("done"), ("escape", "K"))
    assert snap_compare(app, terminal_size=(80, 24), run_before=show)
