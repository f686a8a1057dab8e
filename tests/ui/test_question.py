"""The dialog before something that others would notice: hard to say yes to by accident."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.confirmation import Confirmation
from aitui.domain.models import Model, RunState
from aitui.domain.snapshot import Server, Snapshot
from aitui.ui.screens.confirm import ConfirmScreen
from catalogue import QUICK, STEADY
from stand_in import StandIn
from ui.driven import Driven, driven
from ui.hand_made import SERVER, STILL, live, show_instead_of_servers
from ui.received import orders


def settled(app: Driven) -> bool:
    """Whether QUICK is measured and on its card: both would be new facts of the question."""
    picture = app.models.snapshot.hardware.usage
    return QUICK in picture.observed_now and (picture.used_bytes or 0) > 4 << 30


@pytest.fixture
async def asked(app: Driven) -> Driven:
    """The app with QUICK ready, that asks whether to evict it for STEADY."""
    app.go_to(QUICK)
    await app.press("l")
    await app.until_ready(QUICK)
    await app.until(lambda: settled(app), "measured")
    app.app.clear_notifications()
    app.go_to(STEADY)
    await app.press("l")
    await app.armed()
    return app


async def test_it_opens_on_its_safe_choice(asked: Driven) -> None:
    await asked.see("▸ n Cancel")
    assert "▸ y" not in asked.text


@pytest.mark.parametrize("key", ["escape", "n", "q", "enter", "space"])
async def test_no_in_every_form_leaves_everything_as_it_is(
    asked: Driven, stand_in: StandIn, key: str
) -> None:
    before = orders(stand_in)
    await asked.press(key)
    await asked.until(lambda: not asked.asking, "closed")
    assert asked.app.is_running
    assert asked.model(STEADY).requested is None
    assert orders(stand_in) == before
    assert stand_in.running() == {QUICK: "ready"}


async def test_y_means_yes(asked: Driven, stand_in: StandIn) -> None:
    await asked.press("y")
    await asked.until_ready(STEADY)
    assert orders(stand_in)[-1] == ("GET", f"/upstream/{STEADY}/health")


async def test_the_other_choice_can_be_reached_and_chosen(asked: Driven) -> None:
    await asked.press("right")
    await asked.see("▸ y Load")
    await asked.press("enter")
    await asked.until_ready(STEADY)


async def test_a_click_on_yes_means_yes(asked: Driven) -> None:
    await asked.click("y Load")
    await asked.until_ready(STEADY)


async def test_a_click_on_no_means_no(asked: Driven, stand_in: StandIn) -> None:
    await asked.click("n Cancel")
    await asked.until(lambda: not asked.asking, "closed")
    assert stand_in.running() == {QUICK: "ready"}


@pytest.mark.parametrize("keys", ["ly", "lyy", ("l", "right", "enter"), ("l", "tab", "space")])
async def test_keys_typed_ahead_are_no_yes(
    asked: Driven, stand_in: StandIn, keys: tuple[str, ...]
) -> None:
    await asked.press("n")
    await asked.until(lambda: not asked.asking, "closed")
    before = orders(stand_in)
    asked.burst(*keys)
    await asked.settle()
    await asked.press("escape")
    await asked.until(lambda: not asked.asking, "closed")
    await asked.settle()
    assert orders(stand_in) == before
    assert stand_in.running() == {QUICK: "ready"}


async def test_a_double_yes_counts_once(asked: Driven, stand_in: StandIn) -> None:
    before = len(orders(stand_in))
    asked.burst("y", "y", "y")
    await asked.until_ready(STEADY)
    assert len(orders(stand_in)) == before + 1


async def test_facts_that_change_are_shown_and_must_be_read_anew(
    asked: Driven, stand_in: StandIn
) -> None:
    await asked.press("right")
    await asked.see("▸ y Load")
    before = orders(stand_in)
    async with stand_in.busy(QUICK):
        await asked.see("1 request is running")
        assert "▸ n Cancel" in asked.text
        assert not asked.is_armed
        asked.burst("y")
        await asked.see("Something changed: read this again, then press y again.")
        await asked.armed()
        assert orders(stand_in) == before
        await asked.press("n")


async def test_an_ignored_yes_stays_explained_while_facts_go_on_changing(
    asked: Driven, stand_in: StandIn
) -> None:
    async with stand_in.busy(QUICK):
        await asked.see("1 request is running")
        asked.burst("y")
        await asked.see("Something changed")
    await asked.unsee("1 request is running")
    await asked.settle()
    assert "Something changed" in asked.text


async def test_a_snapshot_that_changes_nothing_it_says_leaves_it_armed(asked: Driven) -> None:
    snapshot = asked.models.snapshot
    asked.app.post_snapshot(
        asked.server,
        replace(snapshot, models=(*snapshot.models, Model("new", state=RunState.STOPPED))),
    )
    await asked.until(lambda: asked.models.snapshot.model("new"), "shown")
    assert asked.is_armed


async def test_it_goes_when_the_server_is_left(
    asked: Driven, server: Server, tmp_path: Path
) -> None:
    asked.app._servers.connect(replace(server, name="elsewhere"))
    await asked.see("elsewhere ●")
    assert not asked.asking
    await asked.press("y")
    assert asked.model(STEADY).requested is None


async def test_many_facts_leave_the_choices_in_sight(app: Driven) -> None:
    question = Confirmation(
        "Unload all?", tuple(f"unloads number {n}" for n in range(200)), yes="Do"
    )
    app.app.push_screen(ConfirmScreen(lambda _: question, Snapshot()))
    await app.see("Unload all?", "unloads number 0", "▸ n Cancel", "y Do")


async def test_a_snapshot_may_come_before_the_question_is_painted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The question is pushed, and its widgets come a moment later."""
    versions = []

    def question(now: Snapshot) -> Confirmation:
        versions.append(now.version)
        return Confirmation("later?" if "later" in versions else "at first?", (), yes="Yes")

    # No server behind it: its next snapshot would take the place of the one in between.
    snapshot = live()
    show_instead_of_servers(monkeypatch, snapshot)
    async with driven(SERVER, tmp_path, clock=STILL) as app:
        await app.see(" ms ")
        waiting = app.app.push_screen(ConfirmScreen(question, snapshot))
        app.app.snapshot = replace(snapshot, version="later")
        await waiting
        await app.see("later?")


@pytest.mark.parametrize("key", ["y", "n", "escape"])
async def test_a_question_that_came_up_by_itself_says_why_it_takes_no_key_yet(
    app: Driven, key: str
) -> None:
    question = Confirmation("Load it again?", (), yes="Load", unprompted=True)
    app.app.push_screen(ConfirmScreen(lambda _: question, Snapshot()))
    await app.see("▸ n Cancel")
    app.burst(key)
    await app.see("! This question came up by itself: wait a second, then answer.")
    assert app.asking
