"""The memory and the hardware of a server as text for people and as JSON for scripts."""

import re
from collections import Counter

from msgspec import Struct
from msgspec.structs import asdict

from aitui.domain.hardware.info import NATIVE, HostInfo
from aitui.domain.hardware.sample import Gpu, Machine, SampleSource
from aitui.domain.memory.footprint import APPROXIMATELY, Footprint
from aitui.domain.memory.hardware_state import HardwareState
from aitui.domain.memory.usage import GpuMemoryUsage, MemoryUsage
from aitui.domain.snapshot import Snapshot
from aitui.domain.units import format_bytes, format_gb, format_seconds
from aitui.format.styled import Line, Span

# What makers add to a processor's name and people leave out: "Intel Xeon E5-2699 v4" stays.
_TRIMMINGS = re.compile(
    r"\((?:R|TM)\)|(?<!\s)\s++(?:@\s+[0-9.]++\s?GHz|[0-9]+-Core\b|(?:with|w/) Radeon.*)"
    r"|(?<!Virtual)(?<!\s)\s++(?:CPU|Processor)\b",
    re.IGNORECASE,
)


class RankedText(Struct, frozen=True):
    """A piece of text; the higher `need`, the longer it stays when space is short."""

    words: str
    need: int


def host_report(facts: HostInfo) -> dict[str, object] | None:
    """Collect the facts for scripts, None if there are none; what is unknown is None."""
    if not facts.non_empty_fields():
        return None
    return {name: None if value == "" else value for name, value in asdict(facts).items()}


def host_info_rows(
    facts: HostInfo, now: float, *, with_cards: bool
) -> tuple[tuple[RankedText, ...], ...]:
    """Format the system in one row, the hardware in another. `now` is Unix time.

    GPUs are named only if they are shown nowhere else.
    """
    up = None if facts.booted_at is None else now - facts.booted_at
    system = (
        RankedText(facts.system, 9),
        RankedText(facts.kernel, 7),
        RankedText(facts.architecture, 5),
        RankedText("" if facts.environment == NATIVE else facts.environment, 4),
        RankedText("" if up is None else f"up {format_seconds(max(0.0, up))}", 8),
    )
    size = facts.memory_bytes
    memory = "" if size is None else f"{format_bytes(size)} RAM"
    driver = f"NVIDIA driver {facts.nvidia_driver}" if facts.nvidia_driver else ""
    hardware = (
        RankedText(processor_name(facts), 9),
        RankedText(_format_count(facts.sockets, "socket"), 2 if facts.sockets == 1 else 5),
        RankedText(_format_count(facts.cores, "core"), 8),
        RankedText(_format_count(facts.threads, "thread"), 7),
        RankedText(memory, 3),
        *(
            RankedText(words, 4)
            for words in (_group_names(facts.accelerators) if with_cards else ())
        ),
        RankedText(driver, 6),
    )
    rows = (tuple(one for one in row if one.words) for row in (system, hardware))
    return tuple(row for row in rows if row)


def processor_name(facts: HostInfo) -> str:
    """Return the processor's name without what its maker adds."""
    return " ".join(_TRIMMINGS.sub("", facts.processor).split())


def host_info_source(facts: HostInfo) -> str:
    """Name the source of what is shown of it, "" if nothing is."""
    shown = set(facts.origins) - {"accelerators"} or set(facts.origins)
    tellers = {facts.origins[name] for name in shown}
    ordered = (SampleSource.HOST, SampleSource.SERVER)
    return " and ".join(one.value for one in ordered if one in tellers)


def _format_count(number: int | None, name: str) -> str:
    return "" if number is None else f"{number} {name}{'' if number == 1 else 's'}"


def _group_names(names: tuple[str, ...]) -> list[str]:
    counts = Counter(names)
    return [name if count == 1 else f"{count} × {name}" for name, count in counts.items()]


def missing_card_warnings(hardware: HardwareState) -> list[str]:
    """Name the cards that were measured within the last hour and no longer are."""
    samples = hardware.history.samples
    there = {card.gpu.key for card in hardware.usage.cards}
    last = {gpu.key: (gpu, sample.at) for sample in samples for gpu in sample.gpus}
    # Two sources may call the same cards differently.
    if there and not there & last.keys():
        return []
    return [
        f"GPU {gpu.index} {gpu.name} no longer responds: last measured "
        f"{format_seconds(samples[-1].at - at)} ago"
        for key, (gpu, at) in last.items()
        if key not in there
    ]


_GPU_FACTS = (
    *("index", "name", "uuid", "used_bytes", "total_bytes", "use_percent", "temperature"),
    *("power", "fan_percent", "unified"),
)
"""What a script learns of a card: power in watts, temperatures in °C, None for what is unknown."""


def gpu_report(label: str, snapshot: Snapshot) -> dict[str, object]:
    """Collect what is known, for scripts.

    `source` says who measured, None if nothing was measured; `troubles` say why.
    """
    hardware, picture = snapshot.hardware, snapshot.hardware.usage
    return {
        "server": label,
        "source": picture.source,
        "at": picture.at or None,
        "used_bytes": picture.used_bytes,
        "total_bytes": picture.total_bytes,
        "free_bytes": picture.free_bytes,
        "gpus": list(map(_card_report, picture.cards)),
        "models": [
            _model_report(model.id, model.resident, model.memory)
            for model in snapshot.models
            if model.memory is not None
        ],
        "machine": _machine_report(picture.machine),
        "host": host_report(hardware.facts),
        "troubles": hardware_errors(hardware),
    }


def hardware_errors(hardware: HardwareState) -> tuple[str, ...]:
    """Return what doesn't work, in words."""
    return tuple(words for words in (hardware.error, *hardware.usage.errors) if words)


