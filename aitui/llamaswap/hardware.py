"""What the server reports about its machine: `/api/hardware` once, `/api/performance` in samples.

`/api/hardware` is llama-swap's `HardwareSnapshot` (internal/hw/types.go, schema 1), detected at its
start: what is unknown is null, "unknown", or "other" with the word itself in the field `raw_…`.
Nonsense in a field makes that field unknown, not the response bad.
"""

from collections.abc import Iterable
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
from aitui.llamaswap.errors import Response, parse_error
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


class _Named(msgspec.Struct):
    """`architecture` and an accelerator's `driver`."""

    name: Any = None
    raw_name: Any = None
    version: Any = None


class _System(msgspec.Struct):
    family: Any = None
    name: Any = None
    version: Any = None
    kernel: Any = None
    raw_family: Any = None


class _Environment(msgspec.Struct):
    kind: Any = None
    name: Any = None
    raw_kind: Any = None


class _Processor(msgspec.Struct):
    model: Any = None
    socket_count: Any = None
    physical_core_count: Any = None
    logical_thread_count: Any = None


class _Memory(msgspec.Struct):
    capacity_bytes: Any = None


class _Accelerator(msgspec.Struct):
    kind: Any = None
    raw_kind: Any = None
    vendor: Any = None
    model: Any = None
    driver: Any = None


class _Hardware(msgspec.Struct):
    architecture: Any = None
    operating_system: Any = None
    environment: Any = None
    cpu: Any = None
    memory: Any = None
    accelerators: Any = None


_Part = TypeVar("_Part", bound=msgspec.Struct)
_HARDWARE = msgspec.json.Decoder(_Hardware)


def detection_error(response: Response) -> NotSupported | None:
    """Return the exception for a failed detection, None for another refusal."""
    words = parse_error(response).text
    if response.status != 503 or "hardware detection" not in words:
        return None
    return NotSupported(
        "The server doesn't know its machine",
        status=response.status,
        words=words,
        why="its detection of the hardware failed when it was started",
    )


def parse_hardware(body: bytes, endpoint: str) -> HostInfo:
    """Parse `/api/hardware`. Raises BadResponse."""
    found = decode_as("the facts of a machine", _HARDWARE, body, endpoint)
    system = _convert_part(found.operating_system, _System)
    release = _text(system.kernel)
    processor = _convert_part(found.cpu, _Processor)
    architecture = _convert_part(found.architecture, _Named)
    listed = found.accelerators if isinstance(found.accelerators, list) else []
    accelerators = [_convert_part(one, _Accelerator) for one in listed[:MOST_ACCELERATORS]]
    return HostInfo(
        system=_system(system),
        kernel=f"{_KERNELS.get(_text(system.family), 'kernel')} {release}" if release else "",
        architecture=_text(architecture.name) or _text(architecture.raw_name),
        environment=_environment(_convert_part(found.environment, _Environment)),
        processor=_text(processor.model),
        sockets=_count(processor.socket_count),
        cores=_count(processor.physical_core_count),
        threads=_count(processor.logical_thread_count),
        memory_bytes=bounds.memory_bytes(_convert_part(found.memory, _Memory).capacity_bytes)
        or None,
        nvidia_driver=next(filter(None, map(_nvidia_driver, accelerators)), ""),
        accelerators=tuple(filter(None, map(_accelerator, accelerators))),
    )


def _convert_part(value: object, kind: type[_Part]) -> _Part:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return kind()


def _text(value: object) -> str:
    """Return a sanitized name; "" for no text, and for the server's words for unknown."""
    text = " ".join(sanitize_line(value, LONGEST_NAME).split()) if isinstance(value, str) else ""
    return "" if text in {"unknown", "other"} else text


def _count(value: object) -> int | None:
    found = bounds.number_in_range(value, 1, MOST_THREADS)
    return None if found is None else int(found)


def _system(system: _System) -> str:
    name = _text(system.name) or _text(system.family) or _text(system.raw_family)
    spelled = _SYSTEMS.get(name, name.capitalize() if name.islower() else name)
    version = _text(system.version)
    return spelled if version in spelled else f"{spelled} {version}".strip()


def _environment(environment: _Environment) -> str:
    kind, name = _text(environment.kind), _text(environment.name)
    if kind == NATIVE:
        return NATIVE
    words = _ENVIRONMENTS.get(kind) or _text(environment.raw_kind)
    return words if name in words else f"{name} {words}".strip()


def _accelerator(accelerator: _Accelerator) -> str:
    """Return its model, or its vendor and kind without one."""
    kind = _text(accelerator.kind) or _text(accelerator.raw_kind)
    vendor = _text(accelerator.vendor)
    return _text(accelerator.model) or (
        f"{vendor} {_KINDS.get(kind, kind)}".strip() if vendor else ""
    )


def _nvidia_driver(accelerator: _Accelerator) -> str:
    """Return the version: the vendor's driver calls itself NVIDIA, the kernel's module nvidia."""
    driver = _convert_part(accelerator.driver, _Named)
    return _text(driver.version) if _text(driver.name).lower() == "nvidia" else ""


class _GpuRow(msgspec.Struct):
    timestamp: Any = None
    id: Any = None
    name: Any = None
    uuid: Any = None
    temp_c: Any = None
    vram_temp_c: Any = None
    gpu_util_pct: Any = None
    mem_used_mb: Any = None
    mem_total_mb: Any = None
    fan_speed_pct: Any = None
    power_draw_w: Any = None


class _Interface(msgspec.Struct):
    name: Any = None
    bytes_recv: Any = None
    bytes_sent: Any = None


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
    words = parse_error(response).text
    if "performance monitor" not in words and '"enabled":false' not in words.replace(" ", ""):
        return None
    return NotSupported(
        "The server doesn't measure its machine",
        status=response.status,
        words=words,
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
    try:
        entry = msgspec.convert(value, _Interface)
    except msgspec.ValidationError:
        return None
    received = bounds.number_in_range(entry.bytes_recv, 0, 2**64)
    sent = bounds.number_in_range(entry.bytes_sent, 0, 2**64)
    if received is None or sent is None:
        return None
    return NetworkInterface(_name(entry.name), int(received), int(sent))


def _name(value: object) -> str:
    return sanitize_line(value, _LONGEST_NAME).strip() if isinstance(value, str) else ""
