"""On which graphics cards a model is put, and how much memory there is for it on them.

llama.cpp puts layer after layer on all cards, in proportion to what is free on each, unless the
command names devices (`--device`), proportions (`--tensor-split`) or one card alone (`--split-mode
none`, `--main-gpu`); and it sees only the cards that the environment lets it see
(`CUDA_VISIBLE_DEVICES` and its like). A card that works in the machine's memory is used only if
there is no other one (`llama_model_load_from_file_impl` in llama.cpp).
"""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from aitui.domain.hardware.gpu.vendors import (
    VISIBILITY_VARIABLES,
    cards_of_vendor,
    find_device_card,
)
from aitui.domain.hardware.sample import Gpu, eligible_gpus

if TYPE_CHECKING:
    from aitui.domain.llama_server import CommandLine

DEVICES = ("-dev", "--device")
SPLIT_MODE = ("-sm", "--split-mode")
TENSOR_SPLIT = ("-ts", "--tensor-split")
MAIN_GPU = ("-mg", "--main-gpu")

_MOST_DEVICES = 64


class Placement(Struct, frozen=True):
    """The cards that a command and its environment allow.

    `devices` are llama.cpp's names, None for all. `visible` are the variable that hides cards and
    the numbers or uuids that it leaves. `proportions` are shares of the cards, one after the other;
    empty if what is free decides. `only` is the number of the one card that is used.
    """

    devices: tuple[str, ...] | None = None
    visible: tuple[str, tuple[str, ...]] | None = None
    proportions: tuple[float, ...] = ()
    only: int | None = None

    def cards(self, gpus: Sequence[Gpu], seen_on: Collection[str] = ()) -> tuple[Gpu, ...]:
        """Return the cards that the model is put on, in llama.cpp's order.

        `seen_on` are the keys of the cards that it was on before: what was seen counts for more
        than what follows from the command.
        """
        seen = tuple(gpu for gpu in gpus if gpu.key in seen_on)
        if seen:
            return seen
        found = eligible_gpus(gpus)
        if self.visible is not None:
            variable, names = self.visible
            theirs = cards_of_vendor(VISIBILITY_VARIABLES.get(variable, ""), found)
            numbered = (_find_gpu(name, theirs) for name in names)
            found = tuple(gpu for gpu in numbered if gpu is not None)
        if self.devices is not None:
            named = (find_device_card(device, found) for device in self.devices)
            found = tuple(gpu for gpu in named if gpu is not None)
        if self.only is not None:
            found = found[self.only : self.only + 1]
        return found

    def headroom(self, free: Sequence[int]) -> int:
        """Return how many bytes of a model fit, if so much is free on each of its cards."""
        shares = self.proportions[: len(free)]
        total = sum(shares)
        if self.only is not None or len(free) < 2 or total <= 0:
            return sum(free)
        limits = [
            amount * total / share for amount, share in zip(free, shares, strict=False) if share
        ]
        return int(min(limits))


def parse_placement(line: "CommandLine", environment: Mapping[str, str]) -> Placement:
    """Read a command, the flags of its environment included, and the environment itself."""
    alone = line.value(SPLIT_MODE) == "none"
    main = line.value(MAIN_GPU) or ""
    return Placement(
        devices=_parse_names(line.value(DEVICES)),
        visible=next(
            (
                (name, _parse_names(environment[name]) or ())
                for name in VISIBILITY_VARIABLES
                if name in environment and environment[name].strip().lower() != "all"
            ),
            None,
        ),
        proportions=_parse_proportions(line.value(TENSOR_SPLIT) or ""),
        only=(int(main) if re.fullmatch("[0-9]{1,4}", main) else 0) if alone else None,
    )


def _find_gpu(name: str, gpus: Sequence[Gpu]) -> Gpu | None:
    if name.isascii() and name.isdecimal():
        number = int(name[:6])
        return gpus[number] if number < len(gpus) else None
    return next((gpu for gpu in gpus if len(name) > 4 and gpu.uuid.startswith(name)), None)


def _parse_names(text: str | None) -> tuple[str, ...] | None:
    """Split a list at its commas; `none` leaves none, and nothing at all means no choice."""
    if text is None or not text.strip():
        return None
    items = (item.strip() for item in text.split(",")[:_MOST_DEVICES])
    return tuple(item for item in items if item and item.lower() not in {"none", "-1"})


def _parse_proportions(text: str) -> tuple[float, ...]:
    try:
        shares = [float(item) for item in text.replace("/", ",").split(",")[:_MOST_DEVICES]]
    except ValueError:
        return ()
    return tuple(shares) if all(0 <= share < math.inf for share in shares) else ()
