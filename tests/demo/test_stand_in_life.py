"""How the stand-in comes, goes, comes back, and keeps others out."""

from __future__ import annotations

import asyncio
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest

from aitui.demo import visitors
from aitui.demo.catalogue import CODER, EMBEDDING, GPT_OSS, QWEN
from aitui.demo.certificates import Certificates
from aitui.demo.conversations import PAST
from aitui.demo.dialect import Dialect
from aitui.demo.log_ring import Broadcast
from aitui.demo.world import DemoEnvironment, demo_world
from aitui.store.history import FILE_NAME, ConversationHistory
from certificates import (
    encrypt_client_key,
    make_certificates,
    make_expired_client,
    make_foreign_certificates,
)
from demo.lab import lab_config, open_lab
from stand_in import (
    ConnectionClose,
    Fault,
    FixedResponse,
    GarbageBody,
    Hang,
    HtmlPage,
    SlowBody,
    StandIn,
    WrongTypes,
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def client_context(root: Path, pair: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=root)
    if pair:
        context.load_cert_chain(*pair)
    return context


async def get(server: StandIn, context: ssl.SSLContext) -> int:
    connector = aiohttp.TCPConnector(ssl=context)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"{server.url}/running") as response,
    ):
        return response.status


async def test_a_client_certificate_lets_in(certificates: Certificates) -> None:
    own = certificates.client_cert, certificates.client_key
    async with StandIn(lab_config(Dialect.V218), certificates=certificates) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert await get(server, client_context(certificates.root_ca, own)) == 200


async def test_no_client_certificate_is_refused(certificates: Certificates) -> None:
    async with StandIn(lab_config(Dialect.V218), certificates=certificates) as server:
        with pytest.raises(aiohttp.ClientError):
            await get(server, client_context(certificates.root_ca, None))


async def test_an_expired_client_certificate_is_refused(certificates: Certificates) -> None:
    expired = make_expired_client(certificates)
    async with StandIn(lab_config(Dialect.V218), certificates=certificates) as server:
        with pytest.raises(aiohttp.ClientError):
            await get(server, client_context(certificates.root_ca, expired))


async def test_a_foreign_client_certificate_is_refused(
    certificates: Certificates, tmp_path: Path
) -> None:
    foreign = make_foreign_certificates(tmp_path)
    pair = foreign.client_cert, foreign.client_key
    async with StandIn(lab_config(Dialect.V218), certificates=certificates) as server:
        with pytest.raises(aiohttp.ClientError):
            await get(server, client_context(certificates.root_ca, pair))


def test_private_keys_are_for_their_owner_only(certificates: Certificates) -> None:
    keys = [certificates.client_key, certificates.server_key, encrypt_client_key(certificates, "x")]
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


def test_the_root_has_no_key_usage_as_the_guide_makes_it(certificates: Certificates) -> None:
    context = client_context(certificates.root_ca, None)
    assert not context.get_ca_certs()[0].get("keyUsage")


async def test_after_a_stop_nothing_listens_and_after_a_start_the_same_port_does() -> None:
    async with open_lab(Dialect.V218) as lab:
        url = lab.server.url
        await lab.server.stop()
        with pytest.raises(aiohttp.ClientConnectionError):
            await lab.get("/running")
        await lab.server.start()
        assert lab.server.url == url
        assert (await lab.get("/running"))[0] == 200


@pytest.mark.parametrize("dialect", Dialect)
async def test_a_reload_ends_streams_cleanly_and_cuts_chats(dialect: Dialect) -> None:
    async with open_lab(dialect) as lab:
        await lab.load("slow-start")
        events = lab.beside(lab.get("/api/events"))
        log = lab.beside(lab.get("/logs/stream/proxy"))
        chat = lab.beside(lab.chat("slow-start"))
        await lab.until(lambda: len(lab.server.requests) == 4)
        await asyncio.sleep(0.04)
        await lab.server.reload()
        async with asyncio.timeout(2):
            assert (await events)[0] == 200
            assert (await log)[0] == 200
            status, body = await chat
        assert status == 200
        assert "[DONE]" not in body
        assert lab.server.running() == {}


async def test_a_reload_with_invalid_yaml_keeps_everything() -> None:
    async with open_lab(Dialect.V218) as lab:
        await lab.load("qwen3-8b")
        await lab.server.reload("models: [")
        assert lab.server.running() == {"qwen3-8b": "ready"}
        assert "[WARN] failed to reload config" in (await lab.get("/logs"))[1]


async def test_a_reload_brings_a_new_model() -> None:
    async with open_lab(Dialect.V218) as lab:
        text = lab_config(Dialect.V218).replace('"broken":', '"added-later":')
        await lab.server.reload(text)
        assert '"added-later"' in (await lab.get("/v1/models"))[1]


async def test_every_request_is_kept_as_it_came() -> None:
    async with open_lab(Dialect.V218) as lab:
        await lab.post("/api/models/unload/author%2Fgemma-3%3A27b-q4?x=1", {"a": 1})
        request = lab.server.requests[-1]
        assert (request.method, request.path) == (
            "POST",
            "/api/models/unload/author%2Fgemma-3%3A27b-q4?x=1",
        )
        assert request.body == b'{"a": 1}'


