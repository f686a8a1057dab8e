"""What the server reports about its machine: `/api/hardware` once, `/api/performance` in samples.

`/api/hardware` is llama-swap's `HardwareSnapshot` (internal/hw/types.go, schema 1), detected at its
start: what is unknown is null, "unknown", or "other" with the word itself in the field `raw_…`.
Nonsense in a field makes that field unknown, not the response bad.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from aitui.domain.hardware import sample as bounds
from aitui.domain.hardware.info import LONGEST_NAME, MOST_THREADS, NATIVE, HostInfo
from aitui.domain.hardware.sample import (
    Gpu,
    HardwareSample,
    Machine,
    NetworkInterface,
    group_samples,
)
from aitui.domain.sanitize import sanitize_line
from aitui.errors import NotSupported
from aitui.llamaswap.response import Response
from aitui.llamaswap.schemas import decode_as, parse_unix_time

MOST_ACCELERATORS = 64
LARGEST_SAMPLES = 16 << 20

_MOST_ROWS = 20_000
_MOST_CORES = 1024
_MOST_INTERFACES = 64
_LONGEST_NAME = 100
_MIB = 1 << 20
_HOTTEST = 200.0
_STRONGEST = 100_000.0

# The server has the identifiers of os-release(5), and the Go library's words for the others.
_SYSTEMS = {
    "darwin": "macOS",
    "freebsd": "FreeBSD",
    "nixos": "NixOS",
    "opensuse-leap": "openSUSE Leap",
    "opensuse-tumbleweed": "openSUSE Tumbleweed",
    "redhat": "Red Hat",
    "rhel": "Red Hat Enterprise Linux",
}
_KERNELS = {"freebsd": "FreeBSD", "linux": "Linux", "macos": "Darwin", "windows": "NT"}
_ENVIRONMENTS = {"container": "container", "virtual_machine": "virtual machine", "wsl": "WSL"}
_KINDS = {"gpu": "GPU", "npu": "NPU"}


Part = Mapping[str, Any]
"""A JSON object; a field that is missing, or no object at all, is unknown."""

_HARDWARE = msgspec.json.Decoder(dict[str, Any])


def detection_error(response: Response) -> NotSupported | None:
    """Return the exception for a failed detection, None for another refusal."""
    if response.status != 503 or "hardware detection" not in _error_text(response):
        return None
    return NotSupported(
        "The server does not report its hardware",
        status=response.status,
        why="its hardware detection failed at startup",
    )


def _error_text(response: Response) -> str:
    from aitui.llamaswap.errors import parse_error

    return parse_error(response).text


def parse_hardware(body: bytes, endpoint: str) -> HostInfo:
    """Parse `/api/hardware`. Raises BadResponse."""
    found = decode_as("the facts of a machine", _HARDWARE, body, endpoint)
    system, processor = _part(found.get("operating_system")), _part(found.get("cpu"))
    architecture, memory = _part(found.get("architecture")), _part(found.get("memory"))
    release = _text(system.get("kernel"))
    listed = found.get("accelerators")
    listed = listed[:MOST_ACCELERATORS] if isinstance(listed, list) else []
    accelerators = [_part(accelerator) for accelerator in listed]
    return HostInfo(
        system=_system(system),
        kernel=f"{_KERNELS.get(_text(system.get('family')), 'kernel')} {release}"
        if release
        else "",
        architecture=_text(architecture.get("name")) or _text(architecture.get("raw_name")),
        environment=_environment(_part(found.get("environment"))),
        processor=_text(processor.get("model")),
        sockets=_count(processor.get("socket_count")),
        cores=_count(processor.get("physical_core_count")),
        threads=_count(processor.get("logical_thread_count")),
        memory_bytes=bounds.memory_bytes(memory.get("capacity_bytes")) or None,
        nvidia_driver=next(filter(None, map(_nvidia_driver, accelerators)), ""),
        accelerators=tuple(filter(None, map(_accelerator, accelerators))),
    )


def _part(value: object) -> Part:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    """Return a sanitized name; "" for no text, and for the server's words for unknown."""
    text = " ".join(sanitize_line(value, LONGEST_NAME).split()) if isinstance(value, str) else ""
    return "" if text in {"unknown", "other"} else text


def _count(value: object) -> int | None:
    found = bounds.number_in_range(value, 1, MOST_THREADS)
    return None if found is None else int(found)


def _system(system: Part) -> str:
    name = (
        _text(system.get("name")) or _text(system.get("family")) or _text(system.get("raw_family"))
    )
    spelled = _SYSTEMS.get(name, name.capitalize() if name.islower() else name)
    version = _text(system.get("version"))
    return spelled if version in spelled else f"{spelled} {version}".strip()


def _environment(environment: Part) -> str:
    kind, name = _text(environment.get("kind")), _text(environment.get("name"))
    if kind == NATIVE:
        return NATIVE
    words = _ENVIRONMENTS.get(kind) or _text(environment.get("raw_kind"))
    return words if name in words else f"{name} {words}".strip()


def _accelerator(accelerator: Part) -> str:
    kind = _text(accelerator.get("kind")) or _text(accelerator.get("raw_kind"))
    vendor = _text(accelerator.get("vendor"))
    return _text(accelerator.get("model")) or (
        f"{vendor} {_KINDS.get(kind, kind)}".strip() if vendor else ""
    )


def _nvidia_driver(accelerator: Part) -> str:
    """Return the version: the vendor's driver calls itself NVIDIA, the kernel's module nvidia."""
    driver = _part(accelerator.get("driver"))
    return _text(driver.get("version")) if _text(driver.get("name")).lower() == "nvidia" else ""


