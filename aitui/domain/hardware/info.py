"""Facts about a machine that don't change, from the host or from the server."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from aitui.domain.hardware.sample import SampleSource

NATIVE = "native"
LONGEST_NAME = 100
MOST_THREADS = 1 << 16


class HostInfo(Struct, frozen=True):
    """A machine; empty or None is whatever isn't known.

    `environment` is the container or the virtual machine that it is, NATIVE if it is neither.
    `booted_at` is Unix time. `origins` names the source of each field that is known.
    """

    name: str = ""
    system: str = ""
    kernel: str = ""
    architecture: str = ""
    environment: str = ""
    processor: str = ""
    sockets: int | None = None
    cores: int | None = None
    threads: int | None = None
    memory_bytes: int | None = None
    booted_at: float | None = None
    nvidia_driver: str = ""
    accelerators: tuple[str, ...] = ()
    origins: Mapping[str, SampleSource] = field(default_factory=dict)

    def non_empty_fields(self) -> dict[str, Any]:
        """Return the facts that are known, by the names of their fields."""
        every = asdict(self)
        del every["origins"]
        return {name: value for name, value in every.items() if value not in (None, "", ())}


def merge_host_info(host: HostInfo | None, server: HostInfo | None) -> HostInfo:
    """Merge what both report. The host knows more about itself than a server in a container does.

    The server's number of cores belongs to its number of threads: if the host has another one, none
    of them counts.
    """
    own, other = host or HostInfo(), server or HostInfo()
    if own.threads not in {None, other.threads}:
        other = replace(other, sockets=None, cores=None, threads=None)
    known = {**other.non_empty_fields(), **own.non_empty_fields()}
    origins = {
        **dict.fromkeys(other.non_empty_fields(), SampleSource.SERVER),
        **dict.fromkeys(own.non_empty_fields(), SampleSource.HOST),
    }
    return HostInfo(**known, origins=origins)
