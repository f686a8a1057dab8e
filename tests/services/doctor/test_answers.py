"""What the server answers, events, views and clock."""

import asyncio
from dataclasses import dataclass
from time import monotonic, time

import aiohttp
import pytest
from msgspec.structs import replace

from aitui.demo.answers import ChunkedResponse, Response
from aitui.demo.call import IncomingRequest
from aitui.demo.dialect import Dialect
from aitui.domain.checks import CheckStatus, exit_code
from aitui.domain.snapshot import Clock, Server
from aitui.llamaswap.client import LlamaSwapClient
from aitui.services.doctor import server as event_checks
from catalogue import CATALOGUE, QUICK, dialects
from services.doctor.examined import examined
from stand_in import ConnectionClose, Fault, FixedResponse, Hang, HtmlPage, StandIn


async def test_what_runs_is_named(server: Server) -> None:
    async with LlamaSwapClient(server) as client:
        await client.load(QUICK)
    assert (await examined(server))["/running"].seen == f"{QUICK} ready"


async def test_the_models_are_counted(server: Server) -> None:
    async with LlamaSwapClient(server) as client:
        listed = await client.models()
    assert (await examined(server))["/v1/models"].seen == f"{len(listed)} models"


async def test_a_proxy_without_its_llama_swap_is_told(stand_in: StandIn, server: Server) -> None:
    stand_in.fault("/", FixedResponse(502, b"", ""))
    report = await examined(server)
    assert report.status("certificate accepted") is CheckStatus.PASSED
    assert report.failed == ["/health"]
    assert "but llama-swap behind it does not respond" in report["/health"].seen
    assert report["/health"].remedy == "check and restart llama-swap.service"
    assert exit_code(report.checks) == 3


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (HtmlPage(), "something other than OK"),
        (FixedResponse(200, b"", "text/plain"), "a host name it does not serve"),
        (FixedResponse(404, b"404 page not found", "text/plain"), "has no GET /health"),
    ],
)
async def test_a_health_that_isnt_llama_swaps_is_told(
    stand_in: StandIn, server: Server, fault: FixedResponse, words: str
) -> None:
    stand_in.fault("/health", fault)
    report = await examined(server)
    assert report.failed == ["/health"]
    assert words in report["/health"].seen
    assert report.status("/v1/models") is CheckStatus.PASSED


@pytest.mark.parametrize("path", ["/v1/models", "/running"])
async def test_an_endpoint_that_answers_nonsense_is_told(
    stand_in: StandIn, server: Server, path: str
) -> None:
    stand_in.fault(path, FixedResponse(200, b"{]", "application/json"))
    report = await examined(server)
    assert path in report.failed
    assert "can't be its JSON" in report[path].seen


async def test_a_wrong_api_key_is_told(server: Server, certificates: object) -> None:
    guarded = f"apiKeys: [right]\n{CATALOGUE}"
    async with StandIn(guarded, Dialect.V218) as there:
        report = await examined(Server(there.url, identity="x", api_key="wrong"))
    assert report.status("/health") is CheckStatus.PASSED
    assert "doesn't accept the API key" in report["/v1/models"].seen
    assert report["/v1/models"].remedy == "set the server's api_key"


@dialects(*Dialect)
async def test_events_flow_while_their_stream_is_open(server: Server) -> None:
    report = await examined(server)
    check = report["/api/events"]
    assert (report.failed, check.status) == ([], CheckStatus.PASSED)
    assert check.seen.startswith("the server's state after")


async def test_events_that_are_held_back_are_told(
    monkeypatch: pytest.MonkeyPatch, stand_in: StandIn, server: Server
) -> None:
    monkeypatch.setattr(event_checks, "FIRST_EVENT_SECONDS", 0.2)
    stand_in.fault("/api/events", Hang())
    check = (await examined(server))["/api/events"]
    assert check.status is CheckStatus.FAILED
    assert "a proxy in between delays it" in check.seen
    assert "flush_interval -1" in check.remedy


@dataclass(frozen=True, slots=True)
class Held(Fault):
    """Send the beginning of a stream and keep the rest."""

    sent: bytes

    async def respond(self, call: IncomingRequest, /) -> Response:
        """Send it and wait."""
        stream = await call.begin(ChunkedResponse({"Content-Type": "text/event-stream"}))
        await stream.send(self.sent)
        await asyncio.Event().wait()
        return stream


