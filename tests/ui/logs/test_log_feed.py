"""A log is followed across everything that may happen to the server."""

import asyncio
from time import monotonic

import pytest

from aitui.demo.dialect import Dialect
from aitui.domain.snapshot import Clock, Server
from aitui.errors import BadResponse, NoSuchModel
from aitui.services.logs import FeedPhase
from catalogue import ALIAS, ODD, QUICK, SLASH, dialects, each_dialect
from stand_in import ConnectionClose, GarbageBody, HtmlPage, StandIn
from ui.logs.reading import LogReader, log_reader


@each_dialect
async def test_history_comes_first_and_then_what_is_written(
    stand_in: StandIn, server: Server
) -> None:
    stand_in.write_log("before\n")
    async with log_reader(server) as reader:
        await reader.see("before")
        stand_in.write_log("after\n")
        await reader.see("after")
    assert reader.texts.index("before") < reader.texts.index("after")
    assert reader.marks == []


@pytest.mark.parametrize("name", [QUICK, ALIAS, SLASH, ODD])
async def test_the_log_of_a_stopped_model_is_read_without_loading_it(
    stand_in: StandIn, server: Server, name: str
) -> None:
    model_id = QUICK if name == ALIAS else name
    stand_in.write_log("said once\n", source=model_id)
    async with log_reader(server, name) as reader:
        await reader.see("said once")
    assert stand_in.running() == {}
    assert not any(request.path.startswith("/upstream") for request in stand_in.requests)


@dialects(Dialect.V217)
async def test_a_silent_model_is_waited_for(stand_in: StandIn, server: Server) -> None:
    async with log_reader(server, QUICK) as reader:
        while not any(QUICK in request.path for request in stand_in.requests):
            await asyncio.sleep(0.01)
        assert reader.feed.state.phase is FeedPhase.WAITING
        stand_in.write_log("at last\n", source=QUICK)
        await reader.see("at last")


async def test_an_unfinished_line_is_told(stand_in: StandIn, reader: LogReader) -> None:
    await reader.phase(FeedPhase.FOLLOWING)
    stand_in.write_log("loading ....")
    await reader.until(lambda: reader.unfinished and reader.unfinished.text == "loading ....")
    stand_in.write_log(". done\n")
    await reader.see("loading ..... done")


async def test_after_a_restart_lines_may_be_missing_and_it_says_so(
    stand_in: StandIn, reader: LogReader
) -> None:
    stand_in.write_log("old one\nold two\n")
    await reader.see("old two")
    await stand_in.stop()
    await reader.phase(FeedPhase.LOST)
    await stand_in.start()
    stand_in.write_log("new\n")
    await reader.see("new")
    assert len(reader.marks) == 1
    assert "lines may be missing here" in reader.marks[0]
    assert reader.texts.index("old two") < reader.texts.index(reader.marks[0])
    assert reader.texts.index(reader.marks[0]) < reader.texts.index("new")


async def test_after_a_reload_nothing_comes_twice(stand_in: StandIn, reader: LogReader) -> None:
    stand_in.write_log("old one\nold two\n")
    await reader.see("old two")
    await stand_in.reload()
    await reader.until(lambda: reader.marks)
    stand_in.write_log("new\n")
    await reader.see("new")
    assert len(reader.marks) == 1
    assert "no gap, unless the server dropped lines" in reader.marks[0]
    assert reader.texts.count("old two") == reader.texts.count("new") == 1


async def test_a_line_cut_by_a_break_is_kept_whole_or_in_its_part(
    stand_in: StandIn, reader: LogReader
) -> None:
    stand_in.write_log("one\ntwo\nhalf of")
    await reader.until(lambda: reader.unfinished)
    await stand_in.stop()
    await reader.phase(FeedPhase.LOST)
    await stand_in.start()
    await reader.until(lambda: reader.marks)
    assert "half of" in reader.texts


async def test_many_breaks_in_a_row_leave_one_mark(stand_in: StandIn, reader: LogReader) -> None:
    stand_in.write_log("old one\nold two\n")
    await reader.see("old two")
    stand_in.fault("/logs/stream", ConnectionClose(), times=3)
    await stand_in.reload()
    await reader.until(lambda: reader.marks)
    stand_in.write_log("new\n")
    await reader.see("new")
    assert len(reader.marks) == 1


async def test_pauses_between_tries_grow(stand_in: StandIn, reader: LogReader) -> None:
    await reader.phase(FeedPhase.FOLLOWING)
    stand_in.fault("/logs/stream", ConnectionClose())
    await stand_in.reload()
    pauses: list[float] = []
    while len(pauses) < 3:
        await reader.phase(FeedPhase.LOST)
        pauses.append((reader.feed.state.retry_at or 0) - monotonic())
        reader.feed.retry_now()
        await reader.until(lambda: reader.feed.state.phase is not FeedPhase.LOST)
    assert pauses[2] > pauses[1]
    assert all(0 < pause < 30 for pause in pauses)


async def test_trying_again_can_be_had_at_once(stand_in: StandIn, server: Server) -> None:
    stand_in.fault("/logs/stream", ConnectionClose(), times=1)
    async with log_reader(server) as reader:
        await reader.phase(FeedPhase.LOST)
        assert reader.feed.state.error is not None
        reader.feed.retry_now()
        await reader.phase(FeedPhase.FOLLOWING)


async def test_a_sleep_of_the_machine_opens_the_stream_anew(
    stand_in: StandIn, server: Server
) -> None:
    slept = 0.0
    clock = Clock(monotonic, lambda: monotonic() + slept)
    stand_in.write_log("old one\nold two\n")
    async with log_reader(server, clock=clock) as reader:
        await reader.see("old two")
        slept = 3600.0
        await reader.until(lambda: reader.marks)
    assert reader.texts.count("old two") == 1


async def test_an_unknown_model_is_told(server: Server, stand_in: StandIn) -> None:
    async with log_reader(server, "nobody") as reader:
        await reader.phase(FeedPhase.LOST)
        assert isinstance(reader.feed.state.error, NoSuchModel)


async def test_a_web_page_is_no_log(server: Server, stand_in: StandIn) -> None:
    stand_in.fault("/logs/stream", HtmlPage())
    async with log_reader(server) as reader:
        await reader.phase(FeedPhase.LOST)
        assert isinstance(reader.feed.state.error, BadResponse)


async def test_bytes_that_are_no_text_stay_harmless(server: Server, stand_in: StandIn) -> None:
    stand_in.fault("/logs/stream", GarbageBody(100_000))
    async with log_reader(server) as reader:
        await reader.phase(FeedPhase.LOST)
    assert reader.lines
    assert all(line.text.isprintable() or "�" in line.text for line in reader.lines)


async def test_what_nobody_takes_is_bounded_and_counted(
    stand_in: StandIn, reader: LogReader
) -> None:
    await reader.phase(FeedPhase.FOLLOWING)
    reader.feed._arrived.most_lines = 100
    stand_in.write_log("".join(f"line {number}\n" for number in range(1000)))
    await reader.feed.wait_for_news()
    while "line 999" not in [line.text for line in reader.feed._arrived]:
        await asyncio.sleep(0.01)
    reader.take()
    assert len(reader.lines) < 110
    assert "lines that arrived too fast to be shown" in reader.marks[0]
