"""View 3: requests, their filter and order, groups, the timeline, and what was said in one."""

import csv
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.activity import ActivityRow
from aitui.domain.capture import Capture
from aitui.domain.models import ActiveRequest, ActiveRequests
from aitui.ui.screens.activity import ActivityScreen
from aitui.ui.widgets.activity_table import ActivityTable
from ui.activity.recorded import CHAT, DEEPSEEK, FEW, QWEN, many, request, show_record
from ui.driven import Driven, driven
from ui.hand_made import NOW, SERVER, STILL, WALL, live
from ui.mixture import MIXTURE

SNAPSHOT = live(*MIXTURE)
WIDE = (200, 50)


async def opened(app: Driven) -> ActivityTable:
    await app.see("14 ms")
    await app.press("3")
    await app.until(lambda: isinstance(app.app.screen, ActivityScreen), "opened")
    return app.app.screen.query_one(ActivityTable)


def lines(app: Driven) -> list[str]:
    """The lines of requests, without the frame."""
    found = [
        line
        for line in app.text.split("\n")
        if "laptop" in line or "phone" in line or "desk" in line
    ]
    return [line for line in found if "12:" in line or ":" in line[:20]]


async def test_requests_are_listed_with_their_figures_and_outcomes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    show_record(monkeypatch, SNAPSHOT, tmp_path)
    async with driven(SERVER, tmp_path, clock=STILL, size=WIDE) as app:
        await opened(app)
        await app.see("4 today · 1 failed", "client disconnected", CHAT)
        shown = lines(app)
        assert ["laptop · pi" in line for line in shown] == [True, False, True, False]
        assert "75 %" in shown[0]
        assert "0.8 s" in shown[0]
        assert "≈" in shown[1]
        await app.see("p95", "prompt tok/s", "82 % cached")


