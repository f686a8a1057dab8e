"""Every question that would cut or evict somebody names them, and who waits for what."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from aitui.demo.certificates import Certificates
from aitui.demo.dialect import Dialect
from aitui.domain.client_requests import MOST_CLIENTS_SHOWN
from aitui.domain.confirmation import Confirmation
from aitui.domain.memory.footprint import Footprint
from aitui.domain.models import ActiveRequest, ActiveRequests, Model, RunState
from aitui.domain.snapshot import ConnectionPhase, ConnectionStatus, Server, Snapshot
from aitui.services import reload
from aitui.services.config_change import undo_confirmation
from aitui.services.load import load_confirmation
from aitui.services.unload import unload_all_confirmation, unload_confirmation
from aitui.store.journal import JournalEntry
from catalogue import ALIAS, QUICK, SLOW, STEADY, dialects
from other_client import chat
from stand_in import StandIn
from ui.driven import driven

if TYPE_CHECKING:
    from aitui.services.host_admin import HostAdmin

PHONE, LAPTOP = "192.168.2.31 · OpenWebUI", "192.168.2.32 · pi"
WANTED = "wanted"


def request(number: int, model: str, client: str, agent: str) -> ActiveRequest:
    return ActiveRequest(str(number), model, client=client, user_agent=agent)


def busy(*requests: ActiveRequest) -> Snapshot:
    return Snapshot(
        models=(
            Model(QUICK, state=RunState.READY, aliases=(ALIAS,), requests=1),
            Model(STEADY),
            Model(WANTED),
        ),
        requests=ActiveRequests(total=len(requests), running=requests),
    )


BOTH = busy(
    request(1, ALIAS, "192.168.2.31", "OpenWebUI/0.6"),
    request(2, STEADY, "192.168.2.32", "pi/1.0"),
)


def test_a_load_names_who_uses_its_victim() -> None:
    assert f"in use by {PHONE}" in load_confirmation(WANTED, BOTH).lines


def test_a_load_names_who_waits_and_whom_that_evicts() -> None:
    facts = load_confirmation(WANTED, BOTH).lines
    assert f"{LAPTOP} waits for {STEADY}, which evicts ≈ {QUICK}" in facts


TWO = Snapshot(
    ConnectionStatus(ConnectionPhase.LIVE, last_response_at=100.0),
    (
        Model(QUICK, state=RunState.READY, memory=Footprint(8192, 4 << 30)),
        Model(STEADY, state=RunState.READY, memory=Footprint(8192, 9 << 30)),
        Model(WANTED, state=RunState.STARTING),
    ),
    requests=ActiveRequests(
        2,
        (
            ActiveRequest(
                "1", QUICK, client="192.168.2.31", user_agent="OpenWebUI/0.6", started=95
            ),
            ActiveRequest("2", STEADY, client="192.168.2.32", user_agent="pi/1.0", started=35.0),
            ActiveRequest("3", WANTED, client="192.168.2.32", user_agent="pi/1.0", started=99.0),
        ),
    ),
)
ENTRY = JournalEntry("1", 0.0, "home", "home", "config.yaml", "", "", QUICK, "--ctx-size", "1", "2")
ENDS_ALL: dict[str, Callable[[Snapshot], Confirmation]] = {
    "unload all": unload_all_confirmation,
    "undo": lambda now: undo_confirmation(ENTRY, "12:41", now),
}


@pytest.mark.parametrize("asked", [*ENDS_ALL, "reload", "restart"])
async def test_what_ends_everything_names_every_model_and_every_request(
    asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = ENDS_ALL.get(asked)
    if build is not None:
        confirmation = build(TWO)
    else:
        confirmation = await confirmation_of(asked, monkeypatch)
    quick, steady, loading = confirmation.costs
    assert (quick.model, quick.outcome) == (QUICK, "unloads, ≈4.0 GB")
    assert quick.costs == (f"cuts off 1 request: {PHONE}",)
    assert (steady.model, steady.outcome) == (STEADY, "unloads, ≈9.0 GB")
    assert steady.costs == (f"cuts off 1 request: {LAPTOP}, running for 1m 00s or more",)
    assert (loading.model, loading.outcome) == (WANTED, "load aborted")
    assert loading.costs == (f"1 waiting request gets an error: {LAPTOP}",)
    assert "stays" not in str(confirmation)
    assert "keeps" not in str(confirmation)


async def confirmation_of(asked: str, monkeypatch: pytest.MonkeyPatch) -> Confirmation:
    """The question of a reload or a restart, whose config file is valid."""

    async def valid(*_: object) -> None:
        pass

    monkeypatch.setattr(reload, "refuse_invalid_config", valid)
    admin = SimpleNamespace(
        server=Server("http://home", identity="home"),
        service=SimpleNamespace(unit="llama-swap.service"),
    )
    found: list[Confirmation] = []

    async def ask(build: Callable[[Snapshot], Confirmation]) -> bool:
        found.append(build(TWO))
        return False

    confirm = reload.confirm_reload if asked == "reload" else reload.confirm_restart
    await confirm(cast("HostAdmin", admin), ask)
    return found[0]


def test_an_unload_names_who_uses_the_model_also_by_an_alias() -> None:
    assert f"in use by {PHONE}" in unload_confirmation(QUICK, BOTH).lines


def test_unloading_everything_names_everybody() -> None:
    facts = unload_all_confirmation(BOTH).lines
    assert f"cuts off 1 request: {PHONE}" in facts
    assert f"{LAPTOP} waits for {STEADY}, which evicts ≈ {QUICK}" in facts


def test_of_very_many_the_first_are_named_and_the_others_counted() -> None:
    crowd = (request(number, QUICK, f"10.0.0.{number}", "curl/8") for number in range(20))
    facts = unload_confirmation(QUICK, busy(*crowd)).lines
    assert sum(fact.startswith("in use by") for fact in facts) == MOST_CLIENTS_SHOWN
    assert f"and {20 - MOST_CLIENTS_SHOWN} more" in facts


def test_each_request_that_is_cut_off_is_named_once() -> None:
    snapshot = busy(request(1, QUICK, "10.0.0.1", "curl/8"))
    question = unload_all_confirmation(snapshot)
    assert [line for line in question.lines if "cut" in line] == [
        "cuts off 1 request: 10.0.0.1 · curl"
    ]
    assert "No active requests." in unload_all_confirmation(busy()).lines


def test_a_server_that_tells_only_a_number_has_that_told() -> None:
    snapshot = Snapshot(
        models=(Model(QUICK, state=RunState.READY), Model(STEADY)), requests=ActiveRequests(total=3)
    )
    assert "3 running requests will be cut off." in unload_all_confirmation(snapshot).lines
    assert "3 requests are running" in " ".join(load_confirmation(STEADY, snapshot).lines)


@dialects(Dialect.HEAD)
async def test_the_dialog_on_screen_names_them(
    stand_in: StandIn, certificates: Certificates, server: Server, tmp_path: Path
) -> None:
    async with (
        driven(server, tmp_path) as app,
        asyncio.TaskGroup() as others,
        stand_in.busy(QUICK, remote_ip="192.168.2.31", user_agent="OpenWebUI/0.6"),
    ):
        await app.until_ready(QUICK)
        others.create_task(chat(stand_in, certificates, STEADY))
        await app.see("waiting")
        app.go_to(SLOW)
        await app.press("l")
        await app.see(f"Load {SLOW}?", f"in use by {PHONE}", f"waits for {STEADY}")
        await app.answer("n")
