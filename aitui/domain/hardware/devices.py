"""Which cards a device of llama.cpp can be: `CUDA1`, `ROCm0`, `Vulkan2`."""

import re
from collections.abc import Sequence

from aitui.domain.hardware.sample import Gpu

_DEVICE = re.compile(r"(?P<back_end>[A-Za-z]{2,20})(?P<number>[0-9]{1,3})")
_NVIDIA, _AMD, _INTEL = "NVIDIA", "AMD", "Intel"
_VENDORS = {"CUDA": _NVIDIA, "ROCM": _AMD, "HIP": _AMD, "SYCL": _INTEL, "MUSA": "MTT"}
_NAMES = (
    (_NVIDIA, re.compile(r"nvidia|geforce|quadro|tesla|\brtx\b|\bgtx\b", re.IGNORECASE)),
    (_AMD, re.compile(r"\bamd\b|radeon|instinct", re.IGNORECASE)),
    (_INTEL, re.compile(r"intel|\barc\b", re.IGNORECASE)),
    ("MTT", re.compile(r"\bmtt\b|moore threads", re.IGNORECASE)),
)


def find_device_card(device: str, gpus: Sequence[Gpu]) -> Gpu | None:
    """The card behind a device's name, None where there is none of that number.

    A back end counts the cards that it can use; Vulkan can use all. Their order is taken for that
    of the cards' numbers, which it is unless somebody has changed it (`CUDA_DEVICE_ORDER`).
    """
    found = _DEVICE.fullmatch(device.strip())
    if found is None:
        return None
    usable = cards_of_vendor(_VENDORS.get(found["back_end"].upper(), ""), gpus)
    number = int(found["number"])
    return usable[number] if number < len(usable) else None


def cards_of_vendor(maker: str, gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """The cards of a maker; all of them for no maker, and where none of them tells its own."""
    if not maker or not any(_vendor(gpu) for gpu in gpus):
        return tuple(gpus)
    return tuple(gpu for gpu in gpus if _vendor(gpu) in {maker, ""})


def _vendor(gpu: Gpu) -> str:
    usual = _NVIDIA if gpu.uuid.startswith(("GPU-", "MIG-")) else ""
    return next((maker for maker, name in _NAMES if name.search(gpu.name)), usual)
