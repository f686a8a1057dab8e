"""Every question that would cut or evict somebody names them, and who waits for what."""

import asyncio
from pathlib import Path

from aitui.demo.certificates import Certificates
from aitui.demo.dialect import Dialect
from aitui.domain.eviction import MOST_CLIENTS_SHOWN
from aitui.domain.models import ActiveRequest, ActiveRequests, Model, RunState
from aitui.domain.snapshot import Server, Snapshot
from aitui.services.load import load_confirmation
from aitui.services.unload import unload_all_confirmation, unload_confirmation
from catalogue import ALIAS, QUICK, SLOW, STEADY, dialects
from other_client import chat
from stand_in import StandIn
from ui.driven import driven

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
    assert f"in use by {PHONE}" in load_confirmation(WANTED, BOTH).facts


def test_a_load_names_who_waits_and_whom_that_evicts() -> None:
    facts = load_confirmation(WANTED, BOTH).facts
    assert f"{LAPTOP} waits for {STEADY}, which evicts ≈ {QUICK}" in facts


def test_an_unload_names_who_uses_the_model_also_by_an_alias() -> None:
    assert f"in use by {PHONE}" in unload_confirmation(QUICK, BOTH).facts


def test_unloading_everything_names_everybody() -> None:
    facts = unload_all_confirmation(BOTH).facts
    assert f"in use by {PHONE}: {QUICK}" in facts
    assert f"{LAPTOP} waits for {STEADY}, which evicts ≈ {QUICK}" in facts


def test_of_very_many_the_first_are_named_and_the_others_counted() -> None:
    crowd = (request(number, QUICK, f"10.0.0.{number}", "curl/8") for number in range(20))
    facts = unload_confirmation(QUICK, busy(*crowd)).facts
    assert sum(fact.startswith("in use by") for fact in facts) == MOST_CLIENTS_SHOWN
    assert f"and {20 - MOST_CLIENTS_SHOWN} more" in facts


def test_a_server_that_tells_only_a_number_has_that_told() -> None:
    snapshot = Snapshot(
        models=(Model(QUICK, state=RunState.READY), Model(STEADY)), requests=ActiveRequests(total=3)
    )
    assert "3 running requests will be cut off." in unload_all_confirmation(snapshot).facts
    assert "3 requests are running" in " ".join(load_confirmation(STEADY, snapshot).facts)


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
