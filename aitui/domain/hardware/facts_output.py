"""What the script of the facts wrote, read however broken it is.

`/etc/os-release` as os-release(5) has it, `/proc/cpuinfo` in the forms of several architectures,
and `/proc/driver/nvidia/version`, or the version alone as `nvidia-smi` prints it.
"""

import re
import shlex
from collections.abc import Iterable

from aitui.domain.clean import sanitize_line
from aitui.domain.hardware import bounds, machine_files
from aitui.domain.hardware.host_facts import NATIVE, HostInfo
from aitui.domain.hardware.host_script import MARK, parse_sections

LONGEST_NAME = 100
MOST_THREADS = 1 << 16

_LONGEST_UPTIME = 100 * 366 * 86400.0
_ENVIRONMENT = re.compile(r"[a-z0-9][a-z0-9_.\-]{0,40}")
_DRIVER = re.compile(
    r"(?:NVRM version:.{0,80} Kernel Module(?:\s+for \S{1,20})?\s{1,8})?"
    r"([0-9]{2,5}(?:\.[0-9]{1,5}){1,3})(?:\s.*)?"
)
# ARM has none of them, and leaves the name to lscpu; POWER has "cpu", MIPS "cpu model", RISC-V
# "uarch".
_MODELS = ("model name", "cpu model", "cpu", "uarch")
# As the server spells those that systemd-detect-virt knows by another word.
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


def parse_host_info(output: bytes, at: float, *, mark: str = MARK) -> HostInfo:
    """The facts in an output. `at` is Unix time, to tell when the machine was started."""
    found = parse_sections(output.decode("utf-8", "replace"), mark)
    said = {name: first for name, (first, _) in found.items()}
    lines = {name: rest for name, (_, rest) in found.items()}
    processors = _pairs(lines.get("processors", []))
    sockets, cores, threads = _core_counts(processors)
    up = bounds.number_in_range(
        bounds.parse_number(said.get("uptime", "")[:80].partition(" ")[0]), 0, 1e12
    )
    memory = machine_files.parse_machine(lines.get("meminfo", []), "", (), (), at).memory_total
    return HostInfo(
        system=_system(lines.get("system", [])),
        kernel=_name(said.get("kernel", "")),
        architecture=_name(said.get("architecture", "")),
        environment=_environment(lines.get("environment", [])),
        processor=_model(processors) or _lscpu_models(lines.get("lscpu", [])),
        sockets=sockets,
        cores=cores,
        threads=threads,
        memory_bytes=memory,
        booted_at=None if up is None or up > min(at, _LONGEST_UPTIME) else at - up,
        nvidia_driver=_driver(lines.get("nvidia", [])),
    )


def _system(lines: Iterable[str]) -> str:
    told = dict(line[:400].split("=", 1) for line in lines if "=" in line[:400])
    whole = _unquote(told.get("PRETTY_NAME", ""))
    if whole:
        return whole
    return f"{_unquote(told.get('NAME', ''))} {_unquote(told.get('VERSION_ID', ''))}".strip()


def _unquote(value: str) -> str:
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
    """Sockets, cores and threads, None for what this architecture doesn't list."""
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
    """A name for each kind of core; "-" where lscpu doesn't know it."""
    names = dict.fromkeys(_name(value) for _, value in _pairs(lines))
    return _name(" + ".join(name for name in names if name not in {"", "-"}))


def _environment(lines: Iterable[str]) -> str:
    """A container in a virtual machine is a container; "none" is what says that it is neither."""
    found = dict(line[:100].strip().split(" ", 1) for line in lines if " " in line[:100].strip())
    container, machine = found.get("container", ""), found.get("machine", "")
    if _ENVIRONMENT.fullmatch(container) and container != "none":
        return (
            "WSL"
            if container == "wsl"
            else f"{_ENVIRONMENT_NAMES.get(container, container)} container"
        )
    if _ENVIRONMENT.fullmatch(machine) and machine != "none":
        return f"{_ENVIRONMENT_NAMES.get(machine, machine)} virtual machine"
    return NATIVE if container == machine == "none" else ""


def _driver(lines: Iterable[str]) -> str:
    found = (_DRIVER.fullmatch(line[:300].strip()) for line in lines)
    return next((match[1] for match in found if match is not None), "")


def _name(text: str) -> str:
    return " ".join(sanitize_line(text, LONGEST_NAME).split())