@pytest.mark.parametrize(
    ("fault", "status", "beginning"),
    [
        (GarbageBody(100), 200, ""),
        (HtmlPage(502), 502, "<!doctype html>"),
        (FixedResponse(500, b"no"), 500, "no"),
        (WrongTypes(), 200, '{"running":7'),
        (SlowBody(b"[]", 0.001), 200, "[]"),
        (Hang(0.01), 504, ""),
    ],
)
async def test_misbehaves_to_order(fault: Fault, status: int, beginning: str) -> None:
    async with open_lab(Dialect.V218) as lab:
        lab.server.fault("/running", fault, times=1)
        async with lab.client.get(f"{lab.server.url}/running") as response:
            body = await response.read()
        assert response.status == status
        assert body.decode(errors="replace").startswith(beginning)
        assert (await lab.get("/running"))[0] == 200


@pytest.mark.parametrize("fault", [ConnectionClose(), ConnectionClose(b"[")])
async def test_breaks_connections_to_order(fault: Fault) -> None:
    async with open_lab(Dialect.V218) as lab:
        lab.server.fault("/running", fault)
        with pytest.raises(aiohttp.ClientError):
            await lab.get("/running")


async def test_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    async with open_lab(Dialect.HEAD) as lab:
        lab.beside(lab.get("/api/events"))
        lab.beside(lab.load("slow-start"))
        await lab.load("ttl-short")
    assert asyncio.all_tasks() == before


async def test_the_log_stream_of_a_silent_model_has_no_headers_on_v217() -> None:
    async with open_lab(Dialect.V217) as lab:
        request = lab.beside(lab.get("/logs/stream/hidden-embed"))
        await asyncio.sleep(0.1)
        assert not request.done()


async def test_the_demo_world_vanishes_also_when_something_goes_wrong() -> None:
    before = asyncio.all_tasks()
    folders = []

    async def go_wrong() -> None:
        async with demo_world() as world:
            folders.append(world.folder)
            assert (world.folder / "config").is_dir()
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        await go_wrong()
    assert not folders[0].exists()
    assert asyncio.all_tasks() == before


async def test_the_demo_begins_with_a_past_and_clients_of_its_own() -> None:
    async with demo_world() as world, connected(world) as session:
        rows = await fetch(session, "/api/metrics/activity?limit=999")
        past = await fetch(session, "/api/performance")
        assert world.server.running() == {QWEN: "ready", CODER: "starting", EMBEDDING: "ready"}
        async with asyncio.timeout(3), session.get("/api/events") as response:
            while (line := await response.content.readline()) and b"inflight" not in line:
                pass
    assert len({row["src"] for row in rows["data"]}) == 3
    assert {row["resp_status_code"] for row in rows["data"]} == {200, 429, 499, 500}
    first, *_, last = (at["timestamp"] for at in past["sys_stats"])
    hour = datetime.fromisoformat(last) - datetime.fromisoformat(first)
    assert hour > timedelta(minutes=59)
    for client in ("pi/", "Open WebUI/"):
        assert client in line.decode()


async def test_the_load_that_fails_in_the_demo_waits_until_it_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events, visited = Broadcast[str](), []

    async def visit(_swap: object, request: visitors.Visit) -> None:
        visited.append(request.model)
        raise EOFError

    async def sleep(_seconds: float) -> None: ...

    monkeypatch.setattr(visitors, "visit", visit)
    monkeypatch.setattr(visitors, "asyncio", SimpleNamespace(sleep=sleep))
    swap = SimpleNamespace(events=events, processes={GPT_OSS: object()})
    server = cast("StandIn", SimpleNamespace(swap=swap))
    *others, desk = visitors.Visitors(server, Random(1)).scripts()
    for script in others:
        script.close()
    trying = asyncio.create_task(desk)
    await asyncio.sleep(0)
    assert visited == []
    with events.reader(1), pytest.raises(EOFError):
        await trying
    assert visited == [GPT_OSS]


async def test_every_demo_has_the_same_past() -> None:
    pasts = []
    for _ in range(2):
        async with demo_world(wall=lambda: 1_800_000_000.0) as world, connected(world) as session:
            paths = ("/api/metrics/activity?limit=999", "/running")
            performance = await fetch(session, "/api/performance")
            # More samples are taken while the demo runs, however long that is.
            samples = [
                sample
                for kind in ("gpu_stats", "sys_stats")
                for sample in performance[kind]
                if sample["timestamp"] < "2027-01-15T08:00:00"
            ]
            pasts.append([samples, *[await fetch(session, path) for path in paths]])
    assert len(pasts[0][0]) > 1000
    assert pasts[0] == pasts[1]


async def test_no_command_of_the_demo_has_a_flag_of_the_stand_in() -> None:
    async with demo_world() as world, connected(world) as session:
        commands = (await fetch(session, "/running"))["running"][0]["cmd"]
        text = world.config_file.read_text()
    assert "--ctx-size 131072" in commands
    for flag in ("--chunks", "--tokens-per-second", "-mib", "-delay", "--fail", "--kv-heads"):
        assert flag not in text


@asynccontextmanager
async def connected(world: DemoEnvironment) -> AsyncIterator[aiohttp.ClientSession]:
    pair = world.certificates.client_cert, world.certificates.client_key
    connector = aiohttp.TCPConnector(ssl=client_context(world.certificates.root_ca, pair))
    async with aiohttp.ClientSession(world.url, connector=connector) as session:
        yield session


async def fetch(session: aiohttp.ClientSession, path: str) -> Any:
    async with session.get(path) as response:
        return await response.json()


async def test_the_demo_has_conversations_of_other_days() -> None:
    async with demo_world() as world:
        history = await ConversationHistory.open(world.folder / "data" / FILE_NAME)
        try:
            async with asyncio.timeout(5):
                while len(found := await history.conversations()) < len(PAST):
                    await asyncio.sleep(0.02)
            assert (await history.resume(found[0].id, str)).conversation.heading == PAST[0].title
        finally:
            await history.close()
