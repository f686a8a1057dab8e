"""The whole client through Debian's Caddy with the set-up guide's block and certificates."""

import asyncio
import ssl
from urllib.parse import urlsplit

import pytest

from aitui.demo.dialect import Dialect
from aitui.domain.events import ModelStatusChanged
from aitui.domain.models import RunState
from aitui.domain.snapshot import Server
from aitui.errors import LoadFailed
from aitui.llamaswap.client import LlamaSwapClient
from catalogue import OUT_OF_MEMORY, QUICK, SLASH
from e2e.caddy.proxy import Caddy
from stand_in import StandIn

pytestmark = pytest.mark.real_server("caddy")

PATIENCE = 20.0
"""Seconds after which something that was to come counts as missing."""

each_upstream = pytest.mark.parametrize(
    "upstream", list(Dialect), indirect=True, ids=lambda dialect: dialect.value
)


@each_upstream
async def test_the_models_are_listed(behind_caddy: Server) -> None:
    async with LlamaSwapClient(behind_caddy) as client:
        assert QUICK in {model.id for model in await client.models()}


async def test_a_load_and_an_unload_show_in_running(behind_caddy: Server) -> None:
    async with LlamaSwapClient(behind_caddy) as client:
        await client.load(QUICK)
        assert [(model.id, model.state) for model in await client.running()] == [
            (QUICK, RunState.READY)
        ]
        await client.unload(QUICK)
        assert await client.running() == ()


async def test_an_id_with_a_slash_reaches_the_server_whole(behind_caddy: Server) -> None:
    async with LlamaSwapClient(behind_caddy) as client:
        await client.load(SLASH)
        assert [model.id for model in await client.running()] == [SLASH]


async def test_a_load_that_fails_is_not_taken_for_the_proxys_trouble(behind_caddy: Server) -> None:
    async with LlamaSwapClient(behind_caddy) as client:
        with pytest.raises(LoadFailed):
            await client.load(OUT_OF_MEMORY)


async def test_version_and_health_come_through(behind_caddy: Server) -> None:
    async with LlamaSwapClient(behind_caddy) as client:
        await client.health()
        assert (await client.version()).version == "218"


@each_upstream
async def test_an_event_arrives_while_its_stream_is_open(behind_caddy: Server) -> None:
    async with (
        asyncio.timeout(PATIENCE),
        LlamaSwapClient(behind_caddy) as client,
        client.events() as events,
    ):
        async for event in events:
            if isinstance(event, ModelStatusChanged):
                break
        await client.load(QUICK)
        async for event in events:
            if isinstance(event, ModelStatusChanged) and RunState.READY in {
                status.state for status in event.models
            }:
                return
    pytest.fail("the stream ended before the event came")


async def test_each_line_of_a_log_arrives_before_the_next_is_written(
    upstream: StandIn, behind_caddy: Server
) -> None:
    lines = [f"line {number}\n" for number in range(3)]
    order: list[str] = []
    async with (
        asyncio.timeout(PATIENCE),
        LlamaSwapClient(behind_caddy) as client,
        client.log("upstream", history=False) as pieces,
    ):
        for line in lines:
            upstream.write_log(line, source="upstream")
            order.append(f"wrote {line}")
            order.append(f"read {await anext(pieces)}")
    assert order == [f"{verb} {line}" for line in lines for verb in ("wrote", "read")]


async def test_closing_a_stream_is_seen_behind_the_proxy(behind_caddy: Server) -> None:
    async with (
        asyncio.timeout(PATIENCE),
        LlamaSwapClient(behind_caddy) as client,
        client.log("proxy", history=False) as pieces,
    ):
        async with client.events() as events:
            await anext(events)
        # The server writes a request's line when it has ended.
        seen = ""
        async for piece in pieces:
            seen += piece
            if '"GET /api/events HTTP/1.1"' in seen:
                return
    pytest.fail(f"the log ended before the closed stream's line came: {seen}")


async def test_a_reload_ends_the_streams_cleanly(upstream: StandIn, behind_caddy: Server) -> None:
    async with (
        asyncio.timeout(PATIENCE),
        LlamaSwapClient(behind_caddy) as client,
        client.events() as events,
    ):
        await anext(events)
        await upstream.reload()
        async for _ in events:
            pass
        await client.health()


async def test_the_guides_root_works_where_strict_verification_is_the_default(
    monkeypatch: pytest.MonkeyPatch, behind_caddy: Server
) -> None:
    usual = ssl.create_default_context

    def as_in_python_3_13(*arguments: str, **named: str) -> ssl.SSLContext:
        context = usual(*arguments, **named)  # type: ignore[arg-type]
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    monkeypatch.setattr(ssl, "create_default_context", as_in_python_3_13)
    async with LlamaSwapClient(behind_caddy) as client:
        await client.health()


async def test_strict_verification_itself_rejects_the_guides_root(
    caddy: Caddy, behind_caddy: Server
) -> None:
    strict = ssl.create_default_context(cafile=str(behind_caddy.ca))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    address = urlsplit(caddy.url)
    with pytest.raises(ssl.SSLCertVerificationError, match="key usage"):
        await asyncio.open_connection(address.hostname, address.port, ssl=strict)
