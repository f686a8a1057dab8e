"""Hardware made by hand: cards, models on them, and an hour behind them."""

import math
from collections.abc import Sequence

from msgspec.structs import replace

from aitui.domain.hardware.host_sample import HostSample
from aitui.domain.hardware.info import HostInfo, merge_host_info
from aitui.domain.hardware.sample import (
    Gpu,
    HardwareSample,
    Machine,
    NetworkInterface,
    SampleHistory,
    SampleSource,
)
from aitui.domain.memory.footprint import Footprint, FootprintOrigin
from aitui.domain.memory.hardware_state import HardwareState, MemoryRecord
from aitui.domain.memory.usage import GpuMemoryUsage, GpuShare, MemoryUsage
from ui.hand_made import NOW, WALL

__all__ = ["HostSample"]

GIB = 1 << 30
FIRST = Gpu(
    index=0,
    name="NVIDIA GeForce RTX 4090",
    uuid="GPU-1",
    used_bytes=19 * GIB,
    total_bytes=24 * GIB,
    use_percent=87.0,
    temperature=71.0,
    power=341.0,
    fan_percent=62.0,
)
SECOND = Gpu(
    index=1,
    name="AMD Radeon PRO W7900",
    uuid="0000:03:00.0",
    used_bytes=2 * GIB,
    total_bytes=48 * GIB,
    use_percent=0.0,
    temperature=38.0,
)
MACHINE = Machine(
    cores=(12.0, 8.0, 31.0, 5.0),
    memory_total=128 * GIB,
    memory_used=22 * GIB,
    swap_total=8 * GIB,
    swap_used=GIB,
    load=(1.2, 0.9, 0.7),
    network=(NetworkInterface("eth0", 1 << 30, 1 << 29),),
)
FACTS = merge_host_info(
    HostInfo(
        system="Debian GNU/Linux 12 (bookworm)",
        kernel="Linux 6.18.44",
        architecture="x86_64",
        environment="KVM virtual machine",
        processor="Intel(R) Xeon(R) CPU E5-2699 v4 @ 2.20GHz",
        sockets=1,
        cores=22,
        threads=44,
        memory_bytes=128 * GIB,
        booted_at=WALL - (12 * 24 + 3) * 3600.0,
        nvidia_driver="580.142",
    ),
    None,
)
BIG, SMALL = "Qwen_Qwen3.6-35B-A3B-Q8_0", "SmolLM3-3B-Q8_0"
DEEPSEEK, FAILED = "DeepSeek-R1-Distill-Llama-70B-Q4_K_M", "gpt-oss-120b-mxfp4"


def hour(*gpus: Gpu, machine: Machine | None = MACHINE, step: float = 15.0) -> SampleHistory:
    """Samples of the last hour, in waves."""
    samples = []
    for number in range(int(3600 / step)):
        wave = (1 + math.sin(number / 20)) / 2
        at = WALL - 3600 + (number + 1) * step
        cards = tuple(
            replace(
                gpu,
                used_bytes=None if gpu.used_bytes is None else round(gpu.used_bytes * wave),
                use_percent=None if gpu.use_percent is None else gpu.use_percent * wave,
                sampled_at=at,
            )
            for gpu in gpus
        )
        own = None if machine is None else replace(machine, sampled_at=at)
        samples.append(HardwareSample(at, SampleSource.SERVER, cards, own))
    return SampleHistory(tuple(samples))


def shares(gpu: Gpu, *parts: tuple[str, int]) -> GpuMemoryUsage:
    """A card with these models on it, in GiB."""
    own = tuple(GpuShare(name, size * GIB, FootprintOrigin.MEASURED) for name, size in parts)
    known = sum(share.used_bytes for share in own)
    others = None if gpu.used_bytes is None else gpu.used_bytes - known
    return GpuMemoryUsage(gpu, own, others)


def hardware(
    *cards: GpuMemoryUsage,
    machine: Machine | None = MACHINE,
    before: Sequence[Gpu] = (),
    source: SampleSource = SampleSource.SERVER,
    troubles: tuple[str, ...] = (),
) -> HardwareState:
    """How it stands; `before` are cards that were there earlier as well."""
    gpus = tuple(card.gpu for card in cards)
    history = hour(*gpus, machine=machine)
    if before:
        first = replace(history.samples[0], gpus=tuple(before))
        history = SampleHistory((first, *history.samples[1:]))
    footprints = {
        share.model: Footprint(32_768, share.used_bytes, origin=FootprintOrigin.MEASURED)
        for card in cards
        for share in card.models
    }
    picture = MemoryUsage(
        tuple(cards), machine, footprints, source, WALL, troubles, frozenset(footprints)
    )
    return HardwareState(picture, history, last_sample_at=NOW, facts=FACTS)


TWO_CARDS = hardware(shares(FIRST, (BIG, 16), (SMALL, 2)), shares(SECOND, (SMALL, 1)))

RECORDED = replace(
    TWO_CARDS,
    records=(
        MemoryRecord(WALL - 500, WALL - 400, {FIRST.key: {DEEPSEEK: 12 * GIB}}),
        MemoryRecord(WALL - 400, WALL - 330, {FIRST.key: {BIG: 16 * GIB}}),
        MemoryRecord(
            WALL - 330,
            WALL - 300,
            {FIRST.key: {BIG: 16 * GIB, FAILED: 6 * GIB}},
            frozenset({FAILED}),
        ),
        MemoryRecord(WALL - 300, WALL, {FIRST.key: {BIG: 16 * GIB, SMALL: 2 * GIB}}),
    ),
)
"""Seen in the last minutes: a swap, a load that failed, and what is there now."""
