"""The memory and the hardware of a server as text for people and as JSON for scripts."""

import msgspec

from aitui.commands.host_facts import HostReport, host_info_rows, host_info_source, host_report
from aitui.domain.amounts import format_bytes_gib
from aitui.domain.hardware.sample import Gpu, Machine
from aitui.domain.memory.footprint import Footprint
from aitui.domain.memory.hardware import HardwareState
from aitui.domain.memory.picture import GpuMemoryUsage, MemoryUsage
from aitui.domain.snapshot import Snapshot


class GpuShareReport(msgspec.Struct, frozen=True):
    """What one model has of one card. `source` is "measured" or how it was calculated."""

    model: str
    bytes: int
    source: str


class GpuReport(msgspec.Struct, frozen=True):
    """One card; null wherever nobody tells. Power in watts, temperatures in °C."""

    index: int
    name: str
    uuid: str
    used_bytes: int | None
    total_bytes: int | None
    use_percent: float | None
    temperature: float | None
    power: float | None
    fan_percent: float | None
    unified: bool
    models: tuple[GpuShareReport, ...]
    other_bytes: int | None


class ModelMemoryReport(msgspec.Struct, frozen=True):
    """What a model takes, or would."""

    model: str
    running: bool
    context_size: int
    gpu_bytes: int
    host_bytes: int | None
    weights_bytes: int | None
    cache_bytes: int | None
    compute_bytes: int | None
    source: str


class MachineReport(msgspec.Struct, frozen=True):
    """The machine without its cards."""

    cores: int
    use_percent: float | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    swap_used_bytes: int | None
    swap_total_bytes: int | None
    load: tuple[float, ...]


class HardwareReport(msgspec.Struct, frozen=True):
    """All of `gpu --json`. `source` is who measured, null where nobody does; `trouble` says why."""

    server: str
    source: str | None
    at: float | None
    used_bytes: int | None
    total_bytes: int | None
    free_bytes: int | None
    gpus: tuple[GpuReport, ...]
    models: tuple[ModelMemoryReport, ...]
    machine: MachineReport | None
    host: HostReport | None
    troubles: tuple[str, ...]


def gpu_report(label: str, snapshot: Snapshot) -> HardwareReport:
    """What is known, for scripts."""
    hardware, picture = snapshot.hardware, snapshot.hardware.usage
    return HardwareReport(
        server=label,
        source=picture.source.value if picture.source is not None else None,
        at=picture.at or None,
        used_bytes=picture.used_bytes,
        total_bytes=picture.total_bytes,
        free_bytes=picture.free_bytes,
        gpus=tuple(map(_card_report, picture.cards)),
        models=tuple(
            _model_report(model.id, model.resident, model.memory)
            for model in snapshot.models
            if model.memory is not None
        ),
        machine=_machine_report(picture.machine),
        host=host_report(hardware.facts),
        troubles=hardware_errors(hardware),
    )


def hardware_errors(hardware: HardwareState) -> tuple[str, ...]:
    """What doesn't work, in words."""
    return tuple(words for words in (hardware.error, *hardware.usage.errors) if words)


def gpus_as_json(value: HardwareReport) -> str:
    """Indented."""
    indented: bytes = msgspec.json.format(msgspec.json.encode(value), indent=2)
    return indented.decode()


def gpus_as_text(label: str, snapshot: Snapshot, now: float) -> str:
    """Cards with their models, the machine, and what models that don't run would take.

    `now` is Unix time.
    """
    picture = snapshot.hardware.usage
    source = f", measured by {picture.source.value}" if picture.source is not None else ""
    lines = [f"{label}: {_format_total(picture)}{source}"]
    for card in picture.cards:
        lines += _format_card_models(card)
    lines += format_machine(picture.machine)
    lines += _format_host(snapshot.hardware, now)
    resident = {model.id for model in snapshot.resident}
    rows = [
        (model.id, model.memory)
        for model in snapshot.models
        if model.memory is not None and (model.id not in resident or not picture.cards)
    ]
    if rows:
        lines.append("not loaded:" if picture.cards else "models:")
        lines += [f"  {format_model_memory(name, memory)}" for name, memory in rows]
    lines += [f"! {words}" for words in hardware_errors(snapshot.hardware)]
    return "\n".join(lines)


def format_card(gpu: Gpu) -> str:
    """Use, temperature, power and fan of a card, as far as they are told."""
    parts = (
        "" if gpu.use_percent is None else f"{gpu.use_percent:.0f} % busy",
        "" if gpu.temperature is None else f"{gpu.temperature:.0f} °C",
        "" if gpu.memory_temperature is None else f"memory {gpu.memory_temperature:.0f} °C",
        "" if gpu.power is None else f"{gpu.power:.0f} W",
        "" if gpu.fan_percent is None else f"fan {gpu.fan_percent:.0f} %",
    )
    return " · ".join(part for part in parts if part)


