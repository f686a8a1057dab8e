"""NVIDIA: what `nvidia-smi` prints, cards and their processes as CSV without header and units.

A field that is unknown reads `[N/A]`, `N/A`, `[Not Supported]`, `[Unknown Error]`,
`[Insufficient Permissions]` or `[GPU requires reset]`, by driver version. Errors are printed in the
place of the rows.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from aitui.domain.hardware import sample as bounds
from aitui.domain.hardware.gpu.probe import GpuOutput, GpuReading, GpuVendor
from aitui.domain.hardware.sample import Gpu, GpuProcessMemory
from aitui.domain.sanitize import sanitize_line

GPU_FIELDS = (
    "index,uuid,pci.bus_id,memory.used,memory.total,utilization.gpu,"
    "temperature.gpu,temperature.memory,power.draw,fan.speed,name"
)
MORE_GPU_FIELDS = GPU_FIELDS.replace(
    ",name",
    ",utilization.memory,power.limit,clocks.sm,clocks.max.sm,clocks.mem,pcie.link.gen.current,"
    "pcie.link.width.current,persistence_mode,clocks_throttle_reasons.active,"
    "ecc.errors.uncorrected.volatile.total,name",
)
PROCESS_FIELDS = "gpu_uuid,pid,used_memory"

NVIDIA_SMI_UNRESPONSIVE = "nvidia-smi does not answer"

_NO_CARDS = "No devices were found"
_MIB = 1 << 20
_MOST_ROWS = 1024
_BUS = re.compile(r"(?:[0-9A-Fa-f]{4})?([0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])")
# Those of Tegra have no prefix (go-nvlib), nor have those of some drivers for Thor.
_UUID = re.compile(
    r"(?:(?:GPU|MIG)-[0-9A-Za-z/\-]{1,80}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})"
)
# Cards without memory of their own, of which nvidia-smi reports no memory.
_UNIFIED = re.compile(
    r"\b(?:GB10|GH200|GB200|GB300|Jetson|Tegra|Orin|Thor|Xavier)\b", re.IGNORECASE
)


VENDOR = GpuVendor(
    "NVIDIA",
    re.compile(r"nvidia|nvgpu|tegra|geforce|quadro|tesla|\brtx\b|\bgtx\b", re.IGNORECASE),
    back_ends=("CUDA",),
    variables=("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"),
    uuid_prefixes=("GPU-", "MIG-"),
)
DRIVERS: tuple[str, ...] = ()
FILES: tuple[str, ...] = ()
_FORMAT = "--format=csv,noheader,nounits 2>&1 </dev/null"
# With 2 the driver doesn't know one of the fields. With 10, 14 and 15 one card is at fault and the
# values of the others hold (nvidia-smi(1)).
SCRIPT = f"""\
if command -v nvidia-smi >/dev/null 2>&1; then
  section nvidia
  rows=$($limit nvidia-smi --query-gpu={MORE_GPU_FIELDS} {_FORMAT})
  status=$?
  if [ $status -eq 2 ]; then
    rows=$($limit nvidia-smi --query-gpu={GPU_FIELDS} {_FORMAT})
    status=$?
  fi
  printf '%s\\n' "$rows"
  section nvidia-status $status
  case $status in
  0 | 10 | 14 | 15)
    section nvidia-processes
    $limit nvidia-smi --query-compute-apps={PROCESS_FIELDS} {_FORMAT}
    ;;
  esac
fi
"""
# The module's own file comes before nvidia-smi, which wakes cards that sleep. Where it is missing
# there may still be cards: WSL has none.
DRIVER_SCRIPT = """\
if [ -r /proc/driver/nvidia/version ]; then
  section nvidia
  cat /proc/driver/nvidia/version 2>/dev/null
elif [ "$skip" != tools ] && command -v nvidia-smi >/dev/null 2>&1; then
  section nvidia
  $limit nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null </dev/null
fi
"""


def read(output: GpuOutput) -> GpuReading:
    """Read the output of SCRIPT; a tool that was cut off is one that doesn't answer."""
    sections = output.sections
    text = "\n".join(sections.lines("nvidia"))
    status = bounds.parse_number(sections.value("nvidia-status"))
    unfinished = 124 if "nvidia" in sections else None
    process_lines = [line for line in sections.lines("nvidia-processes") if line.strip()]
    uses = parse_uses("\n".join(process_lines))
    # nvidia-smi of Jetson lists a process without its memory.
    in_use = None if len(uses) < len(process_lines) else uses
    return GpuReading(
        gpus=tuple(
            _with_machine_memory(gpu, output.memory, in_use) for gpu in parse_gpus(text, output.at)
        ),
        uses=uses,
        error=tool_error(text, unfinished if status is None else int(status)),
    )


def parse_gpus(text: str, at: float) -> tuple[Gpu, ...]:
    """Read the rows of `--query-gpu` with either list of fields; other lines are skipped."""
    found: list[Gpu] = []
    for line in text.splitlines():
        for names in (MORE_GPU_FIELDS.split(","), GPU_FIELDS.split(",")):
            rows = _split_rows(line, len(names))
            gpus = [_build_gpu(dict(zip(names, row, strict=True)), at) for row in rows]
            if gpus and gpus[0] is not None:
                found.append(gpus[0])
                break
    return tuple(found)


