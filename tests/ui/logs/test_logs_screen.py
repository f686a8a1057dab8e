"""What each key of the logs does, on the screen."""

import re
import stat
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from aitui.demo.certificates import Certificates
from aitui.demo.dialect import Dialect
from aitui.domain.snapshot import Server
from aitui.ui.screens.logs import LogsScreen
from aitui.ui.screens.models import ModelsScreen
from aitui.ui.widgets.log_view import LogView
from catalogue import (
    MISSING_FILE,
    OUT_OF_MEMORY,
    OUT_OF_MEMORY_REASON,
    PEER,
    STEADY,
    dialects,
)
from other_client import OtherClient
from stand_in import StandIn
from ui.driven import Driven, driven

MANY = "".join(f"[INFO] line {number}\n" for number in range(200))


def view(app: Driven) -> LogView:
    return app.app.screen.query_one(LogView)


def shown(app: Driven) -> list[str]:
    return [line.text for line in view(app).rows.visible_lines()]


async def until_explained(app: Driven, model_id: str) -> None:
    """Wait until the log of a failed load has been read."""
    await app.until(lambda: (failed := app.model(model_id).failed) and failed.log, "explained")


async def test_lines_appear_as_they_are_written(logs: Driven, stand_in: StandIn) -> None:
    stand_in.write_log("[INFO] something new\n")
    await logs.see("something new")


async def test_own_polls_show_on_a_key_and_hide_again(logs: Driven) -> None:
    assert "GET /running" not in logs.text
    await logs.see("hidden")
    await logs.press("p")
    await logs.see("GET /running")
    await logs.press("p")
    await logs.unsee("GET /running")


@pytest.mark.parametrize("key", ["1", "escape"])
async def test_the_ways_back(logs: Driven, key: str) -> None:
    await logs.press(key)
    await logs.until(lambda: isinstance(logs.app.screen, ModelsScreen))


async def test_leaving_ends_the_stream(logs: Driven) -> None:
    await logs.press("1")
    await logs.until(lambda: not any(worker.group == "log" for worker in logs.app.workers), "ended")


async def test_the_log_read_last_comes_again(logs: Driven) -> None:
    await logs.press("tab")
    await logs.see("▸proxy")
    await logs.press("1")
    await logs.press("2")
    await logs.see("▸proxy")


async def test_the_logs_in_turn(logs: Driven, stand_in: StandIn) -> None:
    stand_in.write_log("from upstream\n", source="upstream")
    model = logs.models.selected_model
    assert model is not None
    stand_in.write_log("from the model\n", source=model.id)
    await logs.press("tab")
    await logs.see("▸proxy", "third line")
    await logs.press("tab")
    await logs.see("▸upstream", "from upstream")
    assert "third line" not in logs.text
    await logs.press("tab")
    await logs.see(f"▸{model.id}", "from the model")
    await logs.press("tab")
    await logs.see("▸both", "third line")
    await logs.press("shift+tab")
    await logs.see(f"▸{model.id}")


async def test_a_click_chooses_a_log(logs: Driven) -> None:
    await logs.click("upstream")
    await logs.see("▸upstream")


async def test_the_log_of_the_model_under_the_cursor(app: Driven, stand_in: StandIn) -> None:
    stand_in.write_log("from the model\n", source=STEADY)
    app.go_to(STEADY)
    await app.press("L")
    await app.see(f"▸{STEADY}", "from the model")
    assert stand_in.running() == {}


async def test_the_log_of_a_peer_is_elsewhere(app: Driven) -> None:
    app.go_to(PEER)
    await app.press("L")
    await app.see("its log is there")
    assert isinstance(app.app.screen, ModelsScreen)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("model_id", [OUT_OF_MEMORY, MISSING_FILE])
