"""One sample of a machine, with what each process holds."""

from collections.abc import Mapping

from msgspec import Struct, field

from aitui.domain.hardware import machine as machine_files
from aitui.domain.hardware import sample as bounds
from aitui.domain.hardware.gpu.probe import Sections
from aitui.domain.hardware.gpu.vendors import read_gpus
from aitui.domain.hardware.machine import CpuCounters, Process
from aitui.domain.hardware.sample import GpuProcessMemory, HardwareSample, SampleSource
from aitui.domain.hardware.script import MARK

_USUAL_PAGE = 4096


class ProcessMemory(Struct, frozen=True):
    """What the processes behind a port hold: bytes by card, and resident bytes."""

    gpus: Mapping[str, int] = field(default_factory=dict)
    resident_bytes: int = 0
    pids: frozenset[int] = frozenset()

    @property
    def gpu_bytes(self) -> int:
        """The bytes on all cards."""
        return sum(self.gpus.values())


class HostSample(Struct, frozen=True):
    """A sample and its processes. `errors` says which tools didn't work.

    `whole` is unset if the output was cut off.
    """

    sample: HardwareSample
    uses: tuple[GpuProcessMemory, ...] = ()
    processes: Mapping[int, Process] = field(default_factory=dict)
    ports: Mapping[int, frozenset[int]] = field(default_factory=dict)
    counters: CpuCounters = field(default_factory=CpuCounters)
    errors: tuple[str, ...] = ()
    whole: bool = True

    def usage_at_port(self, port: int) -> ProcessMemory | None:
        """Return what the processes behind a port hold, None if none was found."""
        # The script looks for ports after it has listed the processes: what it finds of itself then
        # isn't in that list.
        pids = machine_files.with_descendants(self.ports.get(port, ()), self.processes)
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
    """Read what the script wrote, whatever is missing or broken. `at` is Unix time.

    The load of the cores needs the counters of an earlier sample.
    """
    found = Sections.parse(output.decode("utf-8", "replace"), mark)
    page = bounds.number_in_range(bounds.parse_number(found.value("page")), 512, 1 << 26)
    counters = machine_files.parse_counters(found.lines("stat"), at)
    machine = machine_files.parse_machine(
        found.lines("meminfo"),
        " ".join(found.lines("loadavg")),
        found.lines("network"),
        machine_files.core_usage(before, counters) if before else (),
        at,
    )
    gpus, uses, errors = read_gpus(found, at, machine.memory_total)
    return HostSample(
        sample=HardwareSample(
            at, SampleSource.HOST, gpus, machine if machine.memory_total else None
        ),
        uses=uses,
        processes=machine_files.parse_processes(found.lines("processes"), int(page or _USUAL_PAGE)),
        ports={
            **machine_files.parse_port_arguments(found.lines("named")),
            **machine_files.parse_listeners(found.lines("listening")),
        },
        counters=counters,
        errors=errors,
        whole="end" in found,
    )
