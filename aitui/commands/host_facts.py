"""What a machine is, in words for people and as JSON for scripts."""

import re
from collections import Counter
from dataclasses import dataclass

import msgspec

from aitui.domain.amounts import format_bytes_gib, format_seconds
from aitui.domain.hardware.host_facts import NATIVE, HostFacts
from aitui.domain.hardware.sample import Source

# What makers add to a processor's name and nobody says aloud.
_TRIMMINGS = re.compile(
    r"\((?:R|TM)\)|\s+@\s+[0-9.]+\s?GHz|(?<!Virtual)\s+(?:CPU|Processor)\b|\s+[0-9]+-Core\b"
    r"|\s+(?:with|w/) Radeon.*",
    re.IGNORECASE,
)


class Host(msgspec.Struct, frozen=True):
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
class Fact:
    """Some words; the higher `need`, the longer they stay where room is short."""

    words: str
    need: int


def host_of(facts: HostFacts) -> Host | None:
    """The facts for scripts, None where there are none."""
    if not facts.known():
        return None
    return Host(
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


def facts_rows(facts: HostFacts, now: float, *, with_cards: bool) -> tuple[tuple[Fact, ...], ...]:
    """The system in one row, the hardware in another. `now` is Unix time.

    Cards are named only where they are shown nowhere else.
    """
    system = (
        Fact(facts.system, 9),
        Fact(facts.kernel, 7),
        Fact(facts.architecture, 5),
        Fact("" if facts.environment == NATIVE else facts.environment, 4),
        Fact("" if facts.booted_at is None else f"up {_up(now - facts.booted_at)}", 8),
    )
    driver = f"NVIDIA driver {facts.nvidia_driver}" if facts.nvidia_driver else ""
    hardware = (
        Fact(processor_words(facts.processor), 9),
        Fact(_counted(facts.sockets, "socket"), 2 if facts.sockets == 1 else 5),
        Fact(_counted(facts.cores, "core"), 8),
        Fact(_counted(facts.threads, "thread"), 7),
        Fact(
            "" if facts.memory_bytes is None else f"{format_bytes_gib(facts.memory_bytes)} RAM", 3
        ),
        *(Fact(words, 4) for words in (_grouped(facts.accelerators) if with_cards else ())),
        Fact(driver, 6),
    )
    rows = (tuple(one for one in row if one.words) for row in (system, hardware))
    return tuple(row for row in rows if row)


def facts_source(facts: HostFacts) -> str:
    """Who told what is shown of it, "" where nothing is."""
    shown = set(facts.origins) - {"accelerators"} or set(facts.origins)
    tellers = {facts.origins[name] for name in shown}
    return " and ".join(one.value for one in (Source.HOST, Source.SERVER) if one in tellers)


def processor_words(name: str) -> str:
    """A processor as people call it: "Intel Xeon E5-2699 v4"."""
    return " ".join(_TRIMMINGS.sub("", name).split())


def _counted(number: int | None, name: str) -> str:
    return "" if number is None else f"{number} {name}{'' if number == 1 else 's'}"


def _grouped(names: tuple[str, ...]) -> list[str]:
    counts = Counter(names)
    return [name if count == 1 else f"{count} × {name}" for name, count in counts.items()]


def _up(seconds: float) -> str:
    return format_seconds(max(0.0, seconds))
