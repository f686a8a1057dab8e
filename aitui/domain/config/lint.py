"""Find mistakes in a config file, including those that keep llama-swap from starting."""

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from aitui.domain.config.document import (
    REFERENCE,
    ConfigDocument,
    ModelEntry,
    expand,
    format_macro_value,
    remove_comment_lines,
)
from aitui.domain.config.keys import NEWEST_RELEASE, TOP, KeySchema, ValueType
from aitui.domain.config.yaml_tree import (
    MERGE_TAG,
    LineIndex,
    MappingEntry,
    Node,
    YamlCollection,
    YamlPair,
    YamlScalar,
    is_mapping,
    scalar_text,
)
from aitui.domain.release import UNKNOWN, ServerRelease
from aitui.domain.sanitize import sanitize_line
from aitui.domain.suggest import nearest_one
from aitui.errors import ConfigRefused

_SWITCHES = frozenset(
    word
    for lower in ("true", "false", "y", "n", "yes", "no", "on", "off")
    for word in (lower, lower.capitalize(), lower.upper())
)
_NUMBER = re.compile(r"[-+]?[0-9][0-9_]*|0[xX][0-9A-Fa-f_]+|0o?[0-7_]+|[-+]?[0-9]+\.0*")
_LONGEST_SHOWN = 60
_SHORTEST_SLIP = 3
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")
_RESERVED = frozenset({"PORT", "PID", "MODEL_ID"})
_KEYS_WITH_MACROS = ("cmd", "cmdStop", "proxy", "checkEndpoint", "name", "description")
_DEFAULT_PROXY = "http://localhost:${PORT}"
MOST_DIAGNOSTICS = 200


class Diagnostic(Struct, frozen=True):
    """One mistake; line and column are counted from 1. `fatal`: llama-swap would not start."""

    line: int
    column: int
    words: str
    fatal: bool


_SUBSTITUTED = re.compile(r"\$\{[^{}]+\}")
_NO_MACROS = (":null", ":timestamp")
"""Ends of the tags of values that are no macros for llama-swap (validateMacro in its internal/config)."""


def find_diagnostics(text: str, release: ServerRelease = UNKNOWN) -> tuple[Diagnostic, ...]:
    """At most MOST mistakes, in the order of the text; call it in a thread. Never raises.

    `release` is that of the server: older ones don't have every key.
    """
    try:
        document = ConfigDocument.read(text)
    except ConfigRefused as error:
        line, column = error.line or 1, error.column or 1
        words = error.why.removeprefix(f"Line {line}, column {column}: ") or error.what
        return (Diagnostic(line, column, words, fatal=True),)
    found: dict[Diagnostic, None] = {}
    try:
        for diagnostic in _Linter(document, text, release).diagnostics():
            found[diagnostic] = None
            if len(found) == MOST_DIAGNOSTICS:
                break
    except ConfigRefused as error:
        found[Diagnostic(error.line or 1, 1, str(error), fatal=True)] = None
    return tuple(sorted(found, key=lambda problem: (problem.line, problem.column)))


def new_diagnostics(
    before: str, after: str, release: ServerRelease = UNKNOWN
) -> tuple[Diagnostic, ...]:
    """Return what is wrong with a text and wasn't before, or became fatal, on whatever line; blocks.

    A file may hold what the newest llama-swap refuses and the one that runs it takes; that must
    not stand in the way of changing another value.
    """
    old = find_diagnostics(before, release)
    known = {problem.words for problem in old}
    fatal = {problem.words for problem in old if problem.fatal}
    return tuple(
        problem
        for problem in find_diagnostics(after, release)
        if problem.words not in (fatal if problem.fatal else known)
    )


def matches_schema(node: Node, kind: KeySchema) -> bool:
    """Whether llama-swap can read the value; null leaves every key at its default."""
    if kind.takes is ValueType.ANYTHING:
        return True
    if not isinstance(node, YamlScalar):
        return kind.takes is (ValueType.MAPPING if node.mapping else ValueType.LIST)
    # What is substituted has the type of what it stands for, which only llama-swap knows.
    if node.tag.endswith(":null") or _SUBSTITUTED.search(node.value):
        return True
    if kind.takes is ValueType.NUMBER:
        return not node.style and bool(_NUMBER.fullmatch(node.value))
    if kind.takes is ValueType.SWITCH:
        return node.value in _SWITCHES
    return kind.takes is ValueType.TEXT


