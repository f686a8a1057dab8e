"""What llama-server's start-up log reports about the memory it takes, and its slots.

The lines are those of today's builds, of llama.cpp since 2023 (`llm_load_tensors`,
`llama_new_context_with_model`), and of ik_llama.cpp; with prefixes, colors, or as JSON lines
(`--log-jsonl`). Without `-lv 4` today's builds print none of them but the size of a slot.
"""

import json
import re
from collections.abc import Iterable

from msgspec import Struct

from aitui.domain.hardware.sample import memory_bytes, parse_number
from aitui.domain.sanitize import sanitize_line
from aitui.domain.upstream_runs import RunDetector

_MIB = 1 << 20
_LONGEST_LINE = 2000
_MOST_DEVICES = 64

_BUFFER = re.compile(
    r"(?:^|[\s:])(?P<device>[A-Za-z][\w.\-]{0,40}(?:\(\))?)\s+"
    r"(?:(?P<what>model|KV|RS|compute|output)\s+)?"
    r"buffer size\s*=\s*(?P<mib>[0-9]{1,12}(?:\.[0-9]{1,4})?) MiB"
)
_CONTEXT = re.compile(r"\bn_ctx\s*=\s*([0-9]{1,12})\s*\Z")
_SLOT = re.compile(r"\bn_ctx_slot\s*=\s*([0-9]{1,10})\b")
_ROW = re.compile(
    r"\|\s+- (?P<device>[A-Za-z][\w.\-]{0,40})[^|]{0,200}\|"
    r"(?:[^(|]{0,60}\()?\s*(?P<self>[0-9]+)\s*=\s*(?P<model>[0-9]+)\s*\+\s*(?P<context>[0-9]+)"
    r"\s*\+\s*(?P<compute>[0-9]+)"
)
_TABLE = "memory breakdown [MiB]"
_GPU = re.compile(
    r"(?:CUDA|ROCm|HIP|Vulkan|Metal|MTL|SYCL|OpenCL|CANN|MUSA|GPU|Meta)", re.IGNORECASE
)


class DeviceMemory(Struct, frozen=True):
    """Bytes that a start put on one device, by what they hold."""

    name: str
    weights: int = 0
    cache: int = 0
    compute: int = 0

    @property
    def total(self) -> int:
        """The sum of all three."""
        return self.weights + self.cache + self.compute

    @property
    def is_gpu(self) -> bool:
        """Whether it is a graphics card; pinned memory of the machine is none."""
        return _GPU.match(self.name) is not None and not self.name.endswith("_Host")

    @property
    def is_mapped(self) -> bool:
        """Whether its weights are pages of the file, which the machine can drop at any time."""
        return self.name.endswith("_Mapped") and not self.is_gpu


class StartupMemory(Struct, frozen=True):
    """The memory of one start. `context_size` is that of all slots together."""

    devices: tuple[DeviceMemory, ...] = ()
    context_size: int | None = None

    @property
    def gpu_bytes(self) -> int:
        """The bytes on all graphics cards."""
        return sum(device.total for device in self.devices if device.is_gpu)

    @property
    def host_bytes(self) -> int:
        """The bytes of the machine's memory, without what is mapped from the file."""
        return sum(
            device.total - (device.weights if device.is_mapped else 0)
            for device in self.devices
            if not device.is_gpu
        )

    @property
    def bytes_with_file(self) -> int:
        """The bytes on all devices, with what is mapped from the file."""
        return sum(device.total for device in self.devices)

    @property
    def cache_bytes(self) -> int:
        """The bytes of the cache, wherever it is."""
        return sum(device.cache for device in self.devices)

    @property
    def weights_bytes(self) -> int:
        """The bytes of the weights, without what is merely mapped."""
        return sum(device.weights for device in self.devices if not device.is_mapped)

    @property
    def compute_bytes(self) -> int:
        """The bytes of the buffers for what is being computed."""
        return sum(device.compute for device in self.devices)


