"""One sample of a machine, with what each process holds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from aitui.domain.hardware import drm as sysfs
from aitui.domain.hardware import machine as machine_files
from aitui.domain.hardware import nvidia
from aitui.domain.hardware import sample as bounds
from aitui.domain.hardware.drm import parse_clients
from aitui.domain.hardware.machine import (
    CpuCounters,
    Process,
    parse_listeners,
    parse_port_arguments,
    parse_processes,
    with_descendants,
)
from aitui.domain.hardware.nvidia import GpuProcessMemory
from aitui.domain.hardware.sample import Gpu, HardwareSample, SampleSource
from aitui.domain.hardware.script import MARK, parse_sections

_USUAL_PAGE = 4096


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """What the processes behind one port hold: bytes by card, and resident bytes."""

    gpus: Mapping[str, int] = field(default_factory=dict)
    resident_bytes: int = 0
    pids: frozenset[int] = frozenset()

    @property
    def gpu_bytes(self) -> int:
        """On all cards."""
        return sum(self.gpus.values())


@dataclass(frozen=True, slots=True)
class HostSample:
    """A sample and its processes. `troubles` are the tools that didn't work, in words.

    `whole` is unset where the output was cut off.
    """

    sample: HardwareSample
    uses: tuple[GpuProcessMemory, ...] = ()
    processes: Mapping[int, Process] = field(default_factory=dict)
    ports: Mapping[int, frozenset[int]] = field(default_factory=dict)
    counters: CpuCounters = field(default_factory=CpuCounters)
    errors: tuple[str, ...] = ()
    whole: bool = True

    def usage_at_port(self, port: int) -> ProcessMemory | None:
        """What the processes behind a port hold, None where nobody was found there.

        The script looks for ports after it has listed the processes: what it finds of itself then
        isn't in that list.
        """
        pids = with_descendants(self.ports.get(port, ()), self.processes)
        if self.processes:
            pids &= self.processes.keys()
        if not pids:
            return None
        gpus: dict[str, int] = {}
        for use in self.uses:
            if use.pid in pids:
                gpus[use.gpu] = gpus.get(use.gpu, 0) + use.used_bytes
        resident = sum(self.processes[pid].resident_bytes for pid in pids if pid in self.processes)
        return ProcessMemory(gpus, resident, pids)


def parse_host_sample(
    output: bytes, at: float, before: CpuCounters | None = None, *, mark: str = MARK
) -> HostSample:
    """Reads what the script wrote, whatever is missing or broken. `at` is Unix time.

    Without the counters of an earlier sample there are no shares of the cores.
    """
    found = parse_sections(output.decode("utf-8", "replace"), mark)
    page = bounds.number_in_range(bounds.parse_number(_section_value(found, "page")), 512, 1 << 26)
    everyone = parse_processes(_section_lines(found, "processes"), int(page or _USUAL_PAGE))
    ticks = machine_files.parse_counters(_section_lines(found, "stat"), at)
    drm = parse_clients(_section_lines(found, "clients"))
    drm_gpus = tuple(
        gpu
        for gpu in (
            sysfs.build_gpu(card, drm, at)
            for card in sysfs.parse_cards(_section_lines(found, "cards"))
        )
        if gpu is not None
    )
    machine = machine_files.parse_machine(
        _section_lines(found, "meminfo"),
        " ".join(_section_lines(found, "loadavg")),
        _section_lines(found, "network"),
        machine_files.core_usage(before, ticks) if before else (),
        at,
    )
    text = "\n".join(_section_lines(found, "nvidia"))
    status = bounds.parse_number(_section_value(found, "nvidia-status"))
    unsaid = 124 if "nvidia" in found else None
    trouble = nvidia.tool_error(text, unsaid if status is None else int(status))
    smi_uses = nvidia.parse_uses("\n".join(_section_lines(found, "nvidia-processes")))
    smi_gpus = tuple(
        _with_unified_memory(gpu, machine.memory_total, smi_uses)
        for gpu in nvidia.parse_gpus(text, at)
    )
    taken = len(smi_gpus)
    gpus = (
        *smi_gpus,
        *(replace(gpu, index=taken + number) for number, gpu in enumerate(drm_gpus)),
    )
    uses = (*smi_uses, *(use for gpu in drm_gpus for use in sysfs.card_uses(gpu, drm)))
    return HostSample(
        sample=HardwareSample(
            at, SampleSource.HOST, gpus, machine if machine.memory_total else None
        ),
        uses=uses,
        processes=everyone,
        ports={
            **parse_port_arguments(_section_lines(found, "named")),
            **parse_listeners(_section_lines(found, "listening")),
        },
        counters=ticks,
        errors=(trouble,) if trouble else (),
        whole="end" in found,
    )


def _with_unified_memory(gpu: Gpu, memory: int | None, uses: Iterable[GpuProcessMemory]) -> Gpu:
    """A card without memory of its own: the machine's is the limit, its processes are the use."""
    if not gpu.unified:
        return gpu
    used = sum(use.used_bytes for use in uses if use.gpu == gpu.uuid)
    return replace(gpu, total_bytes=memory, used_bytes=used)


def _section_lines(found: Mapping[str, tuple[str, list[str]]], name: str) -> list[str]:
    return found[name][1] if name in found else []


def _section_value(found: Mapping[str, tuple[str, list[str]]], name: str) -> str:
    return found[name][0] if name in found else ""