def parse_uses(text: str) -> tuple[GpuProcessMemory, ...]:
    """Read the rows of `--query-compute-apps` with PROCESS_FIELDS, if their memory is known."""
    found: list[GpuProcessMemory] = []
    for uuid, pid_text, memory in _split_rows(text, 3):
        pid, used = bounds.parse_number(pid_text), bounds.parse_number(memory)
        size = None if used is None else bounds.memory_bytes(used, _MIB)
        if _UUID.fullmatch(uuid) and pid is not None and 0 < pid < 2**32 and size is not None:
            found.append(GpuProcessMemory(uuid, int(pid), size))
    return tuple(found)


def is_listed(gpu: Gpu) -> bool:
    """Whether nvidia-smi has listed the card: others are known by their PCI address."""
    return _UUID.fullmatch(gpu.uuid) is not None


def tool_error(text: str, status: int | None) -> str:
    """Return what nvidia-smi complains about, in its own words; "" if it works.

    `status` is its exit status, None where it isn't installed.
    """
    if status is None or _NO_CARDS in text[:4000]:
        return ""
    if status in {124, 137}:
        return NVIDIA_SMI_UNRESPONSIVE
    # A warning stands behind the rows, or in the place of one of them.
    complaints = [line for line in text[:4000].splitlines() if not parse_gpus(line, 0.0)]
    lines = (sanitize_line(line, 200).strip() for line in complaints)
    words = next((line for line in lines if line), "")
    if status == 0:
        if words and not parse_gpus(text, 0.0):
            return f"nvidia-smi printed something that aitui can't read: {words}"
        return f"nvidia-smi: {words}" if words else ""
    return f"nvidia-smi: {words}" if words else f"nvidia-smi exited with status {status}"


def _split_rows(text: str, count: int) -> Iterator[list[str]]:
    for line in text.splitlines()[:_MOST_ROWS]:
        fields = [field.strip() for field in line[:1000].split(",", count - 1)]
        if len(fields) == count:
            yield fields


def _build_gpu(row: Mapping[str, str], at: float) -> Gpu | None:
    figures = {name: bounds.parse_number(value) for name, value in row.items()}
    number, uuid, name = figures["index"], row["uuid"], row["name"]
    if number is None or not 0 <= number < 1024 or not _UUID.fullmatch(uuid):
        return None

    def within(field: str, largest: float) -> float | None:
        return bounds.number_in_range(figures.get(field), 0, largest)

    place = _BUS.fullmatch(row["pci.bus_id"])
    total_bytes = bounds.memory_bytes(figures["memory.total"], _MIB) or None
    errors = within("ecc.errors.uncorrected.volatile.total", 1e15)
    return Gpu(
        index=int(number),
        name=sanitize_line(name, 100),
        uuid=uuid,
        used_bytes=None
        if total_bytes is None
        else bounds.memory_bytes(figures["memory.used"], _MIB),
        total_bytes=total_bytes,
        use_percent=bounds.percentage(figures["utilization.gpu"]),
        temperature=within("temperature.gpu", 200),
        memory_temperature=within("temperature.memory", 200) or None,
        power=within("power.draw", 100_000),
        fan_percent=bounds.percentage(figures["fan.speed"]),
        sampled_at=at,
        unified=total_bytes is None and _UNIFIED.search(name) is not None,
        bus=place[1].lower() if place else "",
        bus_percent=bounds.percentage(figures.get("utilization.memory")),
        power_limit=within("power.limit", 100_000) or None,
        clock=within("clocks.sm", 100_000),
        clock_limit=within("clocks.max.sm", 100_000) or None,
        memory_clock=within("clocks.mem", 100_000),
        link=_link(within("pcie.link.gen.current", 99), within("pcie.link.width.current", 99)),
        persistent={"Enabled": True, "Disabled": False}.get(row.get("persistence_mode", "")),
        throttled_by=_throttle_reasons(row.get("clocks_throttle_reasons.active", "")),
        memory_errors=None if errors is None else int(errors),
    )


def _link(generation: float | None, width: float | None) -> str:
    return f"{generation:.0f}.0 ×{width:.0f}" if generation and width else ""


_REASONS = {
    0x04: "power",
    0x08: "hardware",
    0x20: "temperature",
    0x40: "temperature",
    0x80: "power supply",
}
"""Bits of NVML's `nvmlClocksEventReasons`; the others say that the card idles or was set so."""


def _throttle_reasons(text: str) -> tuple[str, ...] | None:
    if not re.fullmatch("0x[0-9a-fA-F]{1,16}", text):
        return None
    bits = int(text, 16)
    return tuple(dict.fromkeys(words for bit, words in _REASONS.items() if bits & bit))


def _with_machine_memory(
    gpu: Gpu, memory: int | None, uses: Iterable[GpuProcessMemory] | None
) -> Gpu:
    """Without memory of its own, a card has the machine's, and uses what its processes hold."""
    if not gpu.unified:
        return gpu
    used = None if uses is None else sum(use.used_bytes for use in uses if use.gpu == gpu.uuid)
    return replace(gpu, total_bytes=memory, used_bytes=used)
