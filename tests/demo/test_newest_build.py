"""What is new in v263, by its description: logs apart, progress, limits, clients, key documentation."""

from __future__ import annotations

import asyncio
import json

import pytest

from aitui.demo.dialect import Dialect
from demo.lab import Lab, open_lab
from demo.recorded_answers import read_events

CONFIG = """\
healthCheckTimeout: 0.3
globalConcurrencyLimit: 2
models:
  long: {cmd: "llama-server --port ${PORT} --load-delay 0.6 --progress-reports 6 --ctx-size 2048 --jinja"}
  stuck: {cmd: "llama-server --port ${PORT} --load-delay 9 --progress-reports 1"}
  silent: {cmd: "llama-server --port ${PORT} --load-delay 9"}
  talker: {cmd: "llama-server --port ${PORT} --chunks 99 --tokens-per-second 30", concurrencyLimit: 9}
"""


async def events_until(lab: Lab, kind: str, text: str) -> list[tuple[str, object]]:
    """Read events until one of a kind has that text."""
    body = ""
    async with asyncio.timeout(5), lab.client.get(f"{lab.server.url}/api/events") as response:
        while not any(
            name == kind and text in json.dumps(data) for name, data in read_events(body)
        ):
            body += (await response.content.readuntil(b"\n\n")).decode()
    return read_events(body)


async def test_events_are_silent_about_logs_and_requests_of_the_status() -> None:
    async with open_lab(Dialect.V263) as lab:
        reading = lab.beside(events_until(lab, "activity", "id"))
        await asyncio.sleep(0.05)
        await lab.get("/running")
        await lab.chat("qwen3-8b")
        assert "logData" not in {kind for kind, _ in await reading}


async def test_lines_about_requests_have_a_log_of_their_own() -> None:
    async with open_lab(Dialect.V263) as lab:
        await lab.get("/running")
        await lab.get("/api/performance")
        url = f"{lab.server.url}/api/events/logs?stream=http&stream=proxy"
        async with lab.client.get(url) as response:
            first = read_events((await response.content.readuntil(b"\n\n")).decode())
        _, proxy = await lab.get("/logs")

    ((_, data),) = first
    assert data["source"] == "http"
    assert data["data"].count("Request") == 1
    assert "GET /running HTTP/1.1" in data["data"]
    assert "Request" not in proxy


async def test_a_load_that_reports_outlives_the_time_limit_and_is_described() -> None:
    async with open_lab(Dialect.V263, CONFIG) as lab:
        reading = lab.beside(events_until(lab, "modelStatus", "uptimeMs"))
        await asyncio.sleep(0.05)
        status, _ = await lab.get("/upstream/long/health")
        seen = [
            next(model for model in models if model["id"] == "long")
            for kind, models in await reading
            if kind == "modelStatus"
        ]

    assert status == 200
    reports = [(m["loadingProgress"], m["loadingMessage"]) for m in seen if "loadingProgress" in m]
    assert [message for _, message in reports] == [f"shard {n} of 6" for n in range(1, 7)]
    assert reports[3][0] == 0.5
    assert seen[-1]["readySince"].endswith("Z")
    assert seen[-1]["uptimeMs"] >= 1


@pytest.mark.parametrize(
    ("model", "addition"), [("stuck", " without loading progress"), ("silent", "")]
)
async def test_a_load_without_news_fails_at_the_limit(model: str, addition: str) -> None:
    async with open_lab(Dialect.V263, CONFIG) as lab:
        status, body = await lab.get(f"/upstream/{model}/health")
        assert status == 500
        assert f'health check timed out after 0.3s{addition}"' in body


async def test_a_model_is_asked_what_it_can_do_and_keeps_that_when_it_stops() -> None:
    async with open_lab(Dialect.V263, CONFIG) as lab:
        before = await events_until(lab, "modelStatus", "long")
        await lab.load("long")
        await lab.post("/api/models/unload/long")
        after = await events_until(lab, "modelStatus", "long")

    assert "context_length" not in json.dumps(before)
    assert '"capabilities": {"function_calling": true}, "context_length": 2048' in json.dumps(after)


async def test_a_full_server_refuses_requests_but_not_loads() -> None:
    async with open_lab(Dialect.V263, CONFIG) as lab:
        await lab.load("talker")
        for _ in range(2):
            lab.beside(lab.chat("talker"))
        await lab.until(lambda: len(lab.server.processes[3].claims) == 2)
        async with lab.client.post(
            f"{lab.server.url}/v1/chat/completions", json={"model": "talker"}
        ) as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        assert (await lab.get("/upstream/talker/health"))[0] == 200
        assert json.loads((await lab.get("/api/metrics/activity"))[1])["total"] == 0


async def test_who_leaves_before_the_answer_is_499_and_who_leaves_later_200() -> None:
    async with open_lab(Dialect.V263, CONFIG) as lab:
        early = lab.beside(lab.chat("long"))
        await lab.until_state("long", "starting")
        early.cancel()
        await lab.until_state("long", "ready")
        await lab.load("talker")
        url, body = f"{lab.server.url}/v1/chat/completions", {"model": "talker", "stream": True}
        headers = {"X-Forwarded-For": "192.0.2.7, 10.0.0.1"}
        async with lab.client.post(url, json=body, headers=headers) as response:
            await response.content.readline()
            response.close()
        await lab.until(lambda: len(lab.server.processes[3].claims) == 0)
        rows = json.loads((await lab.get("/api/metrics/activity?order=asc"))[1])["data"]
        assert [(row["resp_status_code"], row["src"]) for row in rows] == [
            (499, "ip:127.0.0.1"),
            (200, "ip:192.0.2.7"),
        ]
        async with lab.client.get(f"{lab.server.url}/logs/stream/http") as log:
            assert b'completions HTTP/1.1" 499 0' in await log.content.readany()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("logToStdout", "http"),
        ("models.*.disableKeepAlives", "true or false"),
        ("", "globalConcurrencyLimit"),
        ("models.*.nonsense", "unknown path"),
    ],
)
async def test_the_server_describes_its_config_keys(path: str, words: str) -> None:
    tool = "docs__get_config_schema"
    call = {"name": tool, "arguments": {"path": path}}
    body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": call}
    headers = {"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": tool}
    async with (
        open_lab(Dialect.V263) as lab,
        lab.client.post(f"{lab.server.url}/api/mcp", json=body, headers=headers) as response,
    ):
        result = (await response.json())["result"]
    assert words in result["content"][0]["text"]
    assert result.get("isError", False) == (words == "unknown path")


@pytest.mark.parametrize("path", ["/api/mcp", "/api/tailcat", "/api/events/logs"])
@pytest.mark.parametrize("dialect", Dialect)
async def test_only_v263_has_the_routes_that_tell_its_age(dialect: Dialect, path: str) -> None:
    async with open_lab(dialect) as lab:
        assert ((await lab.get(path))[0] == 404) == (dialect is not Dialect.V263)
