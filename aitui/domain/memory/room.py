"""How much a load can have: on its cards, or in the machine's memory."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aitui.domain.hardware.sample import Gpu
from aitui.domain.memory.picture import MemoryUsage
from aitui.domain.memory.placement import Placement, eligible_gpus


@dataclass(frozen=True, slots=True)
class Headroom:
    """Bytes that a load finds `now`, and `after` other models have gone; None where not known.

    `where` names the cards if not all count, and the machine's memory beside cards. `cards` is how
    many there are, none in the machine's memory.
    """

    now: int | None
    after: int | None
    where: str = ""
    cards: int = 0


def headroom_on_cards(
    picture: MemoryUsage, cards: Sequence[Gpu], placement: Placement, leaving: Collection[str]
) -> Headroom:
    """The room on these cards together, as far as the command lets the model use it."""
    now, after = (
        _free_on_cards(picture, cards, placement, ()),
        _free_on_cards(picture, cards, placement, leaving),
    )
    everywhere = eligible_gpus([card.gpu for card in picture.cards])
    all_of_them = {gpu.key for gpu in cards} == {gpu.key for gpu in everywhere}
    return Headroom(now, after, "" if all_of_them else _cards_label(cards), len(cards))


def headroom_in_machine(picture: MemoryUsage, leaving: Collection[str]) -> Headroom:
    """The room in the machine's own memory."""
    available = None if picture.machine is None else picture.machine.memory_available
    where = "in RAM" if picture.on_cards else ""
    if available is None:
        return Headroom(None, None, where)
    found = (picture.footprints.get(model) for model in leaving)
    return Headroom(available, available + sum(one.host or 0 for one in found if one), where)


def _free_on_cards(
    picture: MemoryUsage, cards: Sequence[Gpu], placement: Placement, leaving: Collection[str]
) -> int | None:
    free = [picture.free_on(gpu, leaving) for gpu in cards]
    known = [amount for amount in free if amount is not None]
    if len(known) < len(free) or not known:
        return None
    room = placement.headroom(known)
    available = None if picture.machine is None else picture.machine.memory_available
    if available is None or not all(gpu.unified for gpu in cards):
        return room
    return min(room, available + sum(picture.usage_on(gpu, leaving) for gpu in cards))


def _cards_label(cards: Sequence[Gpu]) -> str:
    *most, last = [str(gpu.index) for gpu in cards] or [""]
    return f"on GPUs {', '.join(most)} and {last}" if most else f"on GPU {last}"
