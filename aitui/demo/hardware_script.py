"""The output of the demo's machine for the script that samples its hardware.

The figures are those that the stand-in itself reports, so that both show the same machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from aitui.demo.graphics_cards import GraphicsCard, GraphicsCards, GraphicsDriver
from aitui.demo.machine_facts import uptime
from aitui.demo.performance import gpu_samples, system_sample
from aitui.demo.stand_in import StandIn
from aitui.demo.upstream_process import ProcessState, UpstreamProcess

_MARK = re.compile(r'echo "(?P<mark>[^"$]*)\$\*"')
_CARD_FIELDS = re.compile(r"--query-gpu=(?P<fields>\S+)")
_FIRST_PID = 20000
_PAGE = 4096
_IDLE_PERCENT = 5
_CACHED_MIB = 128 * 1024
_TICKS = 100
_MIB = 1 << 20

Sections = dict[str, list[str]]
Rows = dict[str, dict[str, Any]]


def hardware_output(script: str, arguments: Iterable[str], server: StandIn) -> str:
    """Return the sections of the script; `arguments` end with the requested ports."""
    found = _MARK.search(script)
    mark = found["mark"] if found else ""
    resident = [
        process for process in server.processes if process.state is not ProcessState.STOPPED
    ]
    fields = _CARD_FIELDS.search(script)
    rows = {row["uuid"]: row for row in gpu_samples(server.cards, resident, server.wall())}
    sections = {
        **_machine_sections(set(arguments), resident, server.wall()),
        "disks": [
            f"259 0 nvme0n1 1 0 {round(server.cards.loaded_mib * 2048)} 1 1 0 0 1",
            "259 1 nvme0n1p1 1 0 8 1 1 0 0 1",
        ],
        **_kernel_sections(server.cards, resident, rows),
        **(
            _nvidia_sections(fields["fields"].split(","), server.cards, resident, rows)
            if fields
            else {}
        ),
        "end": [],
    }
    lines: list[str] = []
    for name, section in sections.items():
        lines.extend([f"{mark}{name}", *section])
    return "".join(f"{line}\n" for line in lines)


def _machine_sections(ports: set[str], resident: list[UpstreamProcess], at: float) -> Sections:
    machine = system_sample(resident, at)
    return {
        f"page {_PAGE}": [],
        "meminfo": [
            f"MemTotal: {machine['mem_total_mb'] * 1024} kB",
            f"MemAvailable: {machine['mem_free_mb'] * 1024} kB",
            f"Cached: {_CACHED_MIB * 1024} kB",
            f"SwapTotal: {machine['swap_total_mb'] * 1024} kB",
            f"SwapFree: {(machine['swap_total_mb'] - machine['swap_used_mb']) * 1024} kB",
        ],
        "loadavg": [
            " ".join(str(machine[f"load_avg_{minutes}"]) for minutes in (1, 5, 15)) + " 1/200 1"
        ],
        "sensors": [str(round(1000 * (46 + min(30, 2.4 * machine["load_avg_1"]))))],
        f"ticks {_TICKS} {uptime():.2f} 0": [],
        "processes": [
            f"{_pid(process)} 1 {process.flags.resident_mib * _MIB // _PAGE} "
            f"{round(_TICKS * (uptime() - _running_for(process)))} llama-server"
            for process in resident
        ],
        "named": [
            f"{process.configuration.port} /proc/{_pid(process)}/cmdline"
            for process in resident
            if str(process.configuration.port) in ports
        ],
    }


def _running_for(process: UpstreamProcess) -> float:
    return process.uptime if process.state is ProcessState.READY else 0.0


def _nvidia_sections(
    fields: list[str], cards: GraphicsCards, resident: list[UpstreamProcess], rows: Rows
) -> Sections:
    """Return the output of `nvidia-smi`, which a machine without such a card doesn't have."""
    own = [card for card in cards.cards if card.driver is GraphicsDriver.NVIDIA]
    if not own:
        return {}
    return {
        "nvidia": [_csv_line(fields, card, rows[card.uuid]) for card in own],
        "nvidia-status 0": [],
        "nvidia-processes": [
            f"{card.uuid}, {_pid(process)}, {round(held)}"
            for process in resident
            for card in own
            if (held := cards.allocation(process).get(card.index))
        ],
    }


