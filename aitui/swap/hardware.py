"""`/api/hardware`: what the server found its machine to be, once, when it was started.

llama-swap's `HardwareSnapshot` (internal/hw/types.go, schema 1): what its detection doesn't know is
null, "unknown", or "other" with the word itself in the field `raw_…`. Nonsense in single fields
makes those fields unknown, not the answer bad.
"""

from typing import Any, TypeVar

import msgspec

from aitui.domain.clean import sanitize_line
from aitui.domain.hardware import bounds
from aitui.domain.hardware.facts_output import LONGEST_NAME, MOST_THREADS
from aitui.domain.hardware.host_facts import NATIVE, HostInfo
from aitui.errors import BadResponse, NotSupported
from aitui.swap.answers import Response, parse_error
from aitui.swap.wire import looks_like_html

MOST_ACCELERATORS = 64

# The server has the identifiers of os-release(5), and the Go library's words for the others.
_SYSTEMS = {
    "darwin": "macOS",
    "freebsd": "FreeBSD",
    "nixos": "NixOS",
    "opensuse-leap": "openSUSE Leap",
    "opensuse-tumbleweed": "openSUSE Tumbleweed",
    "redhat": "Red Hat",
    "rhel": "Red Hat Enterprise Linux",
}
_KERNELS = {"freebsd": "FreeBSD", "linux": "Linux", "macos": "Darwin", "windows": "NT"}
_ENVIRONMENTS = {"container": "container", "virtual_machine": "virtual machine", "wsl": "WSL"}
_KINDS = {"gpu": "GPU", "npu": "NPU"}


class _Named(msgspec.Struct):
    """`architecture` and an accelerator's `driver`."""

    name: Any = None
    raw_name: Any = None
    version: Any = None


class _System(msgspec.Struct):
    family: Any = None
    name: Any = None
    version: Any = None
    kernel: Any = None
    raw_family: Any = None


class _Environment(msgspec.Struct):
    kind: Any = None
    name: Any = None
    raw_kind: Any = None


class _Processor(msgspec.Struct):
    model: Any = None
    socket_count: Any = None
    physical_core_count: Any = None
    logical_thread_count: Any = None


class _Memory(msgspec.Struct):
    capacity_bytes: Any = None


class _Accelerator(msgspec.Struct):
    kind: Any = None
    raw_kind: Any = None
    vendor: Any = None
    model: Any = None
    driver: Any = None


class _Hardware(msgspec.Struct):
    architecture: Any = None
    operating_system: Any = None
    environment: Any = None
    cpu: Any = None
    memory: Any = None
    accelerators: Any = None


_Part = TypeVar("_Part", bound=msgspec.Struct)
_HARDWARE = msgspec.json.Decoder(_Hardware)


def detection_error(answer: Response) -> NotSupported | None:
    """The exception for a server whose detection failed, None where the refusal is another one."""
    words = parse_error(answer).text
    if answer.status != 503 or "hardware detection" not in words:
        return None
    return NotSupported(
        "The server doesn't know its machine",
        status=answer.status,
        words=words,
        why="its detection of the hardware failed when it was started",
    )


def parse_hardware(body: bytes, endpoint: str) -> HostInfo:
    """The facts of an answer. Raises BadAnswer."""
    if looks_like_html(body):
        raise BadResponse(
            f"{endpoint} answered with HTML, not JSON",
            remedy="check that the URL is that of a llama-swap server",
        )
    try:
        found = _HARDWARE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadResponse(
            f"{endpoint} answered with something else than the facts of a machine",
            why=sanitize_line(str(error), 200),
        ) from error
    system = _convert_part(found.operating_system, _System)
    processor = _convert_part(found.cpu, _Processor)
    accelerators = _accelerators(found.accelerators)
    return HostInfo(
        system=_system(system),
        kernel=_kernel(system),
        architecture=_architecture(_convert_part(found.architecture, _Named)),
        environment=_environment(_convert_part(found.environment, _Environment)),
        processor=_text(processor.model),
        sockets=_count(processor.socket_count),
        cores=_count(processor.physical_core_count),
        threads=_count(processor.logical_thread_count),
        memory_bytes=bounds.memory_bytes(_convert_part(found.memory, _Memory).capacity_bytes)
        or None,
        nvidia_driver=next(filter(None, map(_nvidia_driver, accelerators)), ""),
        accelerators=tuple(filter(None, map(_accelerator, accelerators))),
    )


def _convert_part(value: object, kind: type[_Part]) -> _Part:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return kind()


def _text(value: object) -> str:
    """A harmless name; "" for what isn't text, and for the server's words for not knowing."""
    text = " ".join(sanitize_line(value, LONGEST_NAME).split()) if isinstance(value, str) else ""
    return "" if text in {"unknown", "other"} else text


def _count(value: object) -> int | None:
    found = bounds.number_in_range(value, 1, MOST_THREADS)
    return None if found is None else int(found)


def _system(system: _System) -> str:
    name = _text(system.name) or _text(system.family) or _text(system.raw_family)
    spelled = _SYSTEMS.get(name, name.capitalize() if name.islower() else name)
    version = _text(system.version)
    return spelled if version in spelled else f"{spelled} {version}".strip()


def _kernel(system: _System) -> str:
    version = _text(system.kernel)
    family = _text(system.family)
    return f"{_KERNELS.get(family, 'kernel')} {version}" if version else ""


def _architecture(architecture: _Named) -> str:
    return _text(architecture.name) or _text(architecture.raw_name)


def _environment(environment: _Environment) -> str:
    kind, name = _text(environment.kind), _text(environment.name)
    if kind == NATIVE:
        return NATIVE
    words = _ENVIRONMENTS.get(kind) or _text(environment.raw_kind)
    return words if name in words else f"{name} {words}".strip()


def _accelerators(value: object) -> list[_Accelerator]:
    if not isinstance(value, list):
        return []
    return [_convert_part(entry, _Accelerator) for entry in value[:MOST_ACCELERATORS]]


def _accelerator(accelerator: _Accelerator) -> str:
    """Its name, or its maker and kind where it has none."""
    kind = _text(accelerator.kind) or _text(accelerator.raw_kind)
    vendor = _text(accelerator.vendor)
    return _text(accelerator.model) or (
        f"{vendor} {_KINDS.get(kind, kind)}".strip() if vendor else ""
    )


def _nvidia_driver(accelerator: _Accelerator) -> str:
    """The version alone: the maker's driver calls itself NVIDIA, the kernel's module nvidia."""
    driver = _convert_part(accelerator.driver, _Named)
    return _text(driver.version) if _text(driver.name).lower() == "nvidia" else ""