def format_memory(used: int | None, total: int | None) -> str:
    """`61.2G of 96.0G`, with whatever of it is known."""
    if used is None and total is None:
        return "its memory isn't told"
    if used is None or total is None:
        return f"{format_bytes_gib(used or total or 0)} {'used' if total is None else 'in all'}"
    return f"{format_bytes_gib(used)} of {format_bytes_gib(total)}"


def format_machine(machine: Machine | None) -> list[str]:
    """CPU, memory, swap and load of the machine, as far as they are told."""
    if machine is None:
        return []
    lines = []
    if machine.cores:
        share = f"{machine.use_percent:.0f} %" if machine.use_percent is not None else ""
        load = " · load " + " ".join(f"{one:.1f}" for one in machine.load) if machine.load else ""
        lines.append(f"CPU   {share} of {len(machine.cores)} cores{load}")
    elif machine.load:
        lines.append("CPU   load " + " ".join(f"{one:.1f}" for one in machine.load))
    if machine.memory_total is not None:
        lines.append(f"RAM   {format_memory(machine.memory_used, machine.memory_total)}")
    if machine.swap_total:
        lines.append(f"swap  {format_memory(machine.swap_used, machine.swap_total)}")
    return lines


def format_model_memory(name: str, memory: Footprint) -> str:
    """A model with what it takes, and where that figure is from."""
    return f"{memory.label:>8}  {name}, {memory.origin.value}"


def _format_host(hardware: HardwareState, now: float) -> list[str]:
    rows = host_info_rows(hardware.facts, now, with_cards=not hardware.usage.cards)
    lines = [" · ".join(fact.words for fact in row) for row in rows]
    if not lines:
        return []
    lines[-1] += f", told by {host_info_source(hardware.facts)}"
    return [f"{'host' if not number else '':<6}{line}" for number, line in enumerate(lines)]


def _format_total(picture: MemoryUsage) -> str:
    if picture.total_bytes is None:
        return "nobody tells how much memory is in use"
    name = "VRAM" if picture.on_cards else "RAM"
    count = f" on {len(picture.cards)} GPUs" if len(picture.cards) > 1 else ""
    return f"{format_memory(picture.used_bytes, picture.total_bytes)} {name} in use{count}"


def _format_card_models(card: GpuMemoryUsage) -> list[str]:
    gpu = card.gpu
    shared = ", in the machine's own memory" if gpu.unified else ""
    head = f"GPU {gpu.index}  {gpu.name or 'unnamed'}: "
    head += format_memory(gpu.used_bytes, gpu.total_bytes) + shared
    words = format_card(gpu)
    lines = [f"{head} · {words}" if words else head]
    for share in card.models:
        mark = "≈" if share.approximate else ""
        size = f"{mark}{format_bytes_gib(share.used_bytes)}"
        lines.append(f"  {size:>8}  {share.model}, {share.origin.value}")
    if card.others:
        lines.append(f"  {format_bytes_gib(card.others):>8}  others")
    return lines


def _card_report(card: GpuMemoryUsage) -> GpuReport:
    gpu = card.gpu
    shares = tuple(
        GpuShareReport(share.model, share.used_bytes, share.origin.value) for share in card.models
    )
    return GpuReport(
        index=gpu.index,
        name=gpu.name,
        uuid=gpu.uuid,
        used_bytes=gpu.used_bytes,
        total_bytes=gpu.total_bytes,
        use_percent=gpu.use_percent,
        temperature=gpu.temperature,
        power=gpu.power,
        fan_percent=gpu.fan_percent,
        unified=gpu.unified,
        models=shares,
        other_bytes=card.others,
    )


def _model_report(name: str, running: bool, memory: Footprint) -> ModelMemoryReport:  # noqa: FBT001
    return ModelMemoryReport(
        model=name,
        running=running,
        context_size=memory.context_size,
        gpu_bytes=memory.gpu,
        host_bytes=memory.host,
        weights_bytes=memory.weights,
        cache_bytes=memory.cache,
        compute_bytes=memory.compute,
        source=memory.origin.value,
    )


def _machine_report(machine: Machine | None) -> MachineReport | None:
    if machine is None:
        return None
    share = machine.use_percent
    return MachineReport(
        cores=len(machine.cores),
        use_percent=None if share is None else round(share, 1),
        memory_used_bytes=machine.memory_used,
        memory_total_bytes=machine.memory_total,
        swap_used_bytes=machine.swap_used,
        swap_total_bytes=machine.swap_total,
        load=machine.load or (),
    )
