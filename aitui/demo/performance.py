"""Samples of the demo's machine: its cards are as full as the loaded models make them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from aitui.demo.go_text import timestamp
from aitui.demo.graphics_cards import GraphicsCard, GraphicsCards
from aitui.demo.upstream_process import ProcessState, UpstreamProcess

_SYSTEM_MEMORY_MIB = 128 * 1024
_CORES = 8
_STEP = timedelta(seconds=2)


def sample_times(after: datetime | None) -> tuple[datetime, ...]:
    """Return the times of the samples since a time; for the first request the last two.

    Raises TypeError for a time without a zone.
    """
    now = datetime.fromtimestamp(time.time(), UTC)
    if after is None:
        return now - _STEP, now
    return (now,) if now - after >= _STEP * 0.9 else ()


def gpu_samples(
    cards: GraphicsCards, processes: Iterable[UpstreamProcess], at: datetime | None = None
) -> list[dict[str, Any]]:
    """Return the rows of gpu_stats. Memory in MiB, power in W, temperatures in °C."""
    listed = list(processes)
    return [_gpu_sample(cards, card, listed, at) for card in cards.cards]


def _gpu_sample(
    cards: GraphicsCards,
    card: GraphicsCard,
    processes: list[UpstreamProcess],
    at: datetime | None,
) -> dict[str, Any]:
    used = round(cards.used_mib(card))
    busy = sum(
        process.busy_slots > 0 for process in processes if card.index in cards.allocation(process)
    )
    load = min(100, 3 + 90 * busy)
    return {
        "timestamp": _sample_timestamp(at),
        "id": card.index,
        "name": card.name,
        "uuid": card.uuid,
        "temp_c": 38 + load // 4,
        "vram_temp_c": 44 + load // 4,
        "gpu_util_pct": load,
        "mem_util_pct": min(100, used * 100 // card.memory_mib),
        "mem_used_mb": used,
        "mem_total_mb": card.memory_mib,
        "fan_speed_pct": 30 + load // 3,
        "power_draw_w": 24.5 + 4.6 * load,
    }


def system_sample(
    processes: Iterable[UpstreamProcess], at: datetime | None = None
) -> dict[str, Any]:
    """Return one row of sys_stats. Memory in MiB, network in bytes."""
    resident = [process for process in processes if process.state is not ProcessState.STOPPED]
    used = 6 * 1024 + sum(process.flags.memory_mib // 16 for process in resident)
    wave = math.sin(time.monotonic() / 20)
    busy = 12 * sum(process.busy_slots for process in resident)
    traffic = int(time.monotonic() * 4096)
    return {
        "timestamp": _sample_timestamp(at),
        "cpu_util_per_core": [
            round(min(100.0, 6 + busy + 4 * wave + core % 3), 2) for core in range(_CORES)
        ],
        "mem_total_mb": _SYSTEM_MEMORY_MIB,
        "mem_used_mb": used,
        "mem_free_mb": _SYSTEM_MEMORY_MIB - used,
        "swap_total_mb": 0,
        "swap_used_mb": 0,
        "load_avg_1": round(0.6 + busy / 10 + 0.2 * wave, 2),
        "load_avg_5": 0.7,
        "load_avg_15": 0.5,
        "net_io": [{"name": "eth0", "bytes_recv": traffic, "bytes_sent": traffic // 2}],
    }


def _sample_timestamp(at: datetime | None) -> str:
    return timestamp() if at is None else f"{at:%Y-%m-%dT%H:%M:%S.%f}000Z"


def prometheus(sample: dict[str, Any]) -> str:
    """Return the text of `/metrics`: some of llama-swap's gauges."""
    lines = [
        "# HELP llamaswap_cpu_util_percent CPU utilization per core (0-100)",
        "# TYPE llamaswap_cpu_util_percent gauge",
        *(
            f'llamaswap_cpu_util_percent{{core="{core}"}} {value}'
            for core, value in enumerate(sample["cpu_util_per_core"])
        ),
        "# HELP llamaswap_memory_total_bytes Total memory in bytes",
        "# TYPE llamaswap_memory_total_bytes gauge",
        f"llamaswap_memory_total_bytes {sample['mem_total_mb'] << 20}",
        "# HELP llamaswap_memory_used_bytes Used memory in bytes",
        "# TYPE llamaswap_memory_used_bytes gauge",
        f"llamaswap_memory_used_bytes {sample['mem_used_mb'] << 20}",
    ]
    return "\n".join(lines) + "\n"
