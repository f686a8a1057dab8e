"""What the demo's machine is, the same through the server and through its host."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Any

from aitui.demo.go_text import timestamp
from aitui.demo.graphics_cards import GraphicsCard, GraphicsDriver
from aitui.demo.performance import CORES, MEMORY_MIB

_MARK = re.compile(r'echo "(?P<mark>[^"$]*)\$\*"')
_NAME = "ai-box"
_KERNEL = "6.12.48+deb13-amd64"
_PROCESSOR = "AMD EPYC 9354P 32-Core Processor"
_MEMORY = MEMORY_MIB << 20
DRIVER = "580.142"
_UPTIME = 12 * 86_400 + 3 * 3_600
_STARTED_AT = time.monotonic()

_SYSTEM = """\
PRETTY_NAME="Debian GNU/Linux 13 (trixie)"
NAME="Debian GNU/Linux"
VERSION_ID="13"
"""


def hardware_body(version: str, cards: Iterable[GraphicsCard], at: float) -> dict[str, Any]:
    """Return the body of `/api/hardware`."""
    return {
        "schema_version": 1,
        "captured_at": timestamp(at),
        "capture": {
            "scope": "inference_host",
            "method": "detected",
            "detector": {"name": "llama-swap", "version": version},
        },
        "architecture": {"name": "x86_64", "raw_name": "amd64"},
        "operating_system": {
            "family": "linux",
            "name": "debian",
            "version": "13.1",
            "kernel": _KERNEL,
        },
        "environment": {"kind": "native", "name": None, "version": None},
        "cpu": {
            "vendor": "AuthenticAMD",
            "model": _PROCESSOR,
            "socket_count": 1,
            "physical_core_count": CORES,
            "logical_thread_count": CORES,
        },
        "memory": {"capacity_bytes": _MEMORY},
        "accelerators": [_accelerator(card) for card in cards],
    }


def uptime() -> float:
    """Return for how many seconds the machine has been running."""
    return _UPTIME + time.monotonic() - _STARTED_AT


def host_facts_output(script: str, cards: Iterable[GraphicsCard]) -> str:
    """Return the sections of the script that asks a host what it is."""
    found = _MARK.search(script)
    mark = found["mark"] if found else ""
    up = uptime()
    lines = [
        f"{mark}system",
        *_SYSTEM.splitlines(),
        f"{mark}name {_NAME}",
        f"{mark}kernel Linux {_KERNEL}",
        f"{mark}architecture x86_64",
        f"{mark}uptime {up:.2f} {up * CORES:.2f}",
        f"{mark}meminfo",
        f"MemTotal:       {_MEMORY // 1024} kB",
        f"{mark}processors",
        *(line for thread in range(CORES) for line in _processor_lines(thread)),
        f"{mark}environment",
        "container none",
        "machine none",
    ]
    if any(card.driver is GraphicsDriver.NVIDIA for card in cards):
        words = f"NVIDIA UNIX Open Kernel Module for x86_64  {DRIVER}  Release Build"
        lines += [f"{mark}nvidia", f"NVRM version: {words}"]
    lines.append(f"{mark}end")
    return "".join(f"{line}\n" for line in lines)


def _processor_lines(number: int) -> list[str]:
    return [
        f"processor\t: {number}",
        f"model name\t: {_PROCESSOR}",
        "physical id\t: 0",
        f"core id\t\t: {number}",
    ]


def _accelerator(card: GraphicsCard) -> dict[str, Any]:
    driver = {"name": card.driver.value, "version": None}
    if card.driver is GraphicsDriver.NVIDIA:
        driver = {"name": "NVIDIA", "version": DRIVER}
    return {
        "index": card.index,
        "kind": "gpu",
        "vendor": card.name.partition(" ")[0],
        "model": card.name,
        "architecture": None,
        "memory": {"kind": "dedicated", "capacity_bytes": card.memory_mib << 20},
        "driver": driver,
        "power_limit_watts": None,
    }
