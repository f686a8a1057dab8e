"""What the demo's machine answers to the script that samples its hardware.

The numbers are those that the stand-in tells of itself, so that both ways show the same machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from aitui.demo.performance import gpu_sample, system_sample
from aitui.demo.stand_in import StandIn
from aitui.demo.upstream_process import State, UpstreamProcess

_MARK = re.compile(r'echo "(?P<mark>[^"$]*)end"')
_CARD_FIELDS = re.compile(r"--query-gpu=(?P<fields>\S+)")
_FIRST_PID = 20000
_PAGE = 4096
_RESIDENT_MIB = 900


def hardware_answer(script: str, arguments: Iterable[str], server: StandIn) -> str:
    """The sections of the script; `arguments` end with the ports that are asked for."""
    found = _MARK.search(script)
    mark = found["mark"] if found else ""
    resident = [process for process in server.processes if process.state is not State.STOPPED]
    lines: list[str] = []
    for name, section in _sections(script, set(arguments), resident).items():
        lines.extend([f"{mark}{name}", *section])
    return "".join(f"{line}\n" for line in lines)


def _sections(
    script: str, ports: set[str], resident: list[UpstreamProcess]
) -> dict[str, list[str]]:
    machine = system_sample(resident)
    fields = _CARD_FIELDS.search(script)
    card = gpu_sample(resident)
    sections = {
        f"page {_PAGE}": [],
        "meminfo": [
            f"MemTotal: {machine['mem_total_mb'] * 1024} kB",
            f"MemAvailable: {machine['mem_free_mb'] * 1024} kB",
            f"SwapTotal: {machine['swap_total_mb'] * 1024} kB",
            f"SwapFree: {machine['swap_total_mb'] * 1024} kB",
        ],
        "loadavg": [
            " ".join(str(machine[f"load_avg_{minutes}"]) for minutes in (1, 5, 15)) + " 1/200 1"
        ],
        "processes": [
            f"{_pid(process)} 1 {_RESIDENT_MIB * 1024 * 1024 // _PAGE}" for process in resident
        ],
        "named": [
            f"{process.configuration.port} /proc/{_pid(process)}/cmdline"
            for process in resident
            if str(process.configuration.port) in ports
        ],
    }
    if fields is not None:
        values = {
            "index": card["id"],
            "uuid": card["uuid"],
            "pci.bus_id": "00000000:01:00.0",
            "memory.used": card["mem_used_mb"],
            "memory.total": card["mem_total_mb"],
            "utilization.gpu": card["gpu_util_pct"],
            "temperature.gpu": card["temp_c"],
            "temperature.memory": card["vram_temp_c"],
            "power.draw": card["power_draw_w"],
            "fan.speed": card["fan_speed_pct"],
            "name": card["name"],
        }
        row = ", ".join(str(values.get(name, "[N/A]")) for name in fields["fields"].split(","))
        sections["nvidia"] = [row]
        sections["nvidia-status 0"] = []
        sections["nvidia-processes"] = [
            f"{card['uuid']}, {_pid(process)}, {process.flags.memory_mib}" for process in resident
        ]
    sections["end"] = []
    return sections


def _pid(process: UpstreamProcess) -> int:
    return _FIRST_PID + process.configuration.port