async def test_events_whose_end_is_held_back_are_told(
    monkeypatch: pytest.MonkeyPatch, stand_in: StandIn, server: Server
) -> None:
    monkeypatch.setattr(event_checks, "NEXT_EVENT_SECONDS", 0.2)
    first = b'event:message\ndata:{"type":"modelStatus","data":"[]"}\n\n'
    stand_in.fault("/api/events", Held(first))
    check = (await examined(server))["/api/events"]
    assert check.status is CheckStatus.OPEN
    assert check.seen.startswith("the first events, but not all of them")
    assert "flush_interval -1" in check.remedy


async def test_a_stream_that_breaks_is_told(stand_in: StandIn, server: Server) -> None:
    stand_in.fault("/api/events", ConnectionClose())
    assert (await examined(server)).failed == ["/api/events"]


async def test_an_older_server_isnt_at_fault_for_the_views_it_lacks(server: Server) -> None:
    report = await examined(server)
    assert report["version"].seen.startswith("llama-swap 218 (02e015f")
    assert report["view: activity"].seen == "needs llama-swap ≥ v236"
    assert report["recent requests"].seen == "not known: needs llama-swap ≥ v236"
    assert report["view: hardware"].seen == "needs llama-swap ≥ v247"
    assert report["view: profiles"].seen == "needs llama-swap ≥ v241"
    assert report["view: cancel a request"].seen == "needs llama-swap ≥ v235"
    assert report["view: who is using it"].seen == "only their number; needs llama-swap ≥ v235"
    assert report.status("view: performance") is CheckStatus.PASSED


@dialects(Dialect.HEAD)
async def test_a_build_without_a_number_is_dated_by_its_routes(server: Server) -> None:
    assert (await examined(server))["version"].seen.endswith(
        "; judging from its routes: v236 to v251"
    )


@dialects(Dialect.HEAD, Dialect.V263)
async def test_a_newer_server_has_every_view(stand_in: StandIn, server: Server) -> None:
    report = await examined(server)
    views = [check for check in report.checks if check.name.startswith("view: ")]
    lacking = {check.name for check in views if check.status is not CheckStatus.PASSED}
    assert len(views) == 7
    assert lacking == (set() if stand_in.dialect is Dialect.V263 else {"view: log of requests"})


async def test_a_view_that_is_switched_off_is_told(server: Server) -> None:
    async with StandIn(f"performance: {{disabled: true}}\n{CATALOGUE}") as there:
        report = await examined(Server(there.url, identity="x"))
    assert "switched off" in report["view: performance"].seen


async def test_clocks_that_agree_pass(server: Server) -> None:
    assert (await examined(server)).status("clock") is CheckStatus.PASSED


@pytest.mark.parametrize(("shift", "words"), [(600.0, "behind"), (-600.0, "ahead of")])
async def test_a_clock_that_is_off_is_told(server: Server, shift: float, words: str) -> None:
    report = await examined(server, clock=Clock(monotonic, lambda: time() + shift))
    assert report.failed == ["clock"]
    assert f"{words} ours" in report["clock"].seen
    assert "timedatectl set-ntp true" in report["clock"].remedy
    assert exit_code(report.checks) == 1


async def test_a_silent_server_is_given_up(stand_in: StandIn, server: Server) -> None:
    stand_in.fault("/health", Hang())
    report = await examined(replace(server, timeout=3.0))
    assert report.failed == ["/health"]
    assert "did not finish GET /health" in report["/health"].seen


async def test_recent_requests_that_a_client_got_wrong_are_named() -> None:
    async with StandIn(CATALOGUE, Dialect.V263) as there, aiohttp.ClientSession() as other:

        async def ask(model: str, prompt: str) -> int:
            asked = {"model": model, "messages": [{"role": "user", "content": prompt}]}
            async with other.post(f"{there.url}/v1/chat/completions", json=asked) as response:
                return response.status

        server = Server(there.url, identity="x")
        assert (await examined(server)).status("recent requests") is CheckStatus.PASSED
        assert await ask(QUICK.upper(), "hello") == 404
        assert await ask(QUICK, "hello " * 40_000) == 400
        check = (await examined(server))["recent requests"]
    assert check.status is CheckStatus.OPEN
    assert f"127.0.0.1 asked for “{QUICK.upper()}”, nearest: {QUICK}" in check.seen
    assert f"{QUICK} responded with 400, as to a prompt that exceeds its context" in check.seen
    assert check.remedy == "ask for a listed id, or add that name to aliases in config.yaml"
