"""How other programs at the server are named, and what they wait for."""

import pytest

from aitui.domain.client_requests import list_uses
from aitui.domain.clients import ClientNames, client_name, parse_hosts
from aitui.domain.models import ActiveRequest, ActiveRequests, Model, ModelKind, RunState
from aitui.domain.snapshot import Snapshot


@pytest.mark.parametrize(
    ("address", "agent", "name"),
    [
        ("192.168.2.20", "OpenWebUI/0.6", "192.168.2.20 · OpenWebUI"),
        ("192.168.2.20", "Mozilla/5.0 (X11; Linux) Gecko", "192.168.2.20 · Mozilla"),
        ("10.0.0.7", "aitui/0.1.0 (anna@laptop)", "anna@laptop · aitui"),
        ("10.0.0.7", "", "10.0.0.7"),
        ("", "curl/8.1", "curl"),
        ("", "", "an unnamed client"),
    ],
)
def test_a_client_is_named_by_address_and_program(address: str, agent: str, name: str) -> None:
    assert client_name(ActiveRequest("1", "m", client=address, user_agent=agent)) == name


HOSTS = """
127.0.0.1   localhost
10.0.0.12   laptop.home.example laptop  # upstairs
::ffff:10.0.0.20  tablet
nonsense    evil
10.0.0.12   later
"""


@pytest.mark.parametrize(
    ("address", "agent", "name"),
    [
        ("10.0.0.12", "pi/0.31", "laptop · pi"),
        ("10.0.0.20", "Open WebUI/0.6 (x)", "phone · Open WebUI"),
        ("::ffff:10.0.0.20", "", "phone"),
        ("127.0.0.1", "curl/8", "localhost · curl"),
        ("10.0.0.99", "Zed/1", "10.0.0.99 · Zed"),
        ("", "Zed/1", "Zed"),
        ("10.0.0.12", "aitui/0.1 (me@laptop; 41)", "this chat"),
        ("10.0.0.12", "aitui/0.1 (me@laptop; 42)", "me@laptop · aitui"),
    ],
)
def test_an_address_goes_by_its_name(address: str, agent: str, name: str) -> None:
    names = ClientNames(
        {"10.0.0.20": "phone"}, parse_hosts(HOSTS.splitlines()), "aitui/0.1 (me@laptop; 41)"
    )
    assert names.label(address, agent) == name


def snapshot(*models: Model, requests: tuple[ActiveRequest, ...]) -> Snapshot:
    return Snapshot(models=models, requests=ActiveRequests(len(requests), requests))


def test_a_request_at_a_ready_model_uses_it() -> None:
    ready = Model("a", state=RunState.READY)
    (use,) = list_uses(snapshot(ready, requests=(ActiveRequest("1", "a"),)))
    assert (use.model, use.waits) == (ready, False)


def test_a_request_by_alias_uses_the_model_behind_it() -> None:
    ready = Model("a", aliases=("gpt",), state=RunState.READY)
    (use,) = list_uses(snapshot(ready, requests=(ActiveRequest("1", "gpt"),)))
    assert use.model is ready


def test_a_request_at_a_model_that_is_not_ready_waits_and_evicts() -> None:
    ready, wanted = Model("a", state=RunState.READY), Model("b")
    (use,) = list_uses(snapshot(ready, wanted, requests=(ActiveRequest("1", "b"),)))
    assert use.waits
    assert [victim.model for victim in use.evicts] == [ready]


def test_a_request_at_a_peer_waits_for_nobody_here() -> None:
    peer = Model("p", kind=ModelKind.PEER)
    (use,) = list_uses(snapshot(peer, requests=(ActiveRequest("1", "p"),)))
    assert not use.waits


def test_those_who_wait_come_after_those_who_are_served_each_the_oldest_first() -> None:
    found = list_uses(
        snapshot(
            Model("a", state=RunState.READY),
            Model("b"),
            requests=(
                ActiveRequest("late", "a", started=9.0),
                ActiveRequest("waits", "b", started=1.0),
                ActiveRequest("early", "a", started=2.0),
            ),
        )
    )
    assert [use.request.id for use in found] == ["early", "late", "waits"]