class _GpuRow(msgspec.Struct):
    timestamp: Any = None
    id: Any = None
    name: Any = None
    uuid: Any = None
    temp_c: Any = None
    vram_temp_c: Any = None
    gpu_util_pct: Any = None
    mem_util_pct: Any = None
    mem_used_mb: Any = None
    mem_total_mb: Any = None
    fan_speed_pct: Any = None
    power_draw_w: Any = None


class _SystemRow(msgspec.Struct):
    timestamp: Any = None
    cpu_util_per_core: Any = None
    mem_total_mb: Any = None
    mem_used_mb: Any = None
    swap_total_mb: Any = None
    swap_used_mb: Any = None
    load_avg_1: Any = None
    load_avg_5: Any = None
    load_avg_15: Any = None
    net_io: Any = None


class _Performance(msgspec.Struct):
    gpu_stats: list[_GpuRow] | None = None
    sys_stats: list[_SystemRow] | None = None


_Row = TypeVar("_Row", Gpu, Machine)
_PERFORMANCE = msgspec.json.Decoder(_Performance)


def performance_path(after: float | None) -> str:
    """Return the path of the samples after a Unix time."""
    if after is None:
        return "/api/performance"
    moment = datetime.fromtimestamp(after, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return f"/api/performance?after={moment}"


def monitor_disabled_error(response: Response) -> NotSupported | None:
    """Return the exception for a disabled performance monitor, None for another refusal."""
    if response.status != 503:
        return None
    words = _error_text(response)
    if "performance monitor" not in words and '"enabled":false' not in words.replace(" ", ""):
        return None
    return NotSupported(
        "The server doesn't measure its hardware",
        status=response.status,
        why="its performance monitor is turned off",
        remedy="remove performance.disabled from its config.yaml",
    )


def parse_samples(
    body: bytes, endpoint: str, after: float | None = None
) -> tuple[HardwareSample, ...]:
    """Parse the samples that are newer than `after`, the oldest first.

    The server's clock has nanoseconds, which `after` can't hold: its own sample comes again.
    Raises BadResponse.
    """
    found = decode_as("samples", _PERFORMANCE, body, endpoint)
    gpus = (_gpu(row) for row in (found.gpu_stats or ())[-_MOST_ROWS:])
    machines = (_machine(row) for row in (found.sys_stats or ())[-_MOST_ROWS:])
    return group_samples(_newer(gpus, after), _newer(machines, after))


def _newer(rows: Iterable[_Row | None], after: float | None) -> list[_Row]:
    start = 0.0 if after is None else after
    return [row for row in rows if row is not None and row.sampled_at > start]


def _gpu(row: _GpuRow) -> Gpu | None:
    at = parse_unix_time(row.timestamp)
    index = bounds.number_in_range(row.id, 0, 1023)
    if at is None or index is None:
        return None
    total = bounds.memory_bytes(row.mem_total_mb, _MIB) or None
    return Gpu(
        index=int(index),
        name=_name(row.name),
        uuid=_name(row.uuid),
        used_bytes=None if total is None else bounds.memory_bytes(row.mem_used_mb, _MIB),
        total_bytes=total,
        use_percent=bounds.percentage(row.gpu_util_pct),
        temperature=bounds.number_in_range(row.temp_c, 0, _HOTTEST) or None,
        memory_temperature=bounds.number_in_range(row.vram_temp_c, 0, _HOTTEST) or None,
        power=bounds.number_in_range(row.power_draw_w, 0, _STRONGEST) or None,
        fan_percent=bounds.percentage(row.fan_speed_pct) or None,
        sampled_at=at,
        bus_percent=bounds.percentage(row.mem_util_pct),
    )


def _machine(row: _SystemRow) -> Machine | None:
    at = parse_unix_time(row.timestamp)
    if at is None:
        return None
    total = bounds.memory_bytes(row.mem_total_mb, _MIB) or None
    shares = row.cpu_util_per_core if isinstance(row.cpu_util_per_core, list) else []
    interfaces = row.net_io if isinstance(row.net_io, list) else []
    return Machine(
        cores=tuple(bounds.percentage(share) or 0.0 for share in shares[:_MOST_CORES]),
        memory_total=total,
        memory_used=None if total is None else bounds.memory_bytes(row.mem_used_mb, _MIB),
        swap_total=bounds.memory_bytes(row.swap_total_mb, _MIB),
        swap_used=bounds.memory_bytes(row.swap_used_mb, _MIB),
        load=_load(row),
        network=tuple(filter(None, map(_interface, interfaces[:_MOST_INTERFACES]))),
        sampled_at=at,
    )


def _load(row: _SystemRow) -> tuple[float, float, float] | None:
    one, five, fifteen = (
        bounds.number_in_range(value, 0, 1e6)
        for value in (row.load_avg_1, row.load_avg_5, row.load_avg_15)
    )
    if one is None or five is None or fifteen is None:
        return None
    return one, five, fifteen


def _interface(value: object) -> NetworkInterface | None:
    entry = _part(value)
    received = bounds.number_in_range(entry.get("bytes_recv"), 0, 2**64)
    sent = bounds.number_in_range(entry.get("bytes_sent"), 0, 2**64)
    if received is None or sent is None:
        return None
    return NetworkInterface(_name(entry.get("name")), int(received), int(sent))


def _name(value: object) -> str:
    return sanitize_line(value, _LONGEST_NAME).strip() if isinstance(value, str) else ""
