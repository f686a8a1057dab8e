"""NVIDIA: what `nvidia-smi` prints, cards and their processes as CSV without header and units.

A field that is unknown reads `[N/A]`, `N/A`, `[Not Supported]`, `[Unknown Error]`,
`[Insufficient Permissions]` or `[GPU requires reset]`, by driver version. Errors are printed in the
place of the rows.
"""

import re
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from aitui.domain.hardware import sample as bounds
from aitui.domain.hardware.gpu.probe import GpuOutput, GpuReading, GpuVendor
from aitui.domain.hardware.sample import Gpu, GpuProcessMemory
from aitui.domain.sanitize import sanitize_line

GPU_FIELDS = (
    "index,uuid,pci.bus_id,memory.used,memory.total,utilization.gpu,"
    "temperature.gpu,temperature.memory,power.draw,fan.speed,name"
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
# With 10, 14 and 15 one card is at fault and the values of the others hold (nvidia-smi(1)).
SCRIPT = f"""\
if command -v nvidia-smi >/dev/null 2>&1; then
  section nvidia
  $limit nvidia-smi --query-gpu={GPU_FIELDS} --format=csv,noheader,nounits 2>&1 </dev/null
  status=$?
  section nvidia-status $status
  case $status in
  0 | 10 | 14 | 15)
    section nvidia-processes
    $limit nvidia-smi --query-compute-apps={PROCESS_FIELDS} --format=csv,noheader,nounits 2>&1 </dev/null
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
    """Read the rows of `--query-gpu` with GPU_FIELDS; other lines are skipped."""
    found = (_build_gpu(fields, at) for fields in _split_rows(text, 11))
    return tuple(gpu for gpu in found if gpu is not None)


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
            return f"nvidia-smi answers what aitui can't read: {words}"
        return f"nvidia-smi: {words}" if words else ""
    return f"nvidia-smi: {words}" if words else f"nvidia-smi ends with status {status}"


def _split_rows(text: str, count: int) -> Iterator[list[str]]:
    for line in text.splitlines()[:_MOST_ROWS]:
        fields = [field.strip() for field in line[:1000].split(",", count - 1)]
        if len(fields) == count:
            yield fields


def _build_gpu(fields: list[str], at: float) -> Gpu | None:
    index, uuid, bus, *figures, name = fields
    number = bounds.parse_number(index)
    if number is None or not 0 <= number < 1024 or not _UUID.fullmatch(uuid):
        return None
    used, total, use, temperature, hottest, power, fan = map(bounds.parse_number, figures)
    place = _BUS.fullmatch(bus)
    total_bytes = bounds.memory_bytes(total, _MIB) or None
    return Gpu(
        index=int(number),
        name=sanitize_line(name, 100),
        uuid=uuid,
        used_bytes=None if total_bytes is None else bounds.memory_bytes(used, _MIB),
        total_bytes=total_bytes,
        use_percent=bounds.percentage(use),
        temperature=bounds.number_in_range(temperature, 0, 200),
        memory_temperature=bounds.number_in_range(hottest, 0, 200) or None,
        power=bounds.number_in_range(power, 0, 100_000),
        fan_percent=bounds.percentage(fan),
        sampled_at=at,
        unified=total_bytes is None and _UNIFIED.search(name) is not None,
        bus=place[1].lower() if place else "",
    )


def _with_machine_memory(
    gpu: Gpu, memory: int | None, uses: Iterable[GpuProcessMemory] | None
) -> Gpu:
    """Without memory of its own, a card has the machine's, and uses what its processes hold."""
    if not gpu.unified:
        return gpu
    used = None if uses is None else sum(use.used_bytes for use in uses if use.gpu == gpu.uuid)
    return replace(gpu, total_bytes=memory, used_bytes=used)
