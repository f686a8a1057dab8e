"""What is said in passing: in a line of its own, and as a toast only for errors that cover nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.confirmation import Confirmation
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.terminal.notifications import MAX_NOTICES, Notice, add_notice
from ui.driven import Driven, driven
from ui.hand_made import SERVER, STILL, live, show_instead_of_servers
from ui.mixture import MIXTURE


@pytest.fixture
async def still(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Driven]:
    """The app on a snapshot, 120×36 unless parametrized."""
    show_instead_of_servers(monkeypatch, live(*MIXTURE))
    size = getattr(request, "param", (120, 36))
    async with driven(SERVER, tmp_path, clock=STILL, size=size) as app:
        await app.see("failed")
        yield app


def test_what_was_just_said_is_kept_once_and_the_oldest_goes() -> None:
    notices = add_notice((Notice(1.0, "a"),), Notice(2.0, "a"))
    assert notices == (Notice(2.0, "a"),)
    for number in range(MAX_NOTICES):
        notices = add_notice(notices, Notice(3.0, str(number)))
    assert len(notices) == MAX_NOTICES
    assert notices[0].text == "0"


def test_one_event_that_is_said_twice_is_kept_once_with_what_to_do() -> None:
    short = Notice(1.0, "a could not be loaded: out of memory", severity="warning")
    long = Notice(2.0, "out of memory\nL opens its log", "a could not be loaded", "error")
    other = Notice(1.5, "b is ready")
    for first, second in ((short, long), (long, short)):
        found = add_notice(add_notice((first,), other), second)
        assert [(one.text, one.severity) for one in found] == [
            ("b is ready", "information"),
            ("out of memory\nL opens its log", "error"),
        ]
    later = replace(short, at=60.0)
    assert add_notice((long,), later) == (long, later)


def test_sentences_of_a_message_stay_apart_in_one_line() -> None:
    notice = Notice(0.0, "line 130 names it\nTake it out.\nThen save", "Not removed.")
    assert notice.line[-1][0] == "Not removed. line 130 names it. Take it out. Then save"


async def test_a_message_has_its_line_above_the_keys_until_the_next_one(still: Driven) -> None:
    assert "m messages" not in still.text
    still.app.notify("[b]saved", title="A file")
    still.app.notify("a second one", severity="warning")
    await still.see("! ")
    line = still.strips[-2].text
    assert line.split()[0] == "!"
    assert "a second one" in line
    assert line.endswith("m messages ")
    assert still.toasts == []
    assert still.strips[-1].text.endswith("? help ")


@pytest.mark.parametrize("still", [(80, 24)], indirect=True)
async def test_in_a_low_terminal_it_is_in_the_lower_edge_of_the_frame(still: Driven) -> None:
    rows = still.text.split("\n")
    still.app.notify("saved")
    await still.until(lambda: still.strips[-2].text.startswith("╰─ ✓"), "said")
    assert " saved ─" in still.strips[-2].text
    assert [*still.text.split("\n")[:-2], still.strips[-1].text] == rows[:-2] + rows[-1:]


@pytest.mark.parametrize("still", [(40, 10)], indirect=True)
async def test_where_no_line_is_left_the_keys_give_way_for_some_seconds(still: Driven) -> None:
    rows = still.text.split("\n")[:-1]
    still.app.notify("saved", timeout=0.3)
    await still.see("✓", "saved")
    assert still.text.split("\n")[:-1] == rows
    await still.see("? help")


async def test_a_message_that_is_cut_says_where_the_rest_is(still: Driven) -> None:
    still.app.notify("word " * 60 + "end")
    await still.until(lambda: still.strips[-2].text.endswith("…  m whole message "), "cut")
    still.app.notify("short")
    await still.until(lambda: still.strips[-2].text.endswith(" m messages "), "whole")


@pytest.mark.parametrize("still", [(80, 24), (120, 36)], indirect=True)
async def test_a_long_id_leaves_room_for_what_became_of_the_model(still: Driven) -> None:
    still.app.notify(f"bartowski/Meta-Llama-3.3-{'70B-' * 30}Q5_K_M is ready after 1 s")
    await still.see("bartowski/Meta-", "…-Q5_K_M is ready after 1 s")


async def test_m_lists_the_messages_whole_the_newest_first(still: Driven) -> None:
    still.app.notify("word " * 60 + "end", title="Long")
    still.app.notify("the second")
    await still.press("m")
    await still.see("Messages", "the second", "Long:", "end")
    assert still.place_of("the second")[1] < still.place_of("Long:")[1]
    await still.press("escape")
    await still.until(lambda: still.app.screen is still.models, "closed")


async def test_only_an_error_has_a_toast_and_only_the_last_one(still: Driven) -> None:
    still.app.notify("why", title="it failed", severity="error")
    await still.until(lambda: still.toasts == ["it failed why"], "shown")
    still.app.notify("why not", title="failed again", severity="error")
    await still.until(lambda: still.toasts == ["failed again why not"], "shown")
    await still.press("escape")
    await still.until(lambda: still.toasts == [], "closed")
    assert "failed again" in still.strips[-2].text


async def test_replaced_toasts_leave_nothing_behind(still: Driven) -> None:
    for number in range(5):
        still.app.notify("why", title=f"failure {number}", severity="error")
        await still.see(f"failure {number}")
    assert len(still.app.screen.query("ToastHolder")) <= 2


async def test_no_toast_covers_a_dialog_or_what_is_being_typed(still: Driven) -> None:
    def fail(why: str = "why") -> None:
        still.app.notify(why, title="it failed", severity="error")

    fail()
    await still.until(lambda: still.toasts, "shown")
    still.app.push_screen(
        ConfirmScreen(lambda _: Confirmation("Sure?", ("facts",), yes="Do it"), live())
    )
    await still.see("Sure?")
    assert still.toasts == []
    fail("why not")
    await still.see("it failed: why not")
    assert still.toasts == []
    assert "it failed" in still.strips[-2].text
    assert "Esc cancel" in still.strips[-1].text
    still.app.pop_screen()
    await still.settle()
    fail()
    await still.until(lambda: still.toasts, "shown")
    await still.press("slash")
    await still.until(lambda: still.toasts == [], "gone")
    fail()
    await still.settle()
    assert still.toasts == []
    await still.press("escape")
    await still.settle()
    assert still.toasts == []
    await still.press("enter")
    await still.until(lambda: still.models.chat.prompt.has_focus, "writing")
    fail()
    await still.settle()
    assert still.toasts == []
    assert "it failed" in still.strips[-2].text
