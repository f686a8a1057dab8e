"""The vendors with known cards: a new one is a module, and its line in PROBES."""

import re
from collections.abc import Sequence

from msgspec.structs import replace

from aitui.domain.hardware.gpu import amd, intel, nvidia
from aitui.domain.hardware.gpu.drm import parse_cards, parse_clients
from aitui.domain.hardware.gpu.probe import GpuOutput, GpuProbe, GpuVendor, Sections
from aitui.domain.hardware.sample import Gpu, GpuProcessMemory

PROBES: tuple[GpuProbe, ...] = (nvidia, amd, intel)

_VENDORS = (
    *(probe.VENDOR for probe in PROBES),
    # Only a server reports these; nothing samples them.
    GpuVendor("MTT", re.compile(r"\bmtt\b|moore threads", re.IGNORECASE), back_ends=("MUSA",)),
)
VISIBILITY_VARIABLES = {
    **{variable: vendor.name for vendor in _VENDORS for variable in vendor.variables},
    "GGML_VK_VISIBLE_DEVICES": "",
}
"""The variables that hide cards, and the vendor that each is of; "" for all of them."""

_DEVICE = re.compile(r"(?P<back_end>[A-Za-z]{2,20})(?P<number>[0-9]{1,3})")


def read_gpus(
    sections: Sections, at: float, memory: int | None
) -> tuple[tuple[Gpu, ...], tuple[GpuProcessMemory, ...], tuple[str, ...]]:
    """Return the cards, what processes hold there, and the errors of the vendors' tools.

    The cards of tools come first, numbered by the tool; those of the kernel's drivers follow in the
    kernel's order.
    """
    output = GpuOutput(
        sections,
        parse_cards(sections.lines("cards")),
        parse_clients(sections.lines("clients")),
        memory,
        at,
    )
    readings = [(probe, probe.read(output)) for probe in PROBES]
    gpus = [gpu for probe, reading in readings for gpu in reading.gpus if not probe.DRIVERS]
    cards = [gpu for probe, reading in readings for gpu in reading.gpus if probe.DRIVERS]
    for gpu in sorted(cards, key=lambda gpu: gpu.index):
        gpus.append(replace(gpu, index=len(gpus)))
    uses = tuple(use for _, reading in readings for use in reading.uses)
    errors = tuple(reading.error for _, reading in readings if reading.error)
    return tuple(gpus), uses, errors


def find_device_card(device: str, gpus: Sequence[Gpu]) -> Gpu | None:
    """Return the card that llama.cpp names so, None if there is none of that number.

    A back end counts the cards that it can use; Vulkan can use all. Their order is assumed to be
    that of the cards' numbers, which it is unless `CUDA_DEVICE_ORDER` is set.
    """
    found = _DEVICE.fullmatch(device.strip())
    if found is None:
        return None
    back_end = found["back_end"].upper()
    vendor = next((each.name for each in _VENDORS if back_end in each.back_ends), "")
    usable = cards_of_vendor(vendor, gpus)
    number = int(found["number"])
    return usable[number] if number < len(usable) else None


def cards_of_vendor(vendor: str, gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """Return the cards of a vendor; all of them for "", and if the vendor of none is known."""
    if not vendor or not any(vendor_name(gpu) for gpu in gpus):
        return tuple(gpus)
    return tuple(gpu for gpu in gpus if vendor_name(gpu) in {vendor, ""})


def vendor_name(gpu: Gpu) -> str:
    """Return the vendor of a card, "" if neither its name nor its id shows it."""
    by_name = next((each.name for each in _VENDORS if each.card_name.search(gpu.name)), "")
    return by_name or next(
        (each.name for each in _VENDORS if gpu.uuid.startswith(each.uuid_prefixes)), ""
    )
