"""Samples of the demo's machine: its cards are as full as the loaded models make them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from aitui.demo.go_text import timestamp
from aitui.demo.graphics_cards import GraphicsCard, GraphicsCards, Warmth
from aitui.demo.upstream_process import ProcessState, UpstreamProcess

CORES = 32
MEMORY_MIB = 251 * 1024
_OTHERS_RESIDENT_MIB = 24_500
_SWAP_MIB = (8 * 1024, 205)
_NETWORK = (1.3e6, 3.4e6)
"""Bytes received and sent a second."""


class PastSample(Struct, frozen=True):
    """The rows of one moment (Unix time) before the stand-in was started."""

    at: float
    gpus: tuple[dict[str, Any], ...]
    system: dict[str, Any]


def sample_times(after: float | None, now: float, step: float) -> tuple[float, ...]:
    """Return the times of the samples since a time; for the first request the last two."""
    if after is None:
        return now - step, now
    return (now,) if now - after >= step * 0.9 else ()


def gpu_samples(
    cards: GraphicsCards, processes: Iterable[UpstreamProcess], at: float
) -> list[dict[str, Any]]:
    """Return the rows of gpu_stats. Memory in MiB, power in W, temperatures in °C."""
    listed = list(processes)
    rows = []
    for card in cards.cards:
        busy = any(one.busy_slots and card.index in cards.allocation(one) for one in listed)
        warmth = cards.warmth.get(card.index, Warmth())
        cards.warmth[card.index] = warmth = warmth.later(card_load(card, at, busy=busy), at)
        rows.append(gpu_row(card, cards.used_mib(card), warmth))
    return rows


def card_load(card: GraphicsCard, at: float, *, busy: bool) -> float:
    """Return the utilization of a card in percent; it varies a little."""
    wave = math.sin(at * 0.9 + card.index) + math.sin(at * 0.23)
    return min(100.0, max(0.0, (card.full_load if busy else 1.0) + wave))


def gpu_row(card: GraphicsCard, used_mib: float, warmth: Warmth) -> dict[str, Any]:
    """Return one row of gpu_stats."""
    used, load, heat = round(used_mib), round(warmth.load), warmth.heat
    return {
        "timestamp": timestamp(warmth.at),
        "id": card.index,
        "name": card.name,
        "uuid": card.uuid,
        "temp_c": round(52 + heat * 0.2),
        "vram_temp_c": round(58 + heat * 0.2),
        "gpu_util_pct": load,
        "mem_util_pct": min(100, round(load * 0.63)),
        "mem_used_mb": used,
        "mem_total_mb": card.memory_mib,
        "fan_speed_pct": round(30 + heat * 0.24),
        "power_draw_w": round(28 + 2.41 * load, 1),
    }


def system_sample(processes: Iterable[UpstreamProcess], at: float) -> dict[str, Any]:
    """Return one row of sys_stats. Memory in MiB, network in bytes."""
    resident = [process for process in processes if process.state is not ProcessState.STOPPED]
    loading = sum(process.state is ProcessState.STARTING for process in resident)
    busy = sum(process.busy_slots for process in resident)
    return system_row(sum(one.flags.resident_mib for one in resident), busy, loading, at)


def system_row(resident_mib: float, busy: int, loading: int, at: float) -> dict[str, Any]:
    """Return a row for so many requests under way and models that load."""
    used = round(_OTHERS_RESIDENT_MIB + resident_mib)
    wave = math.sin(at / 20)
    received, sent = (int(rate * (at % 8_640_000 - 3.6 * math.cos(at / 9))) for rate in _NETWORK)
    total, taken = _SWAP_MIB
    load = 1.4 + busy * 1.1 + loading * 2.6 + 0.3 * wave
    return {
        "timestamp": timestamp(at),
        "cpu_util_per_core": [
            round(_core_use(core, busy, loading, at), 1) for core in range(CORES)
        ],
        "mem_total_mb": MEMORY_MIB,
        "mem_used_mb": used,
        "mem_free_mb": MEMORY_MIB - used,
        "swap_total_mb": total,
        "swap_used_mb": taken,
        "load_avg_1": round(load, 2),
        "load_avg_5": round(1.2 + load * 0.6, 2),
        "load_avg_15": 2.9,
        "net_io": [{"name": "eth0", "bytes_recv": received, "bytes_sent": sent}],
    }


def _core_use(core: int, busy: int, loading: int, at: float) -> float:
    """A request keeps one thread busy, and a second one half; a load keeps three busy."""
    quiet = 5 + 3 * math.sin(at / 7 + core * 1.9)
    if core % 11 == 3 and core // 11 < busy:
        return 88 + quiet
    if core % 11 == 6 and core // 11 < busy:
        return 36 + quiet
    if core % 8 == 4 and core // 8 < 3 * loading:
        return 52 + 2 * quiet
    return quiet


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
