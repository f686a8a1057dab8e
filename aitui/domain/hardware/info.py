"""Facts about a machine that don't change, from the host or from the server."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from aitui.domain.hardware import sample as bounds
from aitui.domain.hardware.sample import SampleSource
from aitui.domain.sanitize import sanitize_line

NATIVE = "native"


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


LONGEST_NAME = 100
MOST_THREADS = 1 << 16

_LONGEST_UPTIME = 100 * 366 * 86400.0
# Compiled with the first host: the first frame has none.
_ENVIRONMENT = r"[a-z0-9][a-z0-9_.\-]{0,40}"
_DRIVER = (
    r"(?:NVRM version:.{0,80} Kernel Module(?:\s+for \S{1,20})?\s{1,8})?"
    r"([0-9]{2,5}(?:\.[0-9]{1,5}){1,3})(?:\s.*)?"
)
# ARM has none of them, and leaves the name to lscpu; POWER has "cpu", MIPS "cpu model", RISC-V
# "uarch".
_MODELS = ("model name", "cpu model", "cpu", "uarch")
# The server's spelling of those that systemd-detect-virt names otherwise.
_ENVIRONMENT_NAMES = {
    "docker": "Docker",
    "kvm": "KVM",
    "lxc": "LXC",
    "microsoft": "Hyper-V",
    "oracle": "VirtualBox",
    "podman": "Podman",
    "qemu": "QEMU",
    "vmware": "VMware",
    "xen": "Xen",
}


def parse_host_info(output: bytes, at: float, *, mark: str = "") -> HostInfo:
    """Parse the facts in an output. `at` is Unix time, to compute when the machine was started."""
    from aitui.domain.hardware.gpu.probe import Sections
    from aitui.domain.hardware.machine import parse_machine
    from aitui.domain.hardware.script import MARK

    found = Sections.parse(output.decode("utf-8", "replace"), mark or MARK)
    processors = _pairs(found.lines("processors"))
    sockets, cores, threads = _core_counts(processors)
    up = bounds.number_in_range(
        bounds.parse_number(found.value("uptime")[:80].partition(" ")[0]), 0, 1e12
    )
    memory = parse_machine(found.lines("meminfo"), "", (), (), at).memory_total
    return HostInfo(
        name=_name(found.value("name")),
        system=_system(found.lines("system")),
        kernel=_name(found.value("kernel")),
        architecture=_name(found.value("architecture")),
        environment=_environment(found.lines("environment")),
        processor=_model(processors) or _lscpu_models(found.lines("lscpu")),
        sockets=sockets,
        cores=cores,
        threads=threads,
        memory_bytes=memory,
        booted_at=None if up is None or up > min(at, _LONGEST_UPTIME) else at - up,
        nvidia_driver=_driver(found.lines("nvidia")),
    )


def _system(lines: Iterable[str]) -> str:
    values = dict(line[:400].split("=", 1) for line in lines if "=" in line[:400])
    whole = _unquote(values.get("PRETTY_NAME", ""))
    if whole:
        return whole
    return f"{_unquote(values.get('NAME', ''))} {_unquote(values.get('VERSION_ID', ''))}".strip()


def _unquote(value: str) -> str:
    import shlex  # with the first host

    try:
        words = shlex.split(value)
    except ValueError:
        words = [value.strip("\"' ")]
    return _name(" ".join(words))


def _pairs(lines: Iterable[str]) -> list[tuple[str, str]]:
    found = (line[:300].partition(":") for line in lines)
    return [(key.strip(), value.strip()) for key, colon, value in found if colon]


def _core_counts(
    processors: Iterable[tuple[str, str]],
) -> tuple[int | None, int | None, int | None]:
    """Return sockets, cores and threads, None for what this architecture doesn't list."""
    threads, socket = 0, ""
    sockets: set[str] = set()
    cores: set[tuple[str, str]] = set()
    for key, value in processors:
        if key == "processor":
            threads, socket = threads + 1, ""
        elif key == "physical id":
            socket = value
            sockets.add(value)
        elif key == "core id":
            cores.add((socket, value))
    if threads > MOST_THREADS:
        return None, None, None
    return len(sockets) or None, len(cores) if sockets and cores else None, threads or None


def _model(processors: Iterable[tuple[str, str]]) -> str:
    first: dict[str, str] = {}
    for key, value in processors:
        first.setdefault(key, value)
    return next((name for key in _MODELS if (name := _name(first.get(key, "")))), "")


def _lscpu_models(lines: Iterable[str]) -> str:
    """Return a name for each kind of core; "-" if lscpu doesn't know it."""
    names = dict.fromkeys(_name(value) for _, value in _pairs(lines))
    return _name(" + ".join(name for name in names if name not in {"", "-"}))


def _environment(lines: Iterable[str]) -> str:
    """Name the container or else the virtual machine; "none" for both means neither."""
    found = dict(line[:100].strip().split(" ", 1) for line in lines if " " in line[:100].strip())
    if found.get("container") == "wsl":
        return "WSL"
    names = {kind: found.get(kind, "") for kind in ("container", "machine")}
    for kind, words in (("container", "container"), ("machine", "virtual machine")):
        name = names[kind]
        if re.fullmatch(_ENVIRONMENT, name) and name != "none":
            return f"{_ENVIRONMENT_NAMES.get(name, name)} {words}"
    return NATIVE if set(names.values()) == {"none"} else ""


def _driver(lines: Iterable[str]) -> str:
    found = (re.fullmatch(_DRIVER, line[:300].strip()) for line in lines)
    return next((match[1] for match in found if match is not None), "")


def _name(text: str) -> str:
    return " ".join(sanitize_line(text, LONGEST_NAME).split())