async def test_a_filter_takes_times_statuses_names_and_text(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    show_record(monkeypatch, SNAPSHOT, tmp_path)
    async with driven(SERVER, tmp_path, clock=STILL, size=WIDE) as app:
        table = await opened(app)
        await app.see("4 today")
        await app.press("slash", *"failed")
        await app.see("1 today", "client disconnected")
        await app.unsee("Open WebUI  ")
        await app.press("escape")
        await app.see("4 today")
        await app.press("slash", *"20m client:phone", "enter")
        await app.see("1 last 20m", "phone · Open WebUI")
        assert app.app.screen.focused is table
        await app.press("slash", *" zzz")
        await app.see("No request matches", "Esc clears the filter")


async def test_the_order_follows_a_column_and_turns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    show_record(monkeypatch, SNAPSHOT, tmp_path)
    async with driven(SERVER, tmp_path, clock=STILL, size=WIDE) as app:
        await opened(app)
        await app.see("TIME ▾")
        await app.press("s")
        await app.see("CLIENT ▴")
        await app.until(lambda: "desk" in lines(app)[0], "sorted")
        await app.press("r")
        await app.see("CLIENT ▾")
        await app.until(lambda: "phone" in lines(app)[0], "turned")


async def test_groups_have_sums_and_lead_to_their_requests(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    show_record(monkeypatch, SNAPSHOT, tmp_path)
    async with driven(SERVER, tmp_path, clock=STILL, size=WIDE) as app:
        await opened(app)
        await app.see("4 today")
        await app.press("b")
        await app.see("By model", "2 models", "DRAFT")
        assert "75 %" in app.line_of(QWEN)
        await app.press("b")
        await app.see("By client", "3 clients")
        await app.press("b")
        await app.see("By hour")
        await app.press("b")
        await app.see("By day", "1 day")
        await app.press("b")
        await app.see("Requests", "4 today")
        await app.press("b", "down")
        await app.see("By model")
        await app.press("enter")
        await app.see(f"model:{DEEPSEEK}", "1 today")


async def test_the_timeline_shows_loads_evictions_and_what_they_cost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    show_record(monkeypatch, SNAPSHOT, tmp_path)
    async with driven(SERVER, tmp_path, clock=STILL, size=WIDE) as app:
        await opened(app)
        await app.press("v")
        await app.see("2 loads · 1 eviction", "Loading took 55 s of the last 60 min", DEEPSEEK)
        assert "█" in app.line_of(DEEPSEEK)
        assert "×" in app.line_of(DEEPSEEK)
        await app.press("plus")
        await app.see("of the last 24 h")
        await app.press("minus", "minus")
        await app.see("0 loads · 0 evictions", "of the last 15 min")
        await app.press("left", "left", "left")
        await app.see("1 eviction")
        await app.press("escape")
        await app.see("4 today")


async def test_below_the_timeline_stand_the_queue_and_the_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Arrived 10 s into a load of 40 s.
    waited = request(9, 3240, who="phone · Open WebUI", model=DEEPSEEK, seconds=50.0)
    show_record(monkeypatch, SNAPSHOT, tmp_path, (*FEW, waited))
    async with driven(SERVER, tmp_path, clock=STILL, size=(120, 36)) as app:
        table = await opened(app)
        await app.press("v")
        await app.see("Queue", "1 peak · 30 s waited in total", "GPU memory")
        assert "30 s" in app.line_of("phone · Open WebUI")
        await app.press("v")
        await app.unsee("Queue")
        await app.until(lambda: table.size.height > 20, "the whole height is the table's again")


async def test_groups_by_model_and_day_have_energy_and_its_price(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    minute = int((WALL - 600) // 60)
    joules = {(minute, QWEN): 3600.0 * 90, (minute, DEEPSEEK): 3600.0 * 10}
    show_record(monkeypatch, SNAPSHOT, tmp_path, FEW, joules=joules)
    priced = replace(SERVER, activity=replace(SERVER.activity, electricity_price=0.5))
    async with driven(priced, tmp_path, clock=STILL, size=WIDE) as app:
        await opened(app)
        await app.see("4 today")
        await app.press("b")
        await app.see("≈WH", "≈WH/1K", "≈COST")
        assert app.line_of("DeepSeek").split()[-4:-1] == ["10.0", "33.33", "0.01"]
        await app.press("b", "b", "b")
        await app.see("By day", "1 day", "≈COST")
        assert "100.0" in app.line_of("202")
        assert "0.05" in app.line_of("202")


async def test_a_request_opens_as_chat_with_its_reasoning_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = json.dumps({"messages": [{"role": "user", "content": "hello [there]"}]})
    said = [{"reasoning_content": "think"}, {"content": "wo"}, {"content": "rd"}]
    reply = "".join(f"data: {json.dumps({'choices': [{'delta': delta}]})}\n\n" for delta in said)
    kept = Capture(4, CHAT, {"User-Agent": "pi/1"}, asked, {}, reply + "data: [DONE]\n\n")
    show_record(monkeypatch, SNAPSHOT, tmp_path, capture=kept)
    async with driven(SERVER, tmp_path, clock=STILL, size=(120, 36)) as app:
        await opened(app)
        await app.see("4 today")
        await app.until(lambda: "…" not in lines(app)[0][:8], "read")
        await app.press("enter")
        await app.see("hello [there]", "│ think", "word", "10.0.0.12")
        await app.press("tab")
        await app.see('"content": "hello [there]"')
        await app.press("tab", "tab")
        await app.see("User-Agent: pi/1")
        await app.press("y")
        await app.told("Copied")
        await app.press("escape")
        await app.see("4 today")


async def test_a_request_of_which_the_server_kept_nothing_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    show_record(monkeypatch, SNAPSHOT, tmp_path)
    async with driven(SERVER, tmp_path, clock=STILL, size=(120, 36)) as app:
        await opened(app)
        await app.see("4 today")
        await app.press("enter")
        await app.see("kept nothing of this request", "drafted 100, 75 accepted")


async def test_running_requests_stand_on_top_and_only_they_can_be_cancelled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    running = ActiveRequest("r1", QWEN, CHAT, "10.0.0.9", who="tablet", started=NOW - 9)
    snapshot = replace(SNAPSHOT, requests=ActiveRequests(1, (running,)))
    show_record(monkeypatch, snapshot, tmp_path)
    async with driven(SERVER, tmp_path, clock=STILL, size=WIDE) as app:
        await opened(app)
        await app.see("4 today · 1 running", "► ")
        await app.press("down", "x")
        await app.told("Only a request under way can be canceled")
        await app.press("up", "x")
        await app.see("Cancel this request?", "tablet")


async def test_requests_beyond_those_that_are_listed_are_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    running = tuple(ActiveRequest(f"r{n}", QWEN, CHAT, who="tablet", started=NOW) for n in (1, 2))
    snapshot = replace(SNAPSHOT, requests=ActiveRequests(1302, running))
    show_record(monkeypatch, snapshot, tmp_path)
    async with driven(SERVER, tmp_path, clock=STILL, size=WIDE) as app:
        await app.see("1,302 running", "and 1,300 more")
        await opened(app)
        await app.see("4 today · 2 running · 1,300 more not listed")


@pytest.mark.parametrize(("index", "suffix"), [(0, ".csv"), (1, ".json"), (2, ".md")])
async def test_what_is_filtered_is_exported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, index: int, suffix: str
) -> None:
    rows = (*FEW, request(5, 30, who='=HYPERLINK("x")', model="a|b"))
    show_record(monkeypatch, SNAPSHOT, tmp_path, rows)
    async with driven(SERVER, tmp_path, clock=STILL, size=WIDE) as app:
        await opened(app)
        await app.press("slash", *"9m", "enter")
        await app.see("2 last 9m")
        await app.press("e", *["down"] * index, "enter")
        await app.told("Saved 2 requests to")
        (file,) = tmp_path.rglob(f"activity*{suffix}")
        text = file.read_text()
        if suffix == ".csv":
            first, second = csv.DictReader(text.splitlines())
            assert (first["who"], second["drafted"]) == ('\'=HYPERLINK("x")', "100")
        elif suffix == ".json":
            assert [one["model"] for one in json.loads(text)["requests"]] == ["a|b", QWEN]
        else:
            assert "| a\\|b | ok |" in text


async def test_an_empty_record_and_none_at_all_say_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    show_record(monkeypatch, SNAPSHOT, tmp_path, ())
    async with driven(SERVER, tmp_path, clock=STILL, size=(80, 24)) as app:
        await opened(app)
        await app.see("No requests today", "/ 7d shows earlier ones")
    off = replace(SERVER, activity=replace(SERVER.activity, days=0))
    async with driven(off, tmp_path, clock=STILL, size=(80, 24)) as app:
        await opened(app)
        await app.see("Nothing is recorded: activity_days is 0")


async def test_only_rows_in_sight_are_read_and_the_end_is_reached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows: tuple[ActivityRow, ...] = tuple(many(3000))
    show_record(monkeypatch, SNAPSHOT, tmp_path, rows)
    async with driven(SERVER, tmp_path, clock=STILL, size=(120, 36)) as app:
        table = await opened(app)
        await app.press("slash", *"1d", "enter")
        await app.see("3,000 last 1d")
        await app.press("G")
        await app.until(lambda: table.cursor == 2999, "at the end")
        await app.until(lambda: "…" not in app.text.split("\n")[20][:6], "read")
        screen = app.app.screen
        assert isinstance(screen, ActivityScreen)
        assert len(screen._requests._rows) < 500


async def test_what_becomes_known_of_a_row_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    away = request(1, 60, who="laptop", client="10.0.0.9")
    show_record(monkeypatch, SNAPSHOT, tmp_path, (away,))
    async with driven(SERVER, tmp_path, clock=STILL, size=(120, 36)) as app:
        await opened(app)
        await app.see("laptop ")
        store = await app.controllers.activity._session.activity().store()
        await store.add([request(2, 30, who="laptop · pi", client="10.0.0.9", agent="pi/1")], WALL)
        await app.press("r", "r")
        await app.until(lambda: app.text.count("laptop · pi") == 2, "both named")


async def test_out_of_sight_the_view_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    show_record(monkeypatch, SNAPSHOT, tmp_path)
    async with driven(SERVER, tmp_path, clock=STILL, size=(120, 36)) as app:
        await opened(app)
        await app.see("4 today")
        assert any(worker.group == "activity" for worker in app.app.workers)
        await app.press("4")
        await app.until(lambda: app.app.screen.name == "hardware", "another view")
        await app.until(
            lambda: all(
                worker.group != "activity" or worker.is_finished for worker in app.app.workers
            ),
            "stopped",
        )
        await app.press("1")
        await app.until(lambda: app.app.screen is app.models, "closed")
