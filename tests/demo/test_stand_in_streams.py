"""What listeners of the stand-in's endless answers get, and what they miss."""

from __future__ import annotations

import json

import pytest

from aitui.demo.dialect import Dialect
from aitui.demo.log_ring import HISTORY_BYTES, Broadcast, ServerLog
from demo.lab import open_lab
from demo.situations import GEMMA


async def test_a_slow_reader_loses_what_does_not_fit_and_is_not_told() -> None:
    broadcast: Broadcast[int] = Broadcast()
    with broadcast.reader(limit=3) as reader:
        for number in range(10):
            broadcast.publish(number)
        broadcast.end()
        assert [item async for item in reader] == [0, 1, 2]


def test_a_log_remembers_its_last_hundred_kibibytes() -> None:
    ring = ServerLog()
    for number in range(20_000):
        ring.write(f"line {number}\n")
    assert len(ring.history) == HISTORY_BYTES
    assert ring.history.endswith("line 19999\n")


async def test_a_stopped_model_has_no_log_history_on_v217() -> None:
    async with open_lab(Dialect.V217) as lab:
        await lab.load(GEMMA)
        await lab.post(f"/api/models/unload/{GEMMA}")
        process_log = lab.beside(lab.get(f"/logs/stream/{GEMMA}"))
        await lab.get("/running")
        assert not process_log.done()


@pytest.mark.parametrize("dialect", [Dialect.V217, Dialect.V218])
async def test_the_count_of_running_requests_rises_and_falls(dialect: Dialect) -> None:
    async with open_lab(dialect) as lab, lab.client.get(f"{lab.server.url}/api/events") as events:
        seen: list[int] = []
        async with lab.server.busy("qwen3-8b"):
            pass
        while seen != [0, 1, 0]:
            line = await events.content.readline()
            if line.startswith(b'data:{"type":"inflight"'):
                seen.append(json.loads(json.loads(line[5:])["data"])["total"])


async def test_head_names_the_other_client_of_a_running_request() -> None:
    async with open_lab(Dialect.HEAD) as lab, lab.server.busy("qwen3-8b"):
        async with lab.client.get(f"{lab.server.url}/api/events") as events:
            async for line in events.content:
                if b'"inflight"' in line:
                    break
        (request,) = json.loads(json.loads(line[5:])["data"])["requests"]
        assert request["remote_ip"] == "192.168.2.20"
        assert request["req_headers"]["User-Agent"] == "OpenWebUI/0.6"
        assert request["model"] == "qwen3-8b"


async def test_performance_shows_the_memory_of_resident_models() -> None:
    async with open_lab(Dialect.V218) as lab:
        before = json.loads((await lab.get("/api/performance"))[1])["gpu_stats"][0]
        await lab.load("qwen3-8b")
        after = json.loads((await lab.get("/api/performance"))[1])["gpu_stats"][0]
        assert after["mem_used_mb"] - before["mem_used_mb"] == 4096
