"""What a server can make grow has a limit, and an event costs by what it changes."""

import time
from typing import Any

from aitui.domain.events import ModelStatusChanged, RequestEnded, RequestsListed, RequestUpdated
from aitui.domain.models import (
    MAX_MODELS,
    MOST_REQUESTS,
    MOST_REQUESTS_COUNTED,
    ActiveRequest,
    ModelStatus,
    RunState,
)
from aitui.domain.server import Clock
from aitui.services.state import ServerState


def state() -> ServerState:
    """A server of which nothing is known yet."""
    return ServerState(Clock(time.monotonic, time.time))


def request(number: int) -> ActiveRequest:
    """A request of a model of its own."""
    return ActiveRequest(id=str(number), model=f"model {number}", started=0.0)


def largest_collection(thing: object) -> int:
    """The length of the longest collection that an object holds, or one that it holds does."""
    slots = [name for one in type(thing).__mro__ for name in getattr(one, "__slots__", ())]
    fields: list[Any] = [*getattr(thing, "__dict__", {}).values()]
    fields += [getattr(thing, name) for name in slots if hasattr(thing, name)]
    return max(
        (
            len(it)
            if isinstance(it, dict | set | frozenset | list | tuple)
            else largest_collection(it)
            for it in fields
            if type(it).__module__.startswith(("aitui.", "builtins"))
        ),
        default=0,
    )


def test_of_endless_requests_the_first_are_listed_and_the_others_counted() -> None:
    known = state()
    for number in range(3 * MOST_REQUESTS):
        known.apply_event(RequestUpdated(request(number)))
        known.apply_event(RequestUpdated(request(number)))

    shown = known.requests
    assert shown.running is not None
    assert (len(shown.running), shown.total) == (MOST_REQUESTS, 3 * MOST_REQUESTS)
    assert shown.unlisted == 2 * MOST_REQUESTS

    for number in range(3 * MOST_REQUESTS):
        known.apply_event(RequestEnded(str(number)))
    assert (known.requests.running, known.requests.total) == ((), 0)


def test_nothing_grows_with_the_names_that_a_server_makes_up() -> None:
    known = state()
    known.apply_event(RequestsListed(tuple(map(request, range(2 * MOST_REQUESTS_COUNTED)))))
    for number in range(2 * MAX_MODELS):
        known.apply_event(RequestUpdated(request(number)))
        known.apply_event(RequestEnded(str(number)))
        known.set_expected_loads(f"model {number}", {0: 1.0})
    for number in range(0, 4 * MAX_MODELS, MAX_MODELS // 2):
        for run_state in (RunState.STOPPED, RunState.STARTING, RunState.READY):
            names = (f"name {one}" for one in range(number, number + MAX_MODELS // 2))
            known.update_statuses(
                ModelStatusChanged(tuple(ModelStatus(id=name, state=run_state) for name in names))
            )

    assert largest_collection(known) <= MOST_REQUESTS_COUNTED


def test_an_event_costs_as_much_with_many_requests_as_with_few() -> None:
    def cost(count: int) -> float:
        known = state()
        known.apply_event(RequestsListed(tuple(map(request, range(count)))))
        begun = time.thread_time()
        for number in range(count, count + 2000):
            known.apply_event(RequestUpdated(request(number)))
            assert known.requests.total is not None
        return time.thread_time() - begun

    assert cost(16 * MOST_REQUESTS) < 8 * cost(MOST_REQUESTS)
