"""Names that look like what a person typed."""

from collections.abc import Iterable

# The comparison takes quadratic time: neither a pasted page nor a hostile id may stall the screen.
_LONGEST_COMPARED = 256


def nearest(wanted: str, known: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """Return at most `limit` of the known names that look like the wanted one, the closest first.

    Names that contain it, the shortest first, come before those that merely resemble it; case
    doesn't count. Empty if nothing looks like it.
    """
    folded = wanted.casefold().strip()
    if not folded or limit <= 0:
        return ()
    # Of names that differ in case only, one stands for all when it is compared.
    names: dict[str, list[str]] = {}
    for name in dict.fromkeys(known):
        names.setdefault(name.casefold(), []).append(name)
    containing = sorted((len(text), text) for text in names if folded in text)
    from difflib import get_close_matches  # with the first typing error

    short = [text for text in names if len(text) <= _LONGEST_COMPARED]
    similar = get_close_matches(folded[:_LONGEST_COMPARED], short, limit)
    ordered = dict.fromkeys([*(text for _, text in containing), *similar])
    return tuple(name for text in ordered for name in names[text])[:limit]


def nearest_one(wanted: str, known: Iterable[str]) -> str:
    """Return the known name that was probably meant, empty if none is near."""
    return next(iter(nearest(wanted, known, 1)), "")