def constraint_violation(node: YamlScalar, kind: KeySchema) -> str:
    """Why a value of the right kind still isn't one that the key takes; "" where it is."""
    if node.tag.endswith(":null") or _SUBSTITUTED.search(node.value):
        return ""
    matches = kind.pattern is not None and bool(kind.pattern.fullmatch(node.value))
    if kind.choices and node.value not in kind.choices and not matches:
        return "takes " + ", ".join(choice or '""' for choice in kind.choices)
    if kind.least is not None and _is_below(node.value, kind.least):
        return f"takes {kind.least} or more"
    if kind.pattern and not kind.choices and not matches:
        return "has a special form"
    return ""


def _is_below(text: str, least: int) -> bool:
    try:
        return int(float(text)) < least
    except (ValueError, OverflowError):
        return False


def entries_at(
    document: ConfigDocument, keys: Mapping[str, MappingEntry], *path: str
) -> Mapping[str, MappingEntry]:
    """Return the keys of the mapping at the end of a path, none if the path doesn't exist."""
    for name in path:
        entry = keys.get(name)
        keys = document.merged.keys(entry.value) if entry else {}
    return keys


def list_items(entry: MappingEntry | None) -> tuple[Node, ...]:
    """Return the items of a list, nothing for other nodes."""
    if entry is None or not isinstance(entry.value, YamlCollection):
        return ()
    return entry.value.items


class _PendingNode(Struct, frozen=True):
    """A node to look at: what it ought to be, how it is called, where that is said."""

    node: Node
    kind: KeySchema
    name: str
    at: int


