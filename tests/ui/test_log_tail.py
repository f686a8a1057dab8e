"""The end of the log beside the models."""

from stand_in import StandIn
from ui.driven import Driven


async def test_a_tall_screen_follows_the_end_of_the_log(app: Driven, stand_in: StandIn) -> None:
    assert "─ Log" not in app.text
    await app.pilot.resize_terminal(200, 50)
    await app.see("─ Log", "open · following")
    stand_in.write_log("[WARN] the coolant is low\n")
    await app.see("[WARN] the coolant is low")
    await app.press("4")
    await app.unsee("following")
    stand_in.write_log("[WARN] the coolant is lower\n")
    await app.press("1")
    await app.see("open · following", "[WARN] the coolant is lower")
    await app.pilot.resize_terminal(200, 44)
    await app.unsee("coolant")
