"""What one run measured, passed from its process to the one that prints."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Measured:
    """Times in seconds; `late` from the last byte sent to the last row, `keys` when each was handled.

    `cpu` is that of the process from the first byte to the last row, `marks` the CPU time at every
    thousandth token. `pace` is at each of these marks the CPU time of some work that never changes: the
    machine is not always equally fast. It is in none of the other figures. `grown` are bytes of resident memory. `lost` is whether text is missing.
    """

    cpu: float = 0.0
    wall: float = 0.0
    painted: float = 0.0
    late: float = 0.0
    grown: int = 0
    lost: bool = False
    updates: int = 0
    keys: list[float] = field(default_factory=list)
    marks: list[float] = field(default_factory=list)
    pace: list[float] = field(default_factory=list)
    sent_bytes: int = 0
    key_waits: list[float] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Leave it in a file."""
        path.write_text(json.dumps(asdict(self)))


def read(path: Path) -> Measured:
    """What a process left."""
    return Measured(**json.loads(path.read_text()))


def resident() -> int:
    """Bytes of memory that the process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
