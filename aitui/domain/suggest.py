"""Finding a model by what a person typed."""

import difflib
from collections.abc import Iterable

from aitui.domain.models import Model


def find_model(wanted: str, models: Iterable[Model]) -> Model | None:
    """The model of exactly that id, else the one with exactly that alias."""
    by_alias: Model | None = None
    for model in models:
        if model.id == wanted:
            return model
        if by_alias is None and wanted in model.aliases:
            by_alias = model
    return by_alias


def nearest(wanted: str, known: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """At most `limit` of the known ids that look like the wanted one, the likeliest first.

    Ids that hold it, the shortest first, come before those that merely resemble it; case doesn't
    count. Empty where nothing looks like it.
    """
    folded = wanted.casefold().strip()
    if not folded or limit <= 0:
        return ()
    # Of ids that differ in case only, one stands for all when it is compared.
    ids: dict[str, list[str]] = {}
    for model_id in dict.fromkeys(known):
        ids.setdefault(model_id.casefold(), []).append(model_id)
    holding = sorted((text for text in ids if folded in text), key=lambda text: (len(text), text))
    resembling = difflib.get_close_matches(
        folded[:_LONGEST_COMPARED], [text for text in ids if len(text) <= _LONGEST_COMPARED], limit
    )
    ordered = dict.fromkeys([*holding, *resembling])
    return tuple(model_id for text in ordered for model_id in ids[text])[:limit]


# The comparison takes quadratic time: neither a pasted page nor a hostile id may stall the screen.
_LONGEST_COMPARED = 256
