"""`/api/performance`: what the server measured of its machine.

`{enabled?, gpu_stats: null | [row], sys_stats: null | [row]}`, the oldest first; the rows are
llama-swap's `GpuStat` and `SysStat`. The server writes 0 where its tool told nothing. Other
programs' nonsense in single fields makes those fields unknown, not the answer bad.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from aitui.domain.clean import sanitize_line
from aitui.domain.hardware import bounds
from aitui.domain.hardware.sample import Gpu, HardwareSample, Machine, NetworkInterface
from aitui.domain.hardware.samples import group_samples
from aitui.errors import BadResponse, NotSupported
from aitui.swap.answers import Response, parse_error
from aitui.swap.wire import looks_like_html

LARGEST_SAMPLES = 16 << 20

_MOST_ROWS = 20_000
_MOST_CORES = 1024
_MOST_INTERFACES = 64
_LONGEST_NAME = 100
_MIB = 1 << 20
_HOTTEST = 200.0
_STRONGEST = 100_000.0


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
    """Where to ask for the samples that are newer than one at that Unix time."""
    if after is None:
        return "/api/performance"
    moment = datetime.fromtimestamp(after, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return f"/api/performance?after={moment}"


def monitor_disabled_error(answer: Response) -> NotSupported | None:
    """The exception for a server that doesn't measure, None where the refusal is another one."""
    if answer.status != 503:
        return None
    words = parse_error(answer).text
    if "performance monitor" not in words and '"enabled":false' not in words.replace(" ", ""):
        return None
    return NotSupported(
        "The server doesn't measure its machine",
        status=answer.status,
        words=words,
        why="its performance monitor is turned off",
        remedy="remove performance.disabled from its config.yaml",
    )


def parse_samples(
    body: bytes, endpoint: str, after: float | None = None
) -> tuple[HardwareSample, ...]:
    """The samples of an answer that are newer than `after`, the oldest first.

    The server's clock has nanoseconds, which `after` can't hold: its own sample comes again.
    Raises BadAnswer.
    """
    if looks_like_html(body):
        raise BadResponse(
            f"{endpoint} answered with HTML, not JSON",
            remedy="check that the URL is that of a llama-swap server",
        )
    try:
        found = _PERFORMANCE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadResponse(
            f"{endpoint} answered with something else than samples",
            why=sanitize_line(str(error), 200),
        ) from error
    gpus = (_gpu(row) for row in (found.gpu_stats or ())[-_MOST_ROWS:])
    machines = (_machine(row) for row in (found.sys_stats or ())[-_MOST_ROWS:])
    return group_samples(_newer(gpus, after), _newer(machines, after))


def _newer(rows: Iterable[_Row | None], after: float | None) -> list[_Row]:
    start = 0.0 if after is None else after
    return [row for row in rows if row is not None and row.sampled_at > start]


def _gpu(row: _GpuRow) -> Gpu | None:
    at = _unix_time(row.timestamp)
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
    at = _unix_time(row.timestamp)
    if at is None:
        return None
    total = bounds.memory_bytes(row.mem_total_mb, _MIB) or None
    return Machine(
        cores=_cores(row.cpu_util_per_core),
        memory_total=total,
        memory_used=None if total is None else bounds.memory_bytes(row.mem_used_mb, _MIB),
        swap_total=bounds.memory_bytes(row.swap_total_mb, _MIB),
        swap_used=bounds.memory_bytes(row.swap_used_mb, _MIB),
        load=_load(row),
        network=_network(row.net_io),
        sampled_at=at,
    )


def _cores(value: object) -> tuple[float, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(bounds.percentage(share) or 0.0 for share in value[:_MOST_CORES])


def _load(row: _SystemRow) -> tuple[float, float, float] | None:
    one, five, fifteen = (
        bounds.number_in_range(value, 0, 1e6)
        for value in (row.load_avg_1, row.load_avg_5, row.load_avg_15)
    )
    if one is None or five is None or fifteen is None:
        return None
    return one, five, fifteen


def _network(value: object) -> tuple[NetworkInterface, ...]:
    if not isinstance(value, list):
        return ()
    found = (_interface(entry) for entry in value[:_MOST_INTERFACES])
    return tuple(interface for interface in found if interface is not None)


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


def _unix_time(value: object) -> float | None:
    try:
        moment = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return None
    if moment.tzinfo is None or moment.year < 1970 or moment.year > 9000:
        return None
    return moment.timestamp()
