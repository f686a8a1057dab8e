"""Macros that llama-swap refuses, and references that name none.

The rules are those of its `internal/config` (`validateMacro`, and the end of `LoadConfig`).
"""

import re
from collections.abc import Iterator, Mapping

from aitui.domain.clean import clean_line
from aitui.domain.config.document import Document, ModelEntry
from aitui.domain.config.macros import REFERENCE, expand, macro_text, without_comments
from aitui.domain.config.mistake import Mistake
from aitui.domain.config.tree import Entry, Merged, Node, Scalar, text_of
from aitui.domain.nearest import nearest

_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")
_RESERVED = frozenset({"PORT", "PID", "MODEL_ID"})
_EXPANDED = ("cmd", "cmdStop", "proxy", "checkEndpoint", "name", "description")
_DEFAULT_PROXY = "http://localhost:${PORT}"


def macro_mistakes(document: Document) -> Iterator[Mistake]:
    """Every macro and every reference that keeps llama-swap from starting."""
    merged = document.merged
    top = merged.keys(document.root)
    if "macros" in top:
        yield from _definitions(merged, top["macros"])
    expanded = {entry.id: _expanded(document, entry) for entry in document.entries.values()}
    # A file none of whose models has a port of llama-swap's runs on one that doesn't ask for it.
    ports_matter = any(_has_port(texts) or _own_proxy(texts) for texts in expanded.values())
    for entry in document.entries.values():
        if "macros" in entry.keys:
            yield from _definitions(merged, entry.keys["macros"])
        yield from _port(entry, expanded[entry.id], fatal=ports_matter)
        yield from _references(document, entry, expanded[entry.id])


def _definitions(merged: Merged, macros: Entry) -> Iterator[Mistake]:
    for name, entry in merged.keys(macros.value).items():
        at = entry.pair.key.start
        shown = clean_line(name, 70)
        if not _NAME.fullmatch(name):
            yield Mistake(at, f"“{shown}” can't be the name of a macro.", fatal=True)
        elif name in _RESERVED:
            yield Mistake(at, f"The macro {shown} is llama-swap's own.", fatal=name != "PID")
        if isinstance(entry.value, Scalar) and "${" + name + "}" in macro_text(entry.value):
            yield Mistake(at, f"The macro {shown} names itself.", fatal=True)


def _expanded(document: Document, entry: ModelEntry) -> dict[str, str]:
    macros = document.macros_of(entry.id)
    expanded = {"cmd": "", "proxy": _DEFAULT_PROXY}
    for key in _EXPANDED:
        text = text_of(_node(entry, key))
        if text is not None:
            kept = without_comments(text) if key in {"cmd", "cmdStop"} else text
            expanded[key] = expand(kept, macros)
    return expanded


def _has_port(expanded: Mapping[str, str]) -> bool:
    return "${PORT}" in expanded["cmd"]


def _own_proxy(expanded: Mapping[str, str]) -> bool:
    return "${PORT}" not in expanded["proxy"]


def _port(entry: ModelEntry, expanded: Mapping[str, str], *, fatal: bool) -> Iterator[Mistake]:
    """llama-swap 217 and later want `${PORT}` in a cmd whose proxy has it, as by default."""
    shown = clean_line(entry.id, 80)
    at = entry.key.start
    if not expanded["cmd"].strip():
        yield Mistake(at, f"{shown} has no cmd.", fatal=fatal and not _own_proxy(expanded))
    elif not _has_port(expanded) and not _own_proxy(expanded):
        words = f"The cmd of {shown} doesn't use ${{PORT}}, and its proxy does."
        yield Mistake(at, words, fatal=fatal)


def _references(
    document: Document, entry: ModelEntry, expanded: Mapping[str, str]
) -> Iterator[Mistake]:
    shown = clean_line(entry.id, 80)
    macros = [macro.name for macro in document.macros_of(entry.id)]
    for key, text in expanded.items():
        for name in dict.fromkeys(REFERENCE.findall(text)):
            if name == "PORT" and (_has_port(expanded) or key == "proxy"):
                continue
            if name == "PID" and key == "cmdStop":
                continue
            likely = nearest(name, macros, 1)
            hint = f" Is “{likely[0]}” meant?" if likely else ""
            at = _start(entry, key)
            yield Mistake(
                at, f"The {key} of {shown} names the unknown macro {name}.{hint}", fatal=True
            )


def _node(entry: ModelEntry, key: str) -> Node | None:
    found = entry.keys.get(key)
    return found.value if found else None


def _start(entry: ModelEntry, key: str) -> int:
    found = entry.keys.get(key)
    return found.pair.key.start if found else entry.key.start
