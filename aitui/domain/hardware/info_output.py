"""Facts about a machine, parsed from what the commands of our script print."""

import re
from collections.abc import Iterable

from aitui.domain.hardware import sample as bounds
from aitui.domain.hardware.info import LONGEST_NAME, MOST_THREADS, NATIVE, HostInfo
from aitui.domain.sanitize import sanitize_line

_LONGEST_UPTIME = 100 * 366 * 86400.0
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
