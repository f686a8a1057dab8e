"""What a machine is, as opposed to how it fares: told once, by the host or by the server."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from aitui.domain.hardware.sample import SampleSource

NATIVE = "native"


@dataclass(frozen=True, slots=True)
class HostInfo:
    """One machine; empty or None is whatever nobody tells.

    `environment` is the container or the virtual machine that it is, NATIVE where it is neither.
    `booted_at` is Unix time. `origins` says of each field that is known who told it.
    """

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
        """The facts that are told, by the names of their fields."""
        every = {one.name: getattr(self, one.name) for one in fields(self)}
        del every["origins"]
        return {name: value for name, value in every.items() if value not in (None, "", ())}


def merge_host_info(host: HostInfo | None, server: HostInfo | None) -> HostInfo:
    """What both tell together. The host sees more of itself than a server in a container does.

    The server's number of cores belongs to its number of threads: where that is another one than
    the host's, none of them counts.
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