class StartupLogReader:
    """Reads the lines of a model's log; has the memory of the last start in them."""

    def __init__(self) -> None:
        self._start = _StartupRun()
        self._runs = RunDetector()

    def feed(self, line: str) -> None:
        """Read one line, with or without colors; anything may stand in it."""
        text = _extract_message(sanitize_line(line, _LONGEST_LINE))
        if isinstance(text, dict):
            self._start.add_projection(_devices_from_json(text))
        elif self._runs.begins_run(text):
            self._start = _StartupRun()
        elif "buffer size" in text:
            self._start.add_buffer(text)
        elif "n_ctx" in text:
            self._start.read_sizes(text)
        elif "|" in text:
            self._start.add_row(text)

    def feed_all(self, lines: Iterable[str]) -> "StartupLogReader":
        """Read several lines, the oldest first."""
        for line in lines:
            self.feed(line)
        return self

    @property
    def memory(self) -> StartupMemory | None:
        """The memory of the last start, None if its log has none."""
        return self._start.memory

    @property
    def slot_size(self) -> int:
        """The tokens that one slot of the last start may hold, 0 if its log doesn't say."""
        return self._start.slot_size


class _StartupRun:
    def __init__(self) -> None:
        self._buffers: dict[tuple[str, str], int] = {}
        self._projected: dict[str, DeviceMemory] = {}
        self._context: int | None = None
        self.slot_size = 0

    @property
    def memory(self) -> StartupMemory | None:
        """The buffers that were made count for more than the projection before them."""
        names = dict.fromkeys(name for name, _ in self._buffers)
        devices = tuple(map(self._device_from_buffers, names)) or tuple(self._projected.values())
        if not devices:
            return None
        return StartupMemory(devices, self._context)

    def _device_from_buffers(self, name: str) -> DeviceMemory:
        def of(*kinds: str) -> int:
            return sum(self._buffers.get((name, kind), 0) for kind in kinds)

        return DeviceMemory(name, of("model"), of("KV", "RS"), of("compute", "output"))

    def add_buffer(self, text: str) -> None:
        found = _BUFFER.search(text)
        size = None if found is None else memory_bytes(float(found["mib"]), _MIB)
        if found is None or size is None:
            return
        key = found["device"], found["what"] or "model"
        if key not in self._buffers and len(self._buffers) >= _MOST_DEVICES:
            return
        before = self._buffers.get(key, 0)
        # Working buffers are reserved again as the context grows: the largest one stays.
        again = key[1] in {"compute", "output"}
        self._buffers[key] = max(before, size) if again else before + size

    def add_row(self, text: str) -> None:
        if _TABLE in text:
            self._projected = {}
            return
        found = _ROW.search(text)
        if found is not None:
            sizes = found.group("model", "context", "compute")
            self.add_projection([_build_device(found["device"], *sizes)])

    def add_projection(self, devices: Iterable[DeviceMemory]) -> None:
        for device in devices:
            if device.name in self._projected or len(self._projected) < _MOST_DEVICES:
                self._projected[device.name] = device

    def read_sizes(self, text: str) -> None:
        context = _CONTEXT.search(text)
        if context is not None and "slot" not in text:
            self._context = int(context[1]) or None
        elif (slot := _SLOT.search(text)) is not None:
            self.slot_size = int(slot[1])


def _extract_message(line: str) -> str | dict[str, object]:
    """Return a line's text; of a line of JSON its message, if it has one."""
    if not line.startswith("{"):
        return line
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(found, dict):
        return line
    message = found.get("msg")
    return sanitize_line(message, _LONGEST_LINE).strip() if isinstance(message, str) else found


def _devices_from_json(event: dict[str, object]) -> list[DeviceMemory]:
    data = event.get("data")
    rows = data.get("rows") if isinstance(data, dict) else None
    if event.get("type") != "fit_memory_breakdown" or not isinstance(rows, list):
        return []
    kinds = ("model", "context", "compute")
    found = (row for row in rows[:_MOST_DEVICES] if isinstance(row, dict))
    return [_build_device(str(row.get("name", "")), *map(row.get, kinds)) for row in found]


def _build_device(name: str, *mebibytes: object) -> DeviceMemory:
    weights, cache, compute = (
        memory_bytes(parse_number(amount) if isinstance(amount, str) else amount, _MIB) or 0
        for amount in mebibytes
    )
    return DeviceMemory(sanitize_line(name, 40), weights, cache, compute)
