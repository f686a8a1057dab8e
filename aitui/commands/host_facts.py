"""What a machine is, in words for people and as JSON for scripts."""

import re
from collections import Counter
from dataclasses import dataclass

import msgspec

from aitui.domain.amounts import format_bytes_gib, format_seconds
from aitui.domain.hardware.host_facts import NATIVE, HostInfo
from aitui.domain.hardware.sample import SampleSource

# What makers add to a processor's name and nobody says aloud.
_TRIMMINGS = re.compile(
    r"\((?:R|TM)\)|\s+@\s+[0-9.]+\s?GHz|(?<!Virtual)\s+(?:CPU|Processor)\b|\s+[0-9]+-Core\b"
    r"|\s+(?:with|w/) Radeon.*",
    re.IGNORECASE,
)


class HostReport(msgspec.Struct, frozen=True):
    """One machine; null wherever nobody tells. `origins` says of each field who told it."""

    system: str | None
    kernel: str | None
    architecture: str | None
    environment: str | None
    processor: str | None
    sockets: int | None
    cores: int | None
    threads: int | None
    memory_bytes: int | None
    booted_at: float | None
    nvidia_driver: str | None
    accelerators: tuple[str, ...]
    origins: dict[str, str]


@dataclass(frozen=True, slots=True)
class RankedText:
    """Some words; the higher `need`, the longer they stay where room is short."""

    words: str
    need: int


def host_report(facts: HostInfo) -> HostReport | None:
    """The facts for scripts, None where there are none."""
    if not facts.non_empty_fields():
        return None
    return HostReport(
        system=facts.system or None,
        kernel=facts.kernel or None,
        architecture=facts.architecture or None,
        environment=facts.environment or None,
        processor=facts.processor or None,
        sockets=facts.sockets,
        cores=facts.cores,
        threads=facts.threads,
        memory_bytes=facts.memory_bytes,
        booted_at=facts.booted_at,
        nvidia_driver=facts.nvidia_driver or None,
        accelerators=facts.accelerators,
        origins={name: source.value for name, source in facts.origins.items()},
    )


def host_info_rows(
    facts: HostInfo, now: float, *, with_cards: bool
) -> tuple[tuple[RankedText, ...], ...]:
    """The system in one row, the hardware in another. `now` is Unix time.

    Cards are named only where they are shown nowhere else.
    """
    system = (
        RankedText(facts.system, 9),
        RankedText(facts.kernel, 7),
        RankedText(facts.architecture, 5),
        RankedText("" if facts.environment == NATIVE else facts.environment, 4),
        RankedText(
            "" if facts.booted_at is None else f"up {_format_uptime(now - facts.booted_at)}", 8
        ),
    )
    driver = f"NVIDIA driver {facts.nvidia_driver}" if facts.nvidia_driver else ""
    hardware = (
        RankedText(format_processor(facts.processor), 9),
        RankedText(_format_count(facts.sockets, "socket"), 2 if facts.sockets == 1 else 5),
        RankedText(_format_count(facts.cores, "core"), 8),
        RankedText(_format_count(facts.threads, "thread"), 7),
        RankedText(
            "" if facts.memory_bytes is None else f"{format_bytes_gib(facts.memory_bytes)} RAM", 3
        ),
        *(
            RankedText(words, 4)
            for words in (_group_names(facts.accelerators) if with_cards else ())
        ),
        RankedText(driver, 6),
    )
    rows = (tuple(one for one in row if one.words) for row in (system, hardware))
    return tuple(row for row in rows if row)


def host_info_source(facts: HostInfo) -> str:
    """Who told what is shown of it, "" where nothing is."""
    shown = set(facts.origins) - {"accelerators"} or set(facts.origins)
    tellers = {facts.origins[name] for name in shown}
    return " and ".join(
        one.value for one in (SampleSource.HOST, SampleSource.SERVER) if one in tellers
    )


def format_processor(name: str) -> str:
    """A processor as people call it: "Intel Xeon E5-2699 v4"."""
    return " ".join(_TRIMMINGS.sub("", name).split())


def _format_count(number: int | None, name: str) -> str:
    return "" if number is None else f"{number} {name}{'' if number == 1 else 's'}"


def _group_names(names: tuple[str, ...]) -> list[str]:
    counts = Counter(names)
    return [name if count == 1 else f"{count} × {name}" for name, count in counts.items()]


def _format_uptime(seconds: float) -> str:
    return format_seconds(max(0.0, seconds))
