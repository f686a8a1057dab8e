"""One sample of a machine, with what each process holds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from aitui.domain.hardware import bounds, machine_files, nvidia, sysfs
from aitui.domain.hardware.fdinfo import clients
from aitui.domain.hardware.host_script import MARK, sections
from aitui.domain.hardware.machine_files import Counters
from aitui.domain.hardware.nvidia import GpuUse
from aitui.domain.hardware.processes import (
    Process,
    listeners,
    named,
    processes,
    with_descendants,
)
from aitui.domain.hardware.sample import Gpu, Sample, Source

_USUAL_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Held:
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

    sample: Sample
    uses: tuple[GpuUse, ...] = ()
    everyone: Mapping[int, Process] = field(default_factory=dict)
    ports: Mapping[int, frozenset[int]] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)
    troubles: tuple[str, ...] = ()
    whole: bool = True

    def held(self, port: int) -> Held | None:
        """What the processes behind a port hold, None where nobody was found there.

        The script looks for ports after it has listed the processes: what it finds of itself then
        isn't in that list.
        """
        pids = with_descendants(self.ports.get(port, ()), self.everyone)
        if self.everyone:
            pids &= self.everyone.keys()
        if not pids:
            return None
        gpus: dict[str, int] = {}
        for use in self.uses:
            if use.pid in pids:
                gpus[use.gpu] = gpus.get(use.gpu, 0) + use.used_bytes
        resident = sum(self.everyone[pid].resident_bytes for pid in pids if pid in self.everyone)
        return Held(gpus, resident, pids)


def host_sample(
    output: bytes, at: float, before: Counters | None = None, *, mark: str = MARK
) -> HostSample:
    """Reads what the script wrote, whatever is missing or broken. `at` is Unix time.

    Without the counters of an earlier sample there are no shares of the cores.
    """
    found = sections(output.decode("utf-8", "replace"), mark)
    page = bounds.number(bounds.written(_said(found, "page")), 512, 1 << 26)
    everyone = processes(_lines(found, "processes"), int(page or _USUAL_PAGE))
    ticks = machine_files.counters(_lines(found, "stat"), at)
    drm = clients(_lines(found, "clients"))
    drm_gpus = tuple(
        gpu
        for gpu in (sysfs.gpu_of(card, drm, at) for card in sysfs.cards(_lines(found, "cards")))
        if gpu is not None
    )
    machine = machine_files.machine(
        _lines(found, "meminfo"),
        " ".join(_lines(found, "loadavg")),
        _lines(found, "network"),
        machine_files.shares(before, ticks) if before else (),
        at,
    )
    text = "\n".join(_lines(found, "nvidia"))
    status = bounds.written(_said(found, "nvidia-status"))
    unsaid = 124 if "nvidia" in found else None
    trouble = nvidia.trouble(text, unsaid if status is None else int(status))
    smi_uses = nvidia.uses("\n".join(_lines(found, "nvidia-processes")))
    smi_gpus = tuple(_unified(gpu, machine.memory_total, smi_uses) for gpu in nvidia.gpus(text, at))
    taken = len(smi_gpus)
    gpus = (
        *smi_gpus,
        *(replace(gpu, index=taken + number) for number, gpu in enumerate(drm_gpus)),
    )
    uses = (*smi_uses, *(use for gpu in drm_gpus for use in sysfs.uses_of(gpu, drm)))
    return HostSample(
        sample=Sample(at, Source.HOST, gpus, machine if machine.memory_total else None),
        uses=uses,
        everyone=everyone,
        ports={**named(_lines(found, "named")), **listeners(_lines(found, "listening"))},
        counters=ticks,
        troubles=(trouble,) if trouble else (),
        whole="end" in found,
    )


def _unified(gpu: Gpu, memory: int | None, uses: Iterable[GpuUse]) -> Gpu:
    """A card without memory of its own: the machine's is the limit, its processes are the use."""
    if not gpu.unified:
        return gpu
    used = sum(use.used_bytes for use in uses if use.gpu == gpu.uuid)
    return replace(gpu, total_bytes=memory, used_bytes=used)


def _lines(found: Mapping[str, tuple[str, list[str]]], name: str) -> list[str]:
    return found[name][1] if name in found else []


def _said(found: Mapping[str, tuple[str, list[str]]], name: str) -> str:
    return found[name][0] if name in found else ""
