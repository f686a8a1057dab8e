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


class GpuProcess(Struct, frozen=True):
    """A process that works on cards: its bytes by card, and for how many seconds it has been running.

    `model` is empty if it isn't a model's.
    """

    pid: int
    cards: Mapping[str, int]
    name: str = ""
    seconds: float | None = None
    model: str = ""


class HostSample(Struct, frozen=True):
    """A sample and its processes. `errors` says which tools didn't work.

    `whole` is unset if the output was cut off. `uptime_ticks` is for how long the machine has been
    running, None if that isn't known.
    """

    sample: HardwareSample
    uses: tuple[GpuProcessMemory, ...] = ()
    processes: Mapping[int, Process] = field(default_factory=dict)
    ports: Mapping[int, frozenset[int]] = field(default_factory=dict)
    counters: CpuCounters = field(default_factory=CpuCounters)
    errors: tuple[str, ...] = ()
    whole: bool = True
    uptime_ticks: float | None = None
    ticks_per_second: float = 100.0

    def gpu_processes(self, ports: Mapping[int, str]) -> tuple[GpuProcess, ...]:
        """Return the processes on cards, the largest first; `ports` are those of the models."""
        models: dict[int, str] = {}
        for port, model in ports.items():
            usage = self.usage_at_port(port)
            models |= dict.fromkeys(usage.pids if usage is not None else (), model)
        cards: dict[int, dict[str, int]] = {}
        for use in self.uses:
            held = cards.setdefault(use.pid, {})
            held[use.gpu] = held.get(use.gpu, 0) + use.used_bytes
        found = []
        for pid, held in cards.items():
            process = self.processes.get(pid)
            seconds = None
            if process is not None and process.started and self.uptime_ticks is not None:
                seconds = max(0.0, self.uptime_ticks - process.started) / self.ticks_per_second
            name = process.name if process is not None else ""
            found.append(GpuProcess(pid, held, name, seconds, models.get(pid, "")))
        return tuple(sorted(found, key=lambda one: (-sum(one.cards.values()), one.pid)))

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
        disks=found.lines("disks"),
        sensors=found.lines("sensors"),
    )
    gpus, uses, errors = read_gpus(found, at, machine.memory_total)
    rate, _, uptime = found.value("ticks")[:80].partition(" ")
    per_second = bounds.number_in_range(bounds.parse_number(rate), 1, 1e6) or 100.0
    up = bounds.number_in_range(bounds.parse_number(uptime.partition(" ")[0]), 0, 1e12)
    return HostSample(
        uptime_ticks=None if up is None else up * per_second,
        ticks_per_second=per_second,
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