def _csv_line(fields: list[str], card: GraphicsCard, row: dict[str, Any]) -> str:
    busy = row["gpu_util_pct"] > _IDLE_PERCENT
    clock = 2505 - 15 * card.index if busy else 210
    values = {
        "index": card.index,
        "uuid": card.uuid,
        "pci.bus_id": f"0000{card.bus}",
        "memory.used": row["mem_used_mb"],
        "memory.total": card.memory_mib,
        "utilization.gpu": row["gpu_util_pct"],
        "temperature.gpu": row["temp_c"],
        "temperature.memory": row["vram_temp_c"],
        "power.draw": row["power_draw_w"],
        "power.limit": 300,
        "fan.speed": row["fan_speed_pct"],
        "utilization.memory": row["mem_util_pct"],
        "clocks.sm": clock,
        "clocks.max.sm": 3105,
        "clocks.mem": 10_001,
        "pcie.link.gen.current": 4,
        "pcie.link.width.current": 16,
        "persistence_mode": "Enabled",
        "clocks_throttle_reasons.active": "0x0000000000000000",
        "ecc.errors.uncorrected.volatile.total": 0,
        "name": card.name,
    }
    return ", ".join(str(values.get(name, "[N/A]")) for name in fields)


def _kernel_sections(cards: GraphicsCards, resident: list[UpstreamProcess], rows: Rows) -> Sections:
    """Return what the kernel's drivers report: xe reports memory by its clients only."""
    own = [card for card in cards.cards if card.driver is not GraphicsDriver.NVIDIA]
    lines = [line for card in own for line in _kernel_card_lines(card, rows[card.uuid])]
    clients = [
        line
        for process in resident
        for number, card in enumerate(own)
        if (held := cards.allocation(process).get(card.index))
        for line in _client_lines(_pid(process), 10 + number, card, round(held * 1024))
    ]
    return {"cards": lines, "clients": clients}


def _kernel_card_lines(card: GraphicsCard, row: dict[str, Any]) -> list[str]:
    lines = [f"card {card.index}", f"DRIVER={card.driver.value}", f"PCI_SLOT_NAME={card.bus}"]
    if card.driver is GraphicsDriver.AMDGPU:
        return [
            *lines,
            f"product_name {card.name}",
            f"mem_info_vram_total {card.memory_mib * _MIB}",
            f"mem_info_vram_used {row['mem_used_mb'] * _MIB}",
            f"mem_info_gtt_total {card.memory_mib // 2 * _MIB}",
            f"mem_info_gtt_used {20 * _MIB}",
            "mem_info_vram_vendor samsung",
            f"gpu_busy_percent {row['gpu_util_pct']}",
            f"temp1_input {row['temp_c'] * 1000}",
            f"power1_average {round(row['power_draw_w'] * 1e6)}",
            "power1_cap 295000000",
            "freq1_input 2495000000",
            "current_link_speed 16.0 GT/s PCIe",
            "current_link_width 16",
        ]
    return [*lines, "PCI_ID=8086:E223", f"physical_vram_size_bytes {card.memory_mib * _MIB}"]


def _client_lines(pid: int, descriptor: int, card: GraphicsCard, kib: int) -> list[str]:
    where = f"/proc/{pid}/fdinfo/{descriptor}:"
    region = "vram" if card.driver is GraphicsDriver.AMDGPU else "vram0"
    return [
        f"{where}drm-pdev:\t{card.bus}",
        f"{where}drm-client-id:\t{pid}",
        f"{where}drm-total-{region}:\t{kib} KiB",
        f"{where}drm-resident-{region}:\t{kib} KiB",
    ]


def _pid(process: UpstreamProcess) -> int:
    return _FIRST_PID + process.configuration.port
