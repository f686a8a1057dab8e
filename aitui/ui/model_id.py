"""A model's id in few cells: it loses its middle, never its quantisation."""

import re

from rich.cells import cell_len, set_cell_size

_QUANTIZATION = re.compile(
    r"[-_.:@](?:(?:UD|i\d)[-_.])?"
    r"(?:I?Q\d(?:_\w+)?|TQ\d(?:_\w+)?|[bB]?[fF]\d{2}|[fF][pP]\d+|mxfp4|nvfp4|int\d|w\d+a\d+"
    r"|awq|gptq|exl\d|qat|\d+bit)(?:\.gguf)?$",
    re.IGNORECASE,
)


def shorten_id(model_id: str, width: int) -> str:
    """The id in at most `width` cells, with `…` in the place of what was left out."""
    if cell_len(model_id) <= width:
        return model_id
    if width <= 1:
        return "…"[:width]
    quantisation = _QUANTIZATION.search(model_id)
    tail = quantisation.group() if quantisation else ""
    wanted = max(cell_len(tail), (width - 1) // 3)
    tail = _last_cells(model_id, min(wanted, width - 1))
    return set_cell_size(model_id, width - 1 - cell_len(tail)).rstrip() + "…" + tail


def _last_cells(text: str, width: int) -> str:
    taken, cells = "", 0
    for character in reversed(text):
        cells += cell_len(character)
        if cells > width:
            break
        taken = character + taken
    return taken
