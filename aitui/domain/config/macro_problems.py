"""Macros that llama-swap refuses, and references that name none.

The rules are those of its `internal/config` (`validateMacro`, and the end of `LoadConfig`).
"""

import re
from collections.abc import Iterator, Mapping

from aitui.domain.clean import sanitize_line
from aitui.domain.config.document import ConfigDocument, ModelEntry
from aitui.domain.config.macros import REFERENCE, expand, format_macro_value, remove_comment_lines
from aitui.domain.config.mistake import OffsetDiagnostic
from aitui.domain.config.tree import MappingEntry, MergedKeys, Node, YamlScalar, scalar_text
from aitui.domain.nearest import nearest

_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")
_RESERVED = frozenset({"PORT", "PID", "MODEL_ID"})
_KEYS_WITH_MACROS = ("cmd", "cmdStop", "proxy", "checkEndpoint", "name", "description")
_DEFAULT_PROXY = "http://localhost:${PORT}"


def macro_diagnostics(document: ConfigDocument) -> Iterator[OffsetDiagnostic]:
    """Every macro and every reference that keeps llama-swap from starting."""
    merged = document.merged
    top = merged.keys(document.root)
    if "macros" in top:
        yield from _check_definitions(merged, top["macros"])
    expanded = {entry.id: _expand_values(document, entry) for entry in document.entries.values()}
    # A file none of whose models has a port of llama-swap's runs on one that doesn't ask for it.
    ports_matter = any(_has_port(texts) or _has_own_proxy(texts) for texts in expanded.values())
    for entry in document.entries.values():
        if "macros" in entry.keys:
            yield from _check_definitions(merged, entry.keys["macros"])
        yield from _check_port(entry, expanded[entry.id], fatal=ports_matter)
        yield from _check_references(document, entry, expanded[entry.id])


def _check_definitions(merged: MergedKeys, macros: MappingEntry) -> Iterator[OffsetDiagnostic]:
    for name, entry in merged.keys(macros.value).items():
        at = entry.pair.key.start
        shown = sanitize_line(name, 70)
        if not _NAME.fullmatch(name):
            yield OffsetDiagnostic(at, f"“{shown}” can't be the name of a macro.", fatal=True)
        elif name in _RESERVED:
            yield OffsetDiagnostic(
                at, f"The macro {shown} is llama-swap's own.", fatal=name != "PID"
            )
        if isinstance(entry.value, YamlScalar) and "${" + name + "}" in format_macro_value(
            entry.value
        ):
            yield OffsetDiagnostic(at, f"The macro {shown} names itself.", fatal=True)


def _expand_values(document: ConfigDocument, entry: ModelEntry) -> dict[str, str]:
    macros = document.macros_of(entry.id)
    expanded = {"cmd": "", "proxy": _DEFAULT_PROXY}
    for key in _KEYS_WITH_MACROS:
        text = scalar_text(_value_node(entry, key))
        if text is not None:
            kept = remove_comment_lines(text) if key in {"cmd", "cmdStop"} else text
            expanded[key] = expand(kept, macros)
    return expanded


def _has_port(expanded: Mapping[str, str]) -> bool:
    return "${PORT}" in expanded["cmd"]


def _has_own_proxy(expanded: Mapping[str, str]) -> bool:
    return "${PORT}" not in expanded["proxy"]


def _check_port(
    entry: ModelEntry, expanded: Mapping[str, str], *, fatal: bool
) -> Iterator[OffsetDiagnostic]:
    """llama-swap 217 and later want `${PORT}` in a cmd whose proxy has it, as by default."""
    shown = sanitize_line(entry.id, 80)
    at = entry.key.start
    if not expanded["cmd"].strip():
        yield OffsetDiagnostic(
            at, f"{shown} has no cmd.", fatal=fatal and not _has_own_proxy(expanded)
        )
    elif not _has_port(expanded) and not _has_own_proxy(expanded):
        words = f"The cmd of {shown} doesn't use ${{PORT}}, and its proxy does."
        yield OffsetDiagnostic(at, words, fatal=fatal)


def _check_references(
    document: ConfigDocument, entry: ModelEntry, expanded: Mapping[str, str]
) -> Iterator[OffsetDiagnostic]:
    shown = sanitize_line(entry.id, 80)
    macros = [macro.name for macro in document.macros_of(entry.id)]
    for key, text in expanded.items():
        for name in dict.fromkeys(REFERENCE.findall(text)):
            if name == "PORT" and (_has_port(expanded) or key == "proxy"):
                continue
            if name == "PID" and key == "cmdStop":
                continue
            likely = nearest(name, macros, 1)
            hint = f" Is “{likely[0]}” meant?" if likely else ""
            at = _key_start(entry, key)
            yield OffsetDiagnostic(
                at, f"The {key} of {shown} names the unknown macro {name}.{hint}", fatal=True
            )


def _value_node(entry: ModelEntry, key: str) -> Node | None:
    found = entry.keys.get(key)
    return found.value if found else None


def _key_start(entry: ModelEntry, key: str) -> int:
    found = entry.keys.get(key)
    return found.pair.key.start if found else entry.key.start