def gpus_as_lines(label: str, snapshot: Snapshot, now: float) -> list[Line]:
    """Lay out GPUs with their models, the host, and what models that don't run would take.

    `now` is Unix time.
    """
    picture = snapshot.hardware.usage
    source = f", measured by {picture.source.value}" if picture.source is not None else ""
    style = "warning" if is_nearly_full(picture) else ""
    lines: list[Line] = [
        [
            Span(label, "title"),
            Span(": "),
            Span(_format_total(picture), style),
            Span(source, "muted"),
        ]
    ]
    for card in picture.cards:
        head, *models = _format_card_models(card)
        lines += [[Span(head, "strong")], *([Span(line)] for line in models)]
    lines += ([Span(line)] for line in format_machine(picture.machine))
    lines += ([Span(line, "muted")] for line in _format_host(snapshot.hardware, now))
    resident = {model.id for model in snapshot.resident}
    rows = [
        (model.id, model.memory)
        for model in snapshot.models
        if model.memory is not None and (model.id not in resident or not picture.cards)
    ]
    if rows:
        lines.append([Span("not loaded:" if picture.cards else "models:", "strong")])
        lines += ([Span(f"  {one.label:>9}  {name}, {one.origin.value}")] for name, one in rows)
    lines += ([Span(f"! {words}", "warning")] for words in hardware_errors(snapshot.hardware))
    return lines


def format_card(gpu: Gpu) -> str:
    """Format utilization, temperature, power and fan of a GPU, as far as known."""
    parts = (
        "" if gpu.use_percent is None else f"utilization {gpu.use_percent:.0f} %",
        "" if gpu.temperature is None else f"{gpu.temperature:.0f} °C",
        "" if gpu.memory_temperature is None else f"memory {gpu.memory_temperature:.0f} °C",
        "" if gpu.power is None else f"{gpu.power:.0f} W",
        "" if gpu.fan_percent is None else f"fan {gpu.fan_percent:.0f} %",
    )
    return " · ".join(part for part in parts if part)


def format_memory(used: int | None, total: int | None) -> str:
    """Format memory as `61.2 of 96.0 GB`, as far as known."""
    if used is None and total is None:
        return "its memory is not reported"
    if used is None or total is None:
        return f"{format_bytes(used or total or 0)} {'used' if total is None else 'in all'}"
    return f"{format_gb(used)} of {format_bytes(total)}"


def format_machine(machine: Machine | None) -> list[str]:
    """Format CPU, memory, swap and load of the host, as far as known."""
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


def _format_host(hardware: HardwareState, now: float) -> list[str]:
    rows = host_info_rows(hardware.facts, now, with_cards=not hardware.usage.cards)
    lines = [" · ".join(fact.words for fact in row) for row in rows]
    if not lines:
        return []
    lines[-1] += f", reported by {host_info_source(hardware.facts)}"
    return [f"{'host' if not number else '':<6}{line}" for number, line in enumerate(lines)]


def _format_total(picture: MemoryUsage) -> str:
    if picture.total_bytes is None:
        return "memory usage is not available"
    name = "VRAM" if picture.on_cards else "RAM"
    count = f" on {len(picture.cards)} GPUs" if len(picture.cards) > 1 else ""
    if picture.used_bytes is None:
        return f"{format_bytes(picture.total_bytes)} {name}{count}, usage unknown"
    return f"{format_memory(picture.used_bytes, picture.total_bytes)} {name} in use{count}"


def _format_card_models(card: GpuMemoryUsage) -> list[str]:
    gpu = card.gpu
    shared = ", in the machine's own memory" if gpu.unified else ""
    head = f"GPU {gpu.index}  {gpu.name or 'unnamed'}: "
    head += format_memory(gpu.used_bytes, gpu.total_bytes) + shared
    words = format_card(gpu)
    lines = [f"{head} · {words}" if words else head]
    for share in card.models:
        mark = APPROXIMATELY if share.approximate else ""
        size = f"{mark}{format_bytes(share.used_bytes)}"
        lines.append(f"  {size:>9}  {share.model}, {share.origin.value}")
    if card.others:
        lines.append(f"  {format_bytes(card.others):>9}  other processes")
    return lines


def _card_report(card: GpuMemoryUsage) -> dict[str, object]:
    return {
        **{name: getattr(card.gpu, name) for name in _GPU_FACTS},
        "models": [
            {"model": share.model, "bytes": share.used_bytes, "source": share.origin}
            for share in card.models
        ],
        "other_bytes": card.others,
    }


def _model_report(name: str, running: bool, memory: Footprint) -> dict[str, object]:  # noqa: FBT001
    return {
        "model": name,
        "running": running,
        "context_size": memory.context_size,
        "gpu_bytes": memory.gpu,
        "host_bytes": memory.host,
        "weights_bytes": memory.weights,
        "cache_bytes": memory.cache,
        "compute_bytes": memory.compute,
        "source": memory.origin,
    }


def _machine_report(machine: Machine | None) -> dict[str, object] | None:
    if machine is None:
        return None
    share = machine.use_percent
    return {
        "cores": len(machine.cores),
        "use_percent": None if share is None else round(share, 1),
        "memory_used_bytes": machine.memory_used,
        "memory_total_bytes": machine.memory_total,
        "swap_used_bytes": machine.swap_used,
        "swap_total_bytes": machine.swap_total,
        "load": machine.load or (),
    }


NEARLY_FULL = 0.92


def is_nearly_full(picture: MemoryUsage) -> bool:
    """Return whether so little is free that a small model hardly fits."""
    used, total = picture.used_bytes, picture.total_bytes
    return used is not None and total is not None and used > total * NEARLY_FULL
