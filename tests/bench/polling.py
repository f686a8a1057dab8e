"""What it costs to look at a server's hardware, there and here."""

import asyncio
import json
import resource
import time
from datetime import UTC, datetime

from aitui.domain.hardware.sample import USUAL_PAUSE
from aitui.domain.hardware.script import sample_command
from aitui.host.local import LocalHost
from aitui.host.sampler import HostSampler
from aitui.llamaswap.hardware import parse_samples
from bench.processes import Bench
from bench.report import Line

PORTS = (9001, 9002)
TIMES = 20
CARDS, CORES = 4, 64
_READ = 500


def polling(_bench: Bench) -> list[Line]:
    """An answer of `/api/performance`, and a sample of this machine with the processes of two ports."""
    answer = _answer()
    cpu = time.process_time()
    for _ in range(_READ):
        parse_samples(answer, "GET /api/performance")
    read = (time.process_time() - cpu) / _READ
    wall, own, there, pause = asyncio.run(_sampled())
    share = there / pause
    return [
        Line(
            f"/api/performance, {CARDS} cards, {CORES} cores: to read",
            f"{read * 1000:.2f} ms of CPU",
        ),
        Line("… at the server's usual pace", f"{read / USUAL_PAUSE:.4%} of a core"),
        Line("a sample of a host (this one): it takes", f"{wall * 1000:.0f} ms"),
        Line("… there", f"{there * 1000:.0f} ms of CPU"),
        Line("… at its pace", f"{share:.2%} of a core", "≤ 2 %", share <= 0.02),
        Line("… here", f"{own * 1000:.1f} ms of CPU"),
        Line("… the command", f"{sum(map(len, sample_command(PORTS)))} bytes"),
    ]


def _answer() -> bytes:
    """One sample of a large machine, as llama-swap writes it."""
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).isoformat()
    card = {"timestamp": at, "name": "NVIDIA GeForce RTX 3090", "mem_used_mb": 1, "mem_total_mb": 2}
    machine = {"timestamp": at, "cpu_util_per_core": [12.345] * CORES, "mem_total_mb": 1}
    cards = [{**card, "id": number, "uuid": f"GPU-{number}"} for number in range(CARDS)]
    return json.dumps({"gpu_stats": cards, "sys_stats": [machine]}).encode()


async def _sampled() -> tuple[float, float, float, float]:
    """Seconds a sample takes, CPU time of this process and of the command, and the pause after it."""
    sampler = HostSampler(LocalHost())
    await sampler.sample(PORTS)
    began, own, there = time.monotonic(), time.process_time(), _of_children()
    for _ in range(TIMES):
        await sampler.sample(PORTS)
    wall = (time.monotonic() - began) / TIMES
    own = (time.process_time() - own) / TIMES
    return wall, own, (_of_children() - there) / TIMES, sampler.pause


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
