"""Finished requests and the names of their clients."""

from msgspec.structs import replace

from aitui.domain.clients import ClientNames
from aitui.domain.models import ActiveRequest, FinishedRequest
from aitui.services.activity import MOST_FINISHED, OwnReply, RequestLog

NAMES = ClientNames({"10.0.0.9": "phone"}, own_agent="aitui/1 (me@here; 7)")


def row(number: int, client: str = "10.0.0.9", model: str = "m") -> FinishedRequest:
    return FinishedRequest(model, at=float(number), id=number, client=client)


def request(agent: str, client: str = "10.0.0.9", model: str = "m") -> ActiveRequest:
    return ActiveRequest("1", model, client=client, user_agent=agent)


def test_rows_are_kept_once_the_newest_first() -> None:
    log = RequestLog(NAMES)
    log.record((row(1), row(3)))
    log.record((row(2), row(3)))
    assert [one.id for one in log.finished] == [3, 2, 1]
    log.record(tuple(row(number) for number in range(4, 2 * MOST_FINISHED)))
    assert len(log.finished) == MOST_FINISHED
    assert log.finished[0].id == 2 * MOST_FINISHED - 1


def test_a_row_has_the_program_that_was_seen_at_its_address() -> None:
    log = RequestLog(NAMES)
    log.record((row(1), row(2, "10.0.0.5")))
    assert [one.who for one in log.finished] == ["10.0.0.5", "phone"]
    log.observe(request("Open WebUI/0.6"))
    log.record((row(3),))
    assert [one.who for one in log.finished] == [
        "phone · Open WebUI",
        "10.0.0.5",
        "phone · Open WebUI",
    ]


def test_of_two_programs_at_an_address_the_one_that_just_ended_counts() -> None:
    log = RequestLog(NAMES)
    log.observe(request("pi/1"))
    other = log.observe(request("Zed/1"))
    log.record((row(1),))
    log.observe_end(other)
    log.record((row(2),))
    assert [one.who for one in log.finished] == ["phone · Zed", "phone"]


def test_a_row_without_an_address_has_the_client_of_the_request_that_just_ended() -> None:
    log = RequestLog(NAMES)
    log.observe_end(log.observe(request("aitui/1 (me@here; 7)", "127.0.0.1")))
    log.record((row(1, ""), row(2, "")))
    assert [one.who for one in log.finished] == ["", "this chat"]


STREAM = {"content-type": "text/event-stream"}


def streaming(number: int, received: int, who: str = "") -> ActiveRequest:
    return ActiveRequest(
        str(number), "m", received_bytes=received, response_headers=STREAM, who=who
    )


def test_the_size_of_a_token_is_learned_from_replies_that_ended() -> None:
    log = RequestLog(NAMES)
    first = log.measure(streaming(1, 24_000), 10.0)
    assert (first.replied, first.tokens, first.rate) == (10.0, None, None)
    log.observe_end(first)
    log.record((FinishedRequest("m", at=1.0, id=1, tokens=100, rate=50.0),))
    assert log.measure(streaming(2, 240), 20.0).rate == 50.0  # that of its last reply
    later = log.measure(streaming(2, 24_240), 22.0)
    assert (later.tokens, later.rate, later.exact) == (101, 50.0, False)
    assert log.measure(replace(streaming(3, 2_400), model="n"), 20.0).tokens == 10


def test_the_reply_in_our_own_chat_is_known_exactly() -> None:
    log = RequestLog(NAMES)
    log.own_reply = OwnReply("m", 7, 3.5)
    own = log.measure(streaming(1, 24_000, who="this chat"), 10.0)
    assert (own.tokens, own.rate, own.exact) == (7, 3.5, True)


def test_what_does_not_stream_has_no_rate() -> None:
    log = RequestLog(NAMES)
    log.record((FinishedRequest("m", at=1.0, id=1, tokens=100, rate=50.0),))
    assert log.measure(ActiveRequest("1", "m", received_bytes=9), 10.0).replied is None


def test_a_row_that_comes_before_the_end_of_its_request_is_completed_then() -> None:
    log = RequestLog(NAMES)
    log.record((replace(row(1), seconds=2.0), replace(row(2), seconds=9.0)), now=100.0)
    ended = replace(log.observe(request("pi/1")), started=98.0, session="s", replied=99.0)
    (completed,) = log.observe_end(ended, 100.1)
    assert (completed.id, completed.agent, completed.session) == (1, "pi/1", "s")
    assert completed.first_token == 1.0
    assert completed in log.finished
    # It isn't taken for one that ended long ago, nor for another's.
    assert log.observe_end(replace(ended, started=191.0), 200.0) == ()
    log.record((replace(row(3), seconds=30.0),), now=200.0)
    assert log.finished[0].agent == ""
