"""What goes out: paths, headers, time limits; and what the plain requests make of the answers."""

import asyncio
import os
import re

import pytest
from msgspec.structs import replace

from aitui import errors
from aitui.domain.chat.conversation import ChatRequest
from aitui.domain.snapshot import Endpoints, Server
from aitui.llamaswap.chat import ChatClient
from aitui.llamaswap.client import LlamaSwapClient
from aitui.llamaswap.http import HttpClient, Request
from aitui.llamaswap.urls import proxy_warning
from llamaswap.conftest import server_at
from llamaswap.raw_server import RawRequest, RawServer, always, answer, hang, json_answer, until

OK = always(answer("OK", content_type="text/plain"))


async def test_opening_asks_nothing() -> None:
    async with RawServer(OK) as there, LlamaSwapClient(server_at(there.url)):
        await asyncio.sleep(0)
        assert there.connections == 0


async def test_short_requests_share_a_connection() -> None:
    async with RawServer(json_answer({"running": []})) as there:
        async with LlamaSwapClient(server_at(there.url)) as client:
            for _ in range(5):
                await client.running()
        assert there.connections == 1


async def test_no_cookie_is_kept() -> None:
    with_cookie = always(answer("OK", content_type="text/plain", Set_Cookie="a=b"))
    async with RawServer(with_cookie) as there, LlamaSwapClient(server_at(there.url)) as client:
        await client.health()
        await client.health()
    assert all("cookie" not in request.headers for request in there.requests)


