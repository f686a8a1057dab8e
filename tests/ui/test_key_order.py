"""What is typed at once is done in its order, as over a line that brings it in one packet."""

from collections.abc import Callable

import pytest
from textual import events
from textual.widgets import Input

from aitui.ui.terminal import key_queue
from ui.driven import Driven


@pytest.fixture
async def second(app: Driven) -> str:
    """The model in the second row; the cursor is in the last one."""
    await app.press("g", "j")
    found = app.under_cursor
    await app.press("G")
    assert app.under_cursor != found
    return found


def typed(app: Driven) -> Callable[[], str]:
    return lambda: "".join(found.value for found in app.models.query("#filter").results(Input))


async def test_a_key_acts_on_the_row_that_the_keys_before_it_have_led_to(
    app: Driven, second: str
) -> None:
    app.burst("g", "j", "enter")
    await app.until(lambda: app.models.chat.model_id == second, "the chat is open")


async def test_a_letter_behind_a_backspace_stays(app: Driven) -> None:
    app.burst("slash", *"abc", *["backspace"] * 3, "s", "l", "x", "backspace", "o", "w")
    await app.until(lambda: typed(app)() == "slow", "typed")


async def test_a_busy_machine_does_not_change_the_order(
    app: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_queue, "KEY_TIMEOUT", 0.0)
    app.burst("slash", *"abc", "ctrl+u", *"slox", "backspace", "w")
    await app.until(lambda: typed(app)() == "slow", "typed")


async def test_what_is_pasted_keeps_its_place_among_what_is_typed(app: Driven) -> None:
    app.burst("slash", "a", "backspace", "s")
    driver = app.app._driver
    assert driver is not None
    driver.send_message(events.Paste("lox"))
    app.burst("backspace", "w")
    await app.until(lambda: typed(app)() == "slow", "typed")


async def test_a_key_whose_widget_goes_does_not_hold_up_those_behind_it(
    app: Driven, second: str
) -> None:
    app.burst("question_mark", "escape", "slash", "escape", "g", "j")
    await app.until(lambda: app.under_cursor == second, "moved")


async def test_a_key_that_nobody_wants_does_not_hold_up_those_behind_it(
    app: Driven, second: str
) -> None:
    app.burst("g", "f12", "Z", "j")
    await app.until(lambda: app.under_cursor == second, "moved")


async def test_a_key_behind_a_field_that_is_left_is_no_letter_of_it(app: Driven) -> None:
    app.burst("slash", *"slow", "enter", "s", "G")
    await app.until(lambda: typed(app)() == "slow", "typed")
    await app.until(lambda: app.table.view.sort != type(app.table.view)().sort, "sorted")


async def test_keys_behind_the_one_that_quits_are_nobody_s(app: Driven) -> None:
    app.burst("q", "j", "c", "slash", "x", "enter", "G")
    await app.until(lambda: not app.app.is_running, "ended")
    assert app.app.return_code == 0
