"""Texts in a limited number of cells: what is left out is marked, and numbers are never cut."""

import re

from rich.cells import cell_len, set_cell_size


def truncate(text: str, cells: int) -> str:
    """The text in at most that many cells; `…` marks what is missing."""
    if cell_len(text) <= cells:
        return text
    return set_cell_size(text, max(0, cells - 1)).rstrip() + "…" if cells > 0 else ""


def truncate_words(text: str, cells: int) -> str:
    """The whole words that fit into that many cells, with `…` if some are left out."""
    if cell_len(text) <= cells:
        return text
    whole, blank, _ = set_cell_size(text, max(0, cells)).rpartition(" ")
    return whole.rstrip(" ,;:") + "…" if blank else truncate(text, cells)


# Compiled when first used, by an id that is too long.
_QUANTIZATION = (
    "(?i)"
    r"[-_.:@](?:(?:UD|i\d)[-_.])?"
    r"(?:I?Q\d(?:_\w+)?|TQ\d(?:_\w+)?|[bB]?[fF]\d{2}|[fF][pP]\d+|mxfp4|nvfp4|int\d|w\d+a\d+"
    r"|awq|gptq|exl\d|qat|\d+bit)(?:\.gguf)?$"
)
_LONGEST_QUANTIZATION = 64
# `_` divides words, but not the digits of `v1_5`.
_WORD_END = r"[-/: ]|(?<=[A-Za-z])_(?=[A-Za-z])"
_OWNER = r"([A-Za-z]{1,40})_(?=\1)"
"""The first part of `Qwen_Qwen3.6`, which says nothing that the second doesn't."""


def shorten_id(model_id: str, width: int) -> str:
    """The id in at most `width` cells, with `…` in the place of the words that were left out.

    The quantization at its end stays; a word is cut only if no other fits. An owner that the name
    repeats goes if nothing else would stay. The time is linear in the text, which may be a hostile
    message of a server.
    """
    if cell_len(model_id) <= width:
        return model_id
    if width <= 1:
        return "…"[:width]
    head, tail = _ends(model_id, width)
    if (owner := re.match(_OWNER, model_id)) and len(head) <= owner.end():
        model_id = model_id[owner.end() :]
        if cell_len(model_id) <= width:
            return model_id
        head, tail = _ends(model_id, width)
    room = width - 1 - cell_len(tail)
    return (head or set_cell_size(model_id, room).rstrip()) + "…" + tail


def _ends(text: str, width: int) -> tuple[str, str]:
    """Return the words at the beginning, if there is room for any, and what stays of the end."""
    found = re.search(_QUANTIZATION, text[-_LONGEST_QUANTIZATION:])
    ends = [match.end() for match in re.finditer(_WORD_END, text)]
    cells, begin = 0, len(text) - (len(found.group()) if found is not None else 0)
    for start in (end - 1 for end in reversed(ends) if found is None):
        cells += cell_len(text[start:begin])
        if cells > (width - 1) // 2:
            break
        begin = start
    tail = _last_cells(text[begin:], width - 1)
    room = width - 1 - cell_len(tail)
    cells = last = 0
    for end in ends:
        cells += cell_len(text[last:end])
        if cells > room or end > len(text) - len(tail):
            break
        last = end
    # A sign of no width can widen what stands before it.
    return text[:last] if cell_len(text[:last]) <= room else "", tail


LEAST_WORD = 24
"""Cells that are left of a long word in a text that is too long."""


def shorten_words(text: str, cells: int) -> str:
    """The text with its longest words shortened, one after the other, until it fits, as far as that helps.

    A message begins with the id of a model, and what became of it stands at the end.
    """
    over = cell_len(text) - cells
    for word in sorted(text.split(), key=cell_len, reverse=True):
        length = cell_len(word)
        if over <= 0 or length <= LEAST_WORD:
            break
        shorter = shorten_id(word, max(LEAST_WORD, length - over))
        text = text.replace(word, shorter, 1)
        over -= length - cell_len(shorter)
    return text


def shorten_path(path: str, width: int) -> str:
    """The path in at most `width` cells; its end stays, which names the file."""
    return path if cell_len(path) <= width else "…" + _last_cells(path, width - 1)


def _last_cells(text: str, width: int) -> str:
    taken, cells = "", 0
    for character in reversed(text):
        cells += cell_len(character)
        if cells > width:
            break
        taken = character + taken
    return taken