@pytest.mark.parametrize(
    ("model_id", "segment"),
    [
        ("qwen3-8b", "qwen3-8b"),
        ("author/gemma-3:27b", "author%2Fgemma-3%3A27b"),
        ("a b", "a%20b"),
        ("50%", "50%25"),
        ("%2F", "%252F"),
        ("what?#", "what%3F%23"),
        ("größe", "gr%C3%B6%C3%9Fe"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("../../running", "..%2F..%2Frunning"),
        ("a/../b", "a%2F..%2Fb"),
        ("a\nb", "a%0Ab"),
        ("\ud800", "%3F"),
    ],
)
async def test_every_id_reaches_the_server_as_one_segment(model_id: str, segment: str) -> None:
    async with RawServer(OK) as there, LlamaSwapClient(server_at(there.url)) as client:
        await client.load(model_id)
        await client.unload(model_id)
        load, unload = there.requests
    assert (load.method, load.target) == ("GET", f"/upstream/{segment}/health")
    assert (unload.method, unload.target) == ("POST", f"/api/models/unload/{segment}")


async def test_a_path_prefix_stays_in_front_of_every_path() -> None:
    async with RawServer(OK) as there:
        async with LlamaSwapClient(server_at(f"{there.url}/swap/eins")) as client:
            await client.health()
            await client.unload_all()
            await client.unload("a")
        targets = [request.target for request in there.requests]
    assert targets == [
        "/swap/eins/health",
        "/swap/eins/api/models/unload",
        "/swap/eins/api/models/unload/a",
    ]


async def test_endpoints_of_the_settings_are_asked() -> None:
    endpoints = Endpoints(upstream_health="/up/<id>/ok", models="/list")
    async with RawServer(json_answer({"data": []})) as there:
        async with LlamaSwapClient(server_at(there.url, endpoints=endpoints)) as client:
            await client.load("a/b")
            await client.models()
        assert [request.target for request in there.requests] == ["/up/a%2Fb/ok", "/list"]


async def test_headers_say_who_asks_and_for_what() -> None:
    async with RawServer(json_answer({"running": []})) as there:
        async with LlamaSwapClient(server_at(there.url, api_key="secret")) as client:
            await client.running()
        (request,) = there.requests
    assert re.fullmatch(r"aitui/[\w.]+ \([\w.-]+@[\w.-]+; \d+\)", request.headers["user-agent"])
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["accept"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"


async def test_user_and_password_of_the_url_leave_the_key_a_header_of_its_own() -> None:
    async with RawServer(json_answer({"running": []})) as there:
        server = server_at(there.url, api_key="secret", basic_auth=("anna", "pass"))
        async with LlamaSwapClient(server) as client:
            await client.running()
        (request,) = there.requests
    assert request.headers["authorization"] == "Basic YW5uYTpwYXNz"
    assert request.headers["x-api-key"] == "secret"


async def test_no_key_no_authorization() -> None:
    async with RawServer(json_answer({"running": []})) as there:
        async with LlamaSwapClient(server_at(there.url)) as client:
            await client.running()
        assert "authorization" not in there.requests[0].headers


@pytest.mark.parametrize("key", ["a\r\nX-Evil: 1", "schlüssel", "a\x00"])
async def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    async with LlamaSwapClient(server_at("http://localhost:1", api_key=key)) as client:
        with pytest.raises(errors.SettingsError) as caught:
            await client.running()
    assert key not in str(caught.value)


async def test_user_and_host_of_any_name_fit_into_the_header(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "jürgen\r\nx")
    monkeypatch.setattr("platform.node", lambda: "")
    async with RawServer(OK) as there:
        async with LlamaSwapClient(server_at(there.url)) as client:
            await client.health()
        agent = there.requests[0].headers["user-agent"]
    assert agent.endswith(f"(j-rgen-x@unknown; {os.getpid()})")


async def test_latency_is_that_of_the_last_running() -> None:
    async with (
        RawServer(json_answer({"running": []})) as there,
        LlamaSwapClient(server_at(there.url)) as client,
    ):
        before = client.latency
        await client.running()
        after = client.latency
    assert before is None
    assert after is not None
    assert 0 < after < 5


async def test_a_redirect_is_not_followed() -> None:
    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(answer("", 302, Location="http://elsewhere.example/"))

    async with RawServer(respond) as there, LlamaSwapClient(server_at(there.url)) as client:
        with pytest.raises(errors.NotSupported, match=r"http://elsewhere\.example/"):
            await client.models()


async def test_a_long_request_ends_at_its_limit() -> None:
    async with RawServer(hang) as there:
        server = server_at(there.url)
        exchange = HttpClient(server)
        with pytest.raises(errors.TimedOut, match=r"0\.2 s"):
            await exchange.request_long(Request("GET", "/upstream/a/health", 0.2))


async def test_a_load_that_fails_raises_load_failed() -> None:
    body = '{"src":"llama-swap", "error": "unspecific error: upstream command exited prematurely"}'
    async with (
        RawServer(always(answer(body, 500))) as there,
        LlamaSwapClient(server_at(there.url)) as client,
    ):
        with pytest.raises(errors.LoadFailed, match="broken did not load"):
            await client.load("broken")


async def test_a_proxy_in_front_of_nothing_is_a_proxy_error_to_a_load() -> None:
    async with (
        RawServer(always(answer("", 502, content_type=""))) as there,
        LlamaSwapClient(server_at(there.url)) as client,
    ):
        with pytest.raises(errors.ProxyError):
            await client.load("a")


async def test_a_model_that_knows_no_health_path_is_loaded() -> None:
    body = '{"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}'
    async with (
        RawServer(always(answer(body, 404))) as there,
        LlamaSwapClient(server_at(there.url)) as client,
    ):
        await client.load("a")


async def test_loads_do_not_starve_short_requests() -> None:
    async def respond(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        if request.target == "/running":
            writer.write(answer('{"running":[]}'))
        else:
            await asyncio.Event().wait()

    async with RawServer(respond) as there, LlamaSwapClient(server_at(there.url)) as client:
        loads = [asyncio.create_task(client.load(str(number))) for number in range(50)]
        await until(lambda: there.connections == 50)
        assert await client.running() == ()
        for load in loads:
            load.cancel()
        await asyncio.gather(*loads, return_exceptions=True)


async def test_nobody_listening_is_unreachable_with_host_and_port(
    unused_tcp_port: int,
) -> None:
    async with LlamaSwapClient(server_at(f"http://127.0.0.1:{unused_tcp_port}")) as client:
        with pytest.raises(errors.Unreachable, match=f"127.0.0.1:{unused_tcp_port} refuses"):
            await client.running()


async def test_an_unknown_name_is_unreachable() -> None:
    async with LlamaSwapClient(server_at("http://no-such-host.invalid")) as client:
        with pytest.raises(errors.Unreachable, match=r"no-such-host\.invalid is not known"):
            await client.running()


async def test_a_server_that_hangs_up_is_connection_lost() -> None:
    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with RawServer(respond) as there, LlamaSwapClient(server_at(there.url)) as client:
        with pytest.raises(errors.ConnectionLost):
            await client.running()


async def test_a_body_shorter_than_promised_is_connection_lost() -> None:
    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"running":')
        writer.close()

    async with RawServer(respond) as there, LlamaSwapClient(server_at(there.url)) as client:
        with pytest.raises(errors.ConnectionLost):
            await client.running()


async def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with RawServer(OK) as there, LlamaSwapClient(server_at(there.url)) as client:
        await client.health()


async def test_a_proxy_of_the_environment_is_asked_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with RawServer(OK) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        async with LlamaSwapClient(server_at("http://ai.example.org")) as client:
            await client.health()
        assert proxy.requests[0].target == "http://ai.example.org/health"


@pytest.mark.parametrize("proxy", ["gopher://x", "http://x:99999", "http://[::1"])
async def test_a_proxy_that_cannot_be_used_is_named(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    async with LlamaSwapClient(server_at("http://ai.example.org")) as client:
        with pytest.raises(errors.Unreachable, match="proxy set in the environment") as caught:
            await client.health()
    assert "NO_PROXY=ai.example.org" in caught.value.remedy


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_refuses_is_not_taken_for_the_server(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", "http://somebody:s3cr3t@127.0.0.1:9")
    async with LlamaSwapClient(server_at(f"{scheme}://ai.example.org")) as client:
        with pytest.raises(errors.Unreachable, match=r"proxy 127.0.0.1:9 set in the") as caught:
            await client.health()
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.remedy == "set NO_PROXY=ai.example.org"


@pytest.mark.parametrize(
    ("url", "has_key", "exposes"),
    [
        ("http://ai.example.org", True, True),
        ("http://ai.example.org", False, False),
        ("https://ai.example.org", True, False),
        ("http://spared.example.org", True, False),
        ("http://127.0.0.1:8080", True, False),
    ],
)
def test_a_proxy_that_reads_a_key_is_known(
    url: str, has_key: bool, exposes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://u:pw@proxy.example.org:3128")
    monkeypatch.setenv("no_proxy", "spared.example.org")
    server = replace(server_at(url), api_key="k" if has_key else None)
    assert ("The proxy proxy.example.org:3128" in proxy_warning(server)) is exposes
    assert "pw" not in proxy_warning(server)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 502])
async def test_a_key_that_the_server_repeats_is_not_shown(status: int) -> None:
    respond = always(answer(b"no: Bearer s3cr3t-key and s3cr3t-word", status=status))
    async with RawServer(respond) as there:
        server = replace(
            server_at(there.url), api_key="s3cr3t-key", basic_auth=("me", "s3cr3t-word")
        )
        async with LlamaSwapClient(server) as client:
            with pytest.raises(errors.AituiError) as caught:
                await client.running()
    assert "s3cr3t" not in str(caught.value)


async def test_a_key_in_the_target_of_a_redirect_is_not_shown() -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: /login?key=s3cr3t-key\r\nContent-Length: 0\r\n\r\n"
    async with (
        RawServer(always(head)) as there,
        LlamaSwapClient(server_at(there.url, api_key="s3cr3t-key")) as client,
    ):
        with pytest.raises(errors.NotSupported, match="/login") as caught:
            await client.running()
    assert "s3cr3t" not in str(caught.value)


async def read_reply(server: Server) -> None:
    request = ChatRequest("m", ({"role": "user", "content": "?"},))
    async with ChatClient(server) as client, client.stream(request) as batches:
        async for _ in batches:
            pass


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"error": {"message": "bad key s3cr3t-key", "code": 401}}\n\n',
        b"event: error\ndata: no: Basic bWU6czNjcjN0LXdvcmQ=\n\n",
        b"data: {s3cr3t-word is no JSON\n\n",
    ],
)
async def test_a_key_in_a_stream_s_error_is_not_shown(body: bytes) -> None:
    async with RawServer(always(answer(body, content_type="text/event-stream"))) as there:
        server = server_at(there.url, api_key="s3cr3t-key", basic_auth=("me", "s3cr3t-word"))
        with pytest.raises(errors.AituiError, match="hidden") as caught:
            await read_reply(server)
    assert "s3cr3t" not in str(caught.value)
    assert "bWU6" not in str(caught.value)
