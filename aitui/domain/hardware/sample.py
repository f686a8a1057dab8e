"""What was measured at one moment. None wherever the source doesn't tell."""

from dataclasses import dataclass, field
from enum import Enum


class SampleSource(Enum):
    """Who measured."""

    SERVER = "the server"
    HOST = "the host"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One graphics card, or what counts as one. `sampled_at` is Unix time in seconds.

    Shares are in percent, temperatures in °C, `power` in watts. `unified` is set where it works in
    the machine's own memory: what it uses is then gone from there as well. `bus` is its PCI
    address in the kernel's form, empty where that isn't known.
    """

    index: int
    name: str = ""
    uuid: str = ""
    used_bytes: int | None = None
    total_bytes: int | None = None
    use_percent: float | None = None
    temperature: float | None = None
    memory_temperature: float | None = None
    power: float | None = None
    fan_percent: float | None = None
    sampled_at: float = 0.0
    unified: bool = False
    bus: str = ""

    @property
    def key(self) -> str:
        """What tells it from the others, from one sample to the next."""
        return self.uuid or f"{self.index} {self.name}"

    @property
    def free_bytes(self) -> int | None:
        """Bytes that nobody uses, None where one of the two figures is missing."""
        if self.total_bytes is None or self.used_bytes is None:
            return None
        return max(0, self.total_bytes - self.used_bytes)


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """One network interface: bytes since the machine was started."""

    name: str
    received_bytes: int
    sent_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine without its graphics cards. `cores` are shares in percent, one a core.

    `load` is the average number of runnable processes over 1, 5 and 15 minutes.
    """

    cores: tuple[float, ...] = ()
    memory_total: int | None = None
    memory_used: int | None = None
    swap_total: int | None = None
    swap_used: int | None = None
    load: tuple[float, float, float] | None = None
    network: tuple[NetworkInterface, ...] = ()
    sampled_at: float = 0.0

    @property
    def use_percent(self) -> float | None:
        """The mean over all cores."""
        return sum(self.cores) / len(self.cores) if self.cores else None

    @property
    def memory_available(self) -> int | None:
        """Bytes that a new process can have: what is neither used nor more than a cache."""
        if self.memory_total is None or self.memory_used is None:
            return None
        return max(0, self.memory_total - self.memory_used)


@dataclass(frozen=True, slots=True)
class HardwareSample:
    """Everything that one source measured at one moment, in Unix time."""

    at: float
    source: SampleSource
    gpus: tuple[Gpu, ...] = ()
    machine: Machine | None = field(default=None)