async def test_a_failed_load_opens_at_the_lines_that_say_why(
    app: Driven, stand_in: StandIn, model_id: str, *, at_once: bool
) -> None:
    stand_in.write_log(MANY, source=model_id)
    app.go_to(model_id)
    await app.press("l")
    await app.until(lambda: app.model(model_id).failed, "failed")
    if at_once:
        await app.press("L")
    await until_explained(app, model_id)
    stand_in.write_log(MANY, source=model_id)
    if not at_once:
        await app.press("L")
    failed = app.model(model_id).failed
    assert failed is not None
    await app.see(f"✘ {model_id} could not be loaded: {failed.reason[:30]}")
    await app.until(lambda: view(app).failure_lines.found_at is not None, "found")
    line = view(app).cursor_line
    assert line is not None
    assert line.text in failed.log
    assert app.line_of(line.text[:60]).startswith("✘ ")


async def test_a_reason_that_another_log_tells_is_on_top(
    server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    async with driven(server, tmp_path) as app:
        await app.until(lambda: app.models.snapshot.events_flow, "live")
        app.go_to(OUT_OF_MEMORY)
        await app.press("l")
        await until_explained(app, OUT_OF_MEMORY)
        stand_in._active_runtime.swap.processes[OUT_OF_MEMORY].ring._history = b""
        await app.press("L")
        await app.see(OUT_OF_MEMORY_REASON[:30], "cudaMalloc failed", "Nothing in the log of")


async def test_finding_counts_and_goes_from_one_to_the_next(
    logs: Driven, stand_in: StandIn
) -> None:
    stand_in.write_log(MANY)
    await logs.see("line 199")
    await logs.press("slash", *"line 5")
    await logs.see("11 of 11")
    await logs.press("enter")
    await logs.press("N")
    await logs.see("10 of 11")
    await logs.press("n", "n")
    await logs.see("1 of 11")
    assert view(logs).cursor_line in [
        line for line in view(logs).rows.visible_lines() if "line 5" in line.text
    ]
    await logs.press("escape")
    await logs.unsee("1 of 11")
    assert isinstance(logs.app.screen, LogsScreen)


@pytest.mark.parametrize("key", ["slash", "f"])
async def test_what_is_typed_ahead_comes_into_the_entry(logs: Driven, key: str) -> None:
    logs.burst(key, *"/finn")
    screen = logs.app.screen
    await logs.until(lambda: [one.value for one in screen.query(Input)] == ["/finn"], "typed")


async def test_nothing_found_is_said(logs: Driven) -> None:
    await logs.press("slash", *"nowhere")
    await logs.see("not found")


async def test_new_lines_are_searched_too(logs: Driven, stand_in: StandIn) -> None:
    await logs.press("slash", *"needle", "enter")
    await logs.see("not found")
    stand_in.write_log("a needle\n")
    await logs.see("of 1")


async def test_a_pattern_filters(logs: Driven, stand_in: StandIn) -> None:
    await logs.press("f", *"(first|third) l.ne", "enter")
    await logs.see("2 lines")
    stand_in.write_log("not this\nfirst line again\n")
    await logs.see("first line again")
    assert shown(logs) == ["[INFO] first line", "[ERROR] third line", "first line again"]
    await logs.press("escape")
    await logs.see("second line")


async def test_what_is_no_pattern_is_said_and_filters_nothing(logs: Driven) -> None:
    await logs.press("f", "(", "enter")
    await logs.see("not a regular expression")
    assert "first line" in logs.text


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("words", ["(a+)+$", "(a|a)*$", "(x+x+)+y", "^(\\w+ ?)*$"])
async def test_no_pattern_stops_the_screen(logs: Driven, stand_in: StandIn, words: str) -> None:
    stand_in.write_log("a" * 3000 + "!\n" + "x" * 3000 + "!\nlast\n")
    await logs.see("last")
    await logs.press("f")
    logs.app.screen.query_one(Input).value = words
    await logs.press("enter")
    await logs.until(
        lambda: view(logs).rows.filter.pattern or "takes too long" in logs.text, "an answer"
    )


@pytest.mark.usefixtures("impatient")
async def test_a_pattern_that_takes_too_long_is_told_and_can_be_mended(
    logs: Driven, stand_in: StandIn
) -> None:
    stand_in.write_log("a" * 60 + "!\n")
    await logs.see("aaa!")
    await logs.press("f", *"(a|a)*$", "enter")
    await logs.see("This pattern takes too long: the cause is nested repeats")
    await logs.told("a simpler one")
    assert view(logs).rows.filter.pattern is None
    entry = logs.app.screen.query_one(Input)
    assert entry.value == "(a|a)*$"
    entry.value = "a+!"
    await logs.press("enter")
    await logs.see("1 line")


@pytest.mark.usefixtures("impatient")
async def test_a_pattern_that_new_lines_make_slow_is_let_go(
    logs: Driven, stand_in: StandIn
) -> None:
    await logs.press("f", *"(a|a)*$", "enter")
    await logs.see("/(a|a)*$/")
    stand_in.write_log("a" * 60 + "!\nand one more\n")
    await logs.see("This pattern takes too long", "and one more", "first line")
    assert view(logs).rows.filter.pattern is None


async def test_levels_in_turn(logs: Driven) -> None:
    await logs.press("v", "v")
    await logs.until(lambda: shown(logs) == ["[WARN] second line", "[ERROR] third line"])
    await logs.press("v")
    await logs.until(lambda: shown(logs) == ["[ERROR] third line"])
    await logs.press("v")
    await logs.see("first line")


async def test_an_empty_filter_says_how_to_leave_it(logs: Driven) -> None:
    await logs.press("f", *"nowhere", "enter")
    await logs.see("No line matches the filter")


async def test_long_lines_are_cut_or_wrapped(logs: Driven, stand_in: StandIn) -> None:
    stand_in.write_log("begin " + "x" * 100 + " end\n")
    await logs.see("begin", "›")
    assert " end" not in logs.text
    await logs.press("w")
    await logs.see("begin", "x end")
    await logs.press("w")
    await logs.unsee("x end")


async def test_a_long_line_is_read_sideways(logs: Driven, stand_in: StandIn) -> None:
    stand_in.write_log("begin " + "x" * 80 + " end\n")
    await logs.see("begin", "›")
    await logs.press("right", "right")
    await logs.see("x end")
    await logs.press("left", "left")
    await logs.see("begin")


async def test_while_paused_nothing_moves_and_lines_are_counted(
    logs: Driven, stand_in: StandIn
) -> None:
    await logs.press("space")
    await logs.see("paused +0")
    before = logs.line_of("third line")
    stand_in.write_log("one more\nand another\n")
    await logs.see("paused +2")
    assert "one more" not in logs.text
    assert logs.line_of("third line") == before
    await logs.press("space")
    await logs.see("one more", "and another")


async def test_who_scrolls_stays_and_end_follows_again(logs: Driven, stand_in: StandIn) -> None:
    stand_in.write_log(MANY)
    await logs.see("line 199")
    await logs.press("g")
    await logs.see("first line", "scrolled")
    top = logs.strips[2].text
    stand_in.write_log("[INFO] the newest\n")
    await logs.until(lambda: shown(logs)[-1] == "[INFO] the newest")
    assert logs.strips[2].text == top
    assert "the newest" not in logs.text
    await logs.press("end")
    await logs.see("the newest")
    stand_in.write_log("[INFO] newer still\n")
    await logs.see("newer still")


async def test_the_wheel_stops_following_and_its_end_goes_on(
    logs: Driven, stand_in: StandIn
) -> None:
    stand_in.write_log(MANY)
    await logs.see("line 199")
    await logs.pilot._post_mouse_events([events.MouseScrollUp], widget=view(logs))
    await logs.see("scrolled")
    await logs.pilot._post_mouse_events([events.MouseScrollDown] * 3, widget=view(logs))
    await logs.unsee("scrolled")


async def test_who_scrolled_stays_also_when_old_lines_go(logs: Driven, stand_in: StandIn) -> None:
    stand_in.write_log(MANY)
    await logs.see("line 199")
    view(logs).rows.ring.most_lines = 330
    await logs.press(*["pageup"] * 3)
    await logs.settle()
    top = logs.strips[2].text
    stand_in.write_log(MANY.replace("line", "later"))
    await logs.until(lambda: shown(logs)[-1] == "[INFO] later 199")
    assert logs.strips[2].text == top


async def test_the_line_under_the_cursor_is_copied(logs: Driven) -> None:
    await logs.press("g", "j")
    line = view(logs).cursor_line
    assert line is not None
    await logs.press("y")
    assert logs.app.clipboard == line.text


async def test_what_is_selected_with_the_mouse_is_copied(logs: Driven) -> None:
    column, row = logs.place_of("first line")
    await logs.pilot.mouse_down(offset=(column, row))
    await logs.pilot.hover(offset=(column + 4, row + 1))
    await logs.pilot.mouse_up(offset=(column + 4, row + 1))
    await logs.press("y")
    assert logs.app.clipboard.startswith("first line\n[WARN]")


async def test_saving_says_where_and_keeps_it_private(logs: Driven, tmp_path: Path) -> None:
    await logs.press("ctrl+s")
    await logs.see("Saved")
    file = next((tmp_path / "data" / "logs").glob("stand-in-both-*.log"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().splitlines() == shown(logs)


async def test_where_saving_fails_it_says_why(logs: Driven, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    await logs.press("ctrl+s")
    await logs.see("The log could not be saved")


async def test_a_lost_server_is_said_and_its_return_marked(logs: Driven, stand_in: StandIn) -> None:
    await stand_in.stop()
    await logs.see("✘ lost, retry in")
    await logs.see("third line")
    await stand_in.start()
    await logs.press("f5")
    await logs.see("lines may be missing here", "● live")


async def test_colors_of_the_server_are_kept(logs: Driven, stand_in: StandIn) -> None:
    stand_in.write_log("plain \x1b[38;2;250;240;10mcolored\x1b[0m\n")
    await logs.see("colored")
    segments = [segment for strip in logs.strips for segment in strip]
    style = next(segment.style for segment in segments if "colored" in segment.text)
    assert style is not None
    assert style.color is not None
    assert style.color.triplet == (250, 240, 10)


async def test_hostile_lines_are_text(logs: Driven, stand_in: StandIn) -> None:
    stand_in.write_log("a\x1b]0;title\x07b\x1b[2Jc\x9b31m\u202e [@click=app.quit]x[/] [/nope]\n")
    await logs.see("[@click=app.quit]x[/] [/nope]")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", logs.text)


async def test_the_keys_are_in_the_help(logs: Driven) -> None:
    await logs.press("question_mark")
    await logs.see("next match", "filter by pattern", "save to a file", "pause")


async def test_without_a_server_there_is_no_log(
    stand_in: StandIn, server: Server, certificates: Certificates, tmp_path: Path
) -> None:
    missing = (("client key", tmp_path / "missing.key"),)
    async with driven(server, tmp_path, missing=missing) as app:
        await app.press("2")
        await app.see("There is no server yet")


@dialects(Dialect.V263)
async def test_requests_are_a_log_of_their_own(app: Driven, other: OtherClient) -> None:
    await app.press("2", "tab", "tab", "tab")
    await app.see("▸http", "● live", "Nothing in the log of requests but aitui's own polls")
    await other.load(STEADY)
    await app.see(f"GET /upstream/{STEADY}/health")
    await app.press("p")
    await app.see("GET /running")


async def test_an_older_server_has_none(logs: Driven) -> None:
    assert "http " not in logs.text
    await logs.press("tab", "tab", "tab", "tab")
    await logs.see("▸both")