class _Linter:
    """Goes through one config file; each diagnostic gets its line and column there."""

    def __init__(self, document: ConfigDocument, text: str, release: ServerRelease) -> None:
        self._document = document
        self._release = release
        self._lines = LineIndex.of(text)

    def diagnostics(self) -> Iterator[Diagnostic]:
        """Return all diagnostics, unordered."""
        yield from self.key_diagnostics()
        yield from self.macro_diagnostics()
        yield from self.name_diagnostics()

    def _diagnostic(self, at: int, words: str, *, fatal: bool) -> Diagnostic:
        return Diagnostic(*self._lines.position(at), words, fatal)

    def key_diagnostics(self) -> Iterator[Diagnostic]:
        """Find unknown, missing and mistyped keys; each node is checked once for each kind."""
        root = self._document.root
        seen: set[tuple[int, int]] = set()
        waiting = [_PendingNode(root, TOP, "The config file", root.start)]
        while waiting:
            task = waiting.pop()
            if (id(task.node), id(task.kind)) not in seen:
                seen.add((id(task.node), id(task.kind)))
                for found in self._check_node(task):
                    if isinstance(found, Diagnostic):
                        yield found
                    else:
                        waiting.append(found)

    def _check_node(self, task: _PendingNode) -> Iterator[_PendingNode | Diagnostic]:
        node, kind = task.node, task.kind
        if not matches_schema(node, kind):
            yield self._diagnostic(task.at, f"{task.name} takes {kind.takes.value}.", fatal=True)
        elif isinstance(node, YamlScalar):
            if words := constraint_violation(node, kind):
                yield self._diagnostic(task.at, f"{task.name} {words}.", fatal=kind.strict)
            elif self._is_newer_value(node, kind):
                shown = sanitize_line(node.value, _LONGEST_SHOWN)
                words = f"{task.name} accepts “{shown}” from llama-swap v{kind.values_since} on"
                yield self._diagnostic(task.at, f"{words}; {self._older}.", fatal=kind.strict)
        elif node.mapping:
            yield from self._check_required_keys(node, kind, task.name, task.at)
            for pair in node.pairs:
                yield from self._check_pair(pair, kind)
        elif kind.each is not None:
            for item in node.items:
                yield _PendingNode(item, kind.each, f"An entry of {task.name}", item.start)

    def _is_newer_value(self, node: YamlScalar, kind: KeySchema) -> bool:
        """Whether the server is too old for a value that others take."""
        return (
            self._release.has(kind.values_since) is False
            and node.value not in kind.old_values
            and not _SUBSTITUTED.search(node.value)
        )

    @property
    def _older(self) -> str:
        return f"the server ({self._release.words}) is older"

    def _check_pair(self, pair: YamlPair, kind: KeySchema) -> Iterator[_PendingNode | Diagnostic]:
        key, value = pair.key, pair.value
        if not isinstance(key, YamlScalar):
            yield self._diagnostic(key.start, "A key has to be a single word.", fatal=True)
            return
        if key.tag == MERGE_TAG:
            yield self._check_merge(value, kind, key.start)
            return
        name = sanitize_line(key.value, _LONGEST_SHOWN)
        known = kind.keys.get(key.value) or kind.each
        if known is not None and self._release.has(known.since) is False:
            words = f"{name} came with llama-swap v{known.since}; {self._older} and ignores it."
            yield self._diagnostic(key.start, words, fatal=False)
        elif known is not None:
            yield _PendingNode(value, known, name, key.start if pair.aliased else value.start)
        # A free key may be there for the anchor below it, as Compose files do with `x-…`.
        elif kind.keys and not value.anchor and not key.value.startswith(("x-", ".")):
            hint = _hint(key.value, kind.keys) if len(key.value) >= _SHORTEST_SLIP else ""
            words = f"llama-swap has no key “{name}” here.{hint}"
            if not hint and self._release.has(NEWEST_RELEASE + 1):
                words = f"“{name}” is not a key that llama-swap has here, up to v{NEWEST_RELEASE}, the newest that aitui knows."
            yield self._diagnostic(key.start, words, fatal=False)

    def _check_merge(self, value: Node, kind: KeySchema, at: int) -> _PendingNode | Diagnostic:
        """Check a mapping that `<<` merges, as if its keys stood in the outer mapping."""
        if is_mapping(value):
            return _PendingNode(value, kind, "What is merged", at)
        if isinstance(value, YamlCollection) and all(is_mapping(item) for item in value.items):
            return _PendingNode(value, KeySchema(ValueType.LIST, each=kind), "What is merged", at)
        return self._diagnostic(at, "Only mappings can be merged.", fatal=True)

    def _check_required_keys(
        self, node: YamlCollection, kind: KeySchema, name: str, at: int
    ) -> Iterator[Diagnostic]:
        present = {pair.key.value for pair in node.pairs if isinstance(pair.key, YamlScalar)}
        if "<<" in present:
            return
        for required in kind.required:
            if required not in present:
                yield self._diagnostic(at, f"{name} has no {required}.", fatal=False)

    def macro_diagnostics(self) -> Iterator[Diagnostic]:
        """Find macros and references that keep llama-swap from starting."""
        top = self._document.merged.keys(self._document.root)
        if "macros" in top:
            yield from self._check_definitions(top["macros"])
        entries = self._document.entries.values()
        expanded = {entry.id: self._expand_values(entry) for entry in entries}
        # If no model has a port from llama-swap, the file runs on any that doesn't ask for one.
        ports_matter = any(_has_port(texts) or _has_own_proxy(texts) for texts in expanded.values())
        for entry in entries:
            if "macros" in entry.keys:
                yield from self._check_definitions(entry.keys["macros"])
            yield from self._check_port(entry, expanded[entry.id], fatal=ports_matter)
            yield from self._check_references(entry, expanded[entry.id])

    def _check_definitions(self, macros: MappingEntry) -> Iterator[Diagnostic]:
        for name, entry in self._document.merged.keys(macros.value).items():
            at = entry.pair.key.start
            shown = sanitize_line(name, 70)
            if not _NAME.fullmatch(name):
                yield self._diagnostic(at, f"“{shown}” is not a valid macro name.", fatal=True)
            elif name in _RESERVED:
                words = f"The macro name {shown} is reserved by llama-swap."
                yield self._diagnostic(at, words, fatal=name != "PID")
            if not isinstance(entry.value, YamlScalar) or entry.value.tag.endswith(_NO_MACROS):
                words = f"The macro {shown} must be text, a number, true or false."
                yield self._diagnostic(at, words, fatal=True)
            elif "${" + name + "}" in format_macro_value(entry.value):
                yield self._diagnostic(at, f"The macro {shown} refers to itself.", fatal=True)

    def _check_port(
        self, entry: ModelEntry, expanded: Mapping[str, str], *, fatal: bool
    ) -> Iterator[Diagnostic]:
        """llama-swap 217 and later want `${PORT}` in a cmd if its proxy has it, as by default."""
        shown = sanitize_line(entry.id, 80)
        at = entry.key.start
        if not expanded["cmd"].strip():
            fatal = fatal and not _has_own_proxy(expanded)
            yield self._diagnostic(at, f"{shown} has no cmd.", fatal=fatal)
        elif not _has_port(expanded) and not _has_own_proxy(expanded):
            words = f"The cmd of {shown} doesn't use ${{PORT}}, and its proxy does."
            yield self._diagnostic(at, words, fatal=fatal)

    def _check_references(
        self, entry: ModelEntry, expanded: Mapping[str, str]
    ) -> Iterator[Diagnostic]:
        shown = sanitize_line(entry.id, 80)
        macros = [macro.name for macro in self._document.macros_of(entry.id)]
        for key, text in expanded.items():
            for name in dict.fromkeys(REFERENCE.findall(text)):
                given = name == "PORT" and (_has_port(expanded) or key == "proxy")
                if given or (name == "PID" and key == "cmdStop"):
                    continue
                at = entry.keys[key].pair.key.start if key in entry.keys else entry.key.start
                words = f"The {key} of {shown} names the unknown macro {name}.{_hint(name, macros)}"
                yield self._diagnostic(at, words, fatal=True)

    def _expand_values(self, entry: ModelEntry) -> dict[str, str]:
        macros = self._document.macros_of(entry.id)
        expanded = {"cmd": "", "proxy": _DEFAULT_PROXY}
        for key in _KEYS_WITH_MACROS:
            text = scalar_text(entry.keys[key].value) if key in entry.keys else None
            if text is not None:
                kept = remove_comment_lines(text) if key in {"cmd", "cmdStop"} else text
                expanded[key] = expand(kept, macros)
        return expanded

    def name_diagnostics(self) -> Iterator[Diagnostic]:
        """Find names that refer to no model or to two models."""
        top = self._document.merged.keys(self._document.root)
        if not self._document.entries:
            at = self._document.root.start
            yield self._diagnostic(at, "The config file has no models.", fatal=False)
        aliases: dict[str, str] = {}
        yield from self._check_aliases(aliases)
        known = {**{name: name for name in self._document.entries}, **aliases}
        settings = entries_at(self._document, top, "routing", "router", "settings")
        for keys in (top, settings):
            yield from self._check_groups(keys, known)
            for entry in entries_at(self._document, keys, "matrix", "vars").values():
                yield from self._check_reference(entry.value, known, "the matrix", fatal=True)
        if "groups" in top and "matrix" in top:
            at = top["matrix"].pair.key.start
            yield self._diagnostic(at, "groups and matrix exclude each other.", fatal=True)
        preload = entries_at(self._document, top, "hooks", "on_startup").get("preload")
        for node in list_items(preload):
            yield from self._check_reference(node, known, "preload", fatal=False)
        scheduler = entries_at(self._document, top, "routing", "scheduler", "settings")
        for name, entry in entries_at(self._document, scheduler, "fifo", "priority").items():
            if name not in known:
                yield self._unknown_model(entry.pair.key.start, name, known, "priority", fatal=True)
        for node in list_items(top.get("apiKeys")):
            if (key := scalar_text(node)) is not None and (not key or " " in key):
                words = "An API key can't be empty or contain spaces."
                yield self._diagnostic(node.start, words, fatal=True)

    def _check_aliases(self, aliases: dict[str, str]) -> Iterator[Diagnostic]:
        for model in self._document.entries.values():
            for node in list_items(model.keys.get("aliases")):
                name = scalar_text(node)
                if name is None:
                    continue
                shown = sanitize_line(name, 80)
                if name in aliases:
                    words = f"{sanitize_line(aliases[name], 80)} already has the alias {shown}."
                    yield self._diagnostic(node.start, words, fatal=True)
                elif name in self._document.entries:
                    words = f"The alias {shown} is a model's id."
                    yield self._diagnostic(node.start, words, fatal=False)
                aliases.setdefault(name, model.id)

    def _check_groups(
        self, keys: Mapping[str, MappingEntry], known: Mapping[str, str]
    ) -> Iterator[Diagnostic]:
        group_of: dict[str, str] = {}
        for group in entries_at(self._document, keys, "groups"):
            members = entries_at(self._document, keys, "groups", group).get("members")
            for node in list_items(members):
                name = scalar_text(node)
                if name is None:
                    continue
                if name in group_of:
                    other = sanitize_line(group_of[name], 60)
                    words = f"{sanitize_line(name, 80)} is already in the group {other}."
                    yield self._diagnostic(node.start, words, fatal=True)
                group_of.setdefault(name, group)
                where = f"the group {sanitize_line(group, 60)}"
                yield from self._check_reference(node, known, where, fatal=False)

    def _check_reference(
        self, node: Node, known: Mapping[str, str], where: str, *, fatal: bool
    ) -> Iterator[Diagnostic]:
        name = scalar_text(node)
        if name is not None and name.strip() and name.strip() not in known:
            yield self._unknown_model(node.start, name, known, where, fatal=fatal)

    def _unknown_model(
        self, at: int, name: str, known: Mapping[str, str], where: str, *, fatal: bool
    ) -> Diagnostic:
        place = f"{where[0].upper()}{where[1:]}"
        words = f"{place} names the unknown model {sanitize_line(name, 80)}.{_hint(name, known)}"
        return self._diagnostic(at, words, fatal=fatal)


def _hint(name: str, known: Iterable[str]) -> str:
    likely = nearest_one(name, known)
    return f" Did you mean “{sanitize_line(likely, 80)}”?" if likely else ""


def _has_port(expanded: Mapping[str, str]) -> bool:
    return "${PORT}" in expanded["cmd"]


def _has_own_proxy(expanded: Mapping[str, str]) -> bool:
    return "${PORT}" not in expanded["proxy"]
