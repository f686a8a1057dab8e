"""What is said in passing: once, and no more at a time than leaves the screen in sight."""

from aitui.ui.terminal.notifications import MAX_NOTIFICATIONS
from ui.driven import Driven


async def test_the_same_is_said_once(app: Driven) -> None:
    for _ in range(4):
        app.app.notify("again", title="and")
    await app.told("again")
    assert sum("again" in toast for toast in app.toasts) == 1


async def test_the_oldest_goes_where_there_are_too_many(app: Driven) -> None:
    for number in range(MAX_NOTIFICATIONS + 2):
        app.app.notify(f"number {number}")
    await app.told(f"number {MAX_NOTIFICATIONS + 1}")
    await app.until(lambda: len(app.toasts) == MAX_NOTIFICATIONS, "the oldest went")
    assert "number 1" not in " ".join(app.toasts)
