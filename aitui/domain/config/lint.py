"""What is wrong with a config file, before llama-swap says so by not coming up."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from aitui.domain.config.document import (
    REFERENCE,
    ConfigDocument,
    ModelEntry,
    expand,
    format_macro_value,
    remove_comment_lines,
)
from aitui.domain.config.yaml_tree import (
    MERGE_TAG,
    LineIndex,
    MappingEntry,
    MergedKeys,
    Node,
    YamlCollection,
    YamlPair,
    YamlScalar,
    is_mapping,
    scalar_text,
)
from aitui.domain.sanitize import sanitize_line
from aitui.domain.suggest import nearest
from aitui.errors import ConfigRefused


class ValueType(Enum):
    """The kinds of values, worded for a person."""

    TEXT = "text"
    NUMBER = "a whole number"
    SWITCH = "true or false"
    LIST = "a list"
    MAPPING = "a mapping"
    ANYTHING = "anything"


@dataclass(frozen=True, slots=True)
class KeySchema:
    """What a key takes.

    `keys` are those that a mapping may have, empty where it may have any; `each` is the kind of a
    list's items, or of what a mapping has under its free keys. `least`, `choices` and `pattern`
    bound a single value, and `strict` says that llama-swap refuses a file which oversteps them.
    """

    takes: ValueType
    keys: Mapping[str, "KeySchema"] = field(default_factory=lambda: MappingProxyType({}))
    each: "KeySchema | None" = None
    required: tuple[str, ...] = ()
    least: int | None = None
    choices: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    strict: bool = False


def _mapping(required: tuple[str, ...] = (), /, **keys: KeySchema) -> KeySchema:
    return KeySchema(ValueType.MAPPING, keys=MappingProxyType(keys), required=required)


def _free(each: KeySchema) -> KeySchema:
    return KeySchema(ValueType.MAPPING, each=each)


def _list(each: KeySchema) -> KeySchema:
    return KeySchema(ValueType.LIST, each=each)


def _number(least: int | None = None, *, strict: bool = False) -> KeySchema:
    return KeySchema(ValueType.NUMBER, least=least, strict=strict)


def _choice(*choices: str, strict: bool = False) -> KeySchema:
    return KeySchema(ValueType.TEXT, choices=choices, strict=strict)


def _pattern(pattern: str) -> KeySchema:
    return KeySchema(ValueType.TEXT, pattern=re.compile(pattern))


ANYTHING = KeySchema(ValueType.ANYTHING)
TEXT = KeySchema(ValueType.TEXT)
SWITCH = KeySchema(ValueType.SWITCH)
SECONDS = _number(0)
TEXTS = _list(TEXT)
FREE = _free(ANYTHING)

_TIMEOUTS = _mapping(
    connect=SECONDS,
    keepalive=SECONDS,
    responseHeader=SECONDS,
    tlsHandshake=SECONDS,
    expectContinue=SECONDS,
    idleConn=SECONDS,
)
_FILTERS: dict[str, KeySchema] = {"stripParams": TEXT, "strip_params": TEXT, "setParams": FREE}
_SENSES = _list(_choice("text", "audio", "image"))

MODEL = _mapping(
    cmd=TEXT,
    cmdStop=TEXT,
    name=TEXT,
    description=TEXT,
    env=_list(_pattern(r"[A-Za-z_][A-Za-z0-9_]*=(?s:.*)")),
    proxy=TEXT,
    aliases=TEXTS,
    checkEndpoint=_pattern(r"/.*|none|.*\$\{.*"),
    ttl=_number(-1, strict=True),
    unloadTimeout=_number(0, strict=True),
    useModelName=TEXT,
    filters=_mapping((), **_FILTERS, setParamsByID=_free(FREE), reasoning=ANYTHING),
    macros=FREE,
    metadata=FREE,
    concurrencyLimit=_number(0),
    sendLoadingState=SWITCH,
    unlisted=SWITCH,
    timeouts=_TIMEOUTS,
    compat=_mapping(ignoreWebsockets=SWITCH),
    capabilities=KeySchema(
        ValueType.MAPPING,
        keys=MappingProxyType(
            {
                "in": _SENSES,
                "out": _SENSES,
                "tools": ANYTHING,
                "reranker": ANYTHING,
                "context": ANYTHING,
            }
        ),
    ),
)

_GROUPS = _free(
    _mapping(("members",), swap=SWITCH, exclusive=SWITCH, persistent=SWITCH, members=TEXTS)
)
_MATRIX = _mapping(
    ("vars", "sets"), vars=_free(TEXT), evict_costs=_free(_number(1)), sets=_free(TEXT)
)
_TIME_FORMATS = """
ansic unixdate rubydate rfc822 rfc822z rfc850 rfc1123 rfc1123z rfc3339 rfc3339nano kitchen stamp
stampmilli stampmicro stampnano
"""

TOP = _mapping(
    healthCheckTimeout=_number(15),
    globalTTL=_number(0, strict=True),
    unloadTimeout=SECONDS,
    logLevel=_choice("debug", "info", "warn", "error"),
    logTimeFormat=_choice("", *_TIME_FORMATS.split()),
    logToStdout=_choice("proxy", "upstream", "both", "none", strict=True),
    metricsMaxInMemory=_number(),
    captureBuffer=_number(0),
    store=_mapping(("path",), path=TEXT),
    ui=_mapping(activity=_mapping(session_id=TEXTS)),
    performance=_mapping(
        disabled=SWITCH, every=_pattern(r"[-+]?([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+")
    ),
    startPort=_number(1, strict=True),
    sendLoadingState=SWITCH,
    includeAliasesInList=SWITCH,
    macros=FREE,
    profiles=_free(_mapping(("pins",), description=TEXT, pins=_free(TEXT))),
    selectors=_free(
        _mapping(
            ("strategy", "targets"),
            strategy=_choice("warm", "pin", "spillover"),
            targets=TEXTS,
            settings=_mapping(spillover=_number(1)),
            name=TEXT,
            description=TEXT,
            unlisted=SWITCH,
            metadata=FREE,
        )
    ),
    models=_free(MODEL),
    groups=_GROUPS,
    matrix=_MATRIX,
    hooks=_mapping(on_startup=_mapping(preload=TEXTS)),
    apiKeys=TEXTS,
    peers=_free(
        _mapping(
            ("proxy", "models"),
            proxy=TEXT,
            apiKey=TEXT,
            models=TEXTS,
            filters=_mapping((), **_FILTERS),
            timeouts=_TIMEOUTS,
        )
    ),
    upstream=_mapping(ignorePaths=TEXTS),
    routing=_mapping(
        scheduler=_mapping(
            use=_choice("fifo", strict=True),
            settings=_mapping(fifo=_mapping(priority=_free(_number()))),
        ),
        router=_mapping(
            use=_choice("group", "matrix", strict=True),
            settings=_mapping(groups=_GROUPS, matrix=_MATRIX),
        ),
    ),
)


_SWITCHES = frozenset(
    word
    for lower in ("true", "false", "y", "n", "yes", "no", "on", "off")
    for word in (lower, lower.capitalize(), lower.upper())
)
_NUMBER = re.compile(r"[-+]?[0-9][0-9_]*|0[xX][0-9A-Fa-f_]+|0o?[0-7_]+|[-+]?[0-9]+\.0*")


def matches_schema(node: Node, kind: KeySchema) -> bool:
    """Whether llama-swap can read the value; null leaves every key at its default."""
    if kind.takes is ValueType.ANYTHING:
        return True
    if not isinstance(node, YamlScalar):
        return node.mapping is (kind.takes is ValueType.MAPPING) and kind.takes in {
            ValueType.MAPPING,
            ValueType.LIST,
        }
    if node.tag.endswith(":null"):
        return True
    if kind.takes is ValueType.NUMBER:
        return not node.style and bool(_NUMBER.fullmatch(node.value))
    if kind.takes is ValueType.SWITCH:
        return node.value in _SWITCHES
    return kind.takes is ValueType.TEXT


def constraint_violation(node: YamlScalar, kind: KeySchema) -> str:
    """Why a value of the right kind still isn't one that the key takes; "" where it is."""
    if node.tag.endswith(":null"):
        return ""
    if kind.choices and node.value not in kind.choices:
        return "takes " + ", ".join(choice or '""' for choice in kind.choices)
    if kind.least is not None and _is_below(node.value, kind.least):
        return f"takes {kind.least} or more"
    if kind.pattern and not kind.pattern.fullmatch(node.value):
        return "has a form of its own"
    return ""


def _is_below(text: str, least: int) -> bool:
    try:
        return int(float(text)) < least
    except (ValueError, OverflowError):
        return False


@dataclass(frozen=True, slots=True)
class OffsetDiagnostic:
    """`at` counts characters from 0; `fatal`: llama-swap would not start."""

    at: int
    words: str
    fatal: bool


_LONGEST_SHOWN = 60
_SHORTEST_SLIP = 3


@dataclass(frozen=True, slots=True)
class _PendingNode:
    """A node to look at: what it ought to be, how it is called, where that is said."""

    node: Node
    kind: KeySchema
    name: str
    at: int


def key_diagnostics(root: Node) -> Iterator[OffsetDiagnostic]:
    """Every unknown, missing or mistyped key of a file, each node looked at once for each kind."""
    seen: set[tuple[int, int]] = set()
    waiting = [_PendingNode(root, TOP, "The config file", root.start)]
    while waiting:
        task = waiting.pop()
        if (id(task.node), id(task.kind)) not in seen:
            seen.add((id(task.node), id(task.kind)))
            for found in _check_node(task):
                if isinstance(found, OffsetDiagnostic):
                    yield found
                else:
                    waiting.append(found)


def _check_node(task: _PendingNode) -> Iterator[_PendingNode | OffsetDiagnostic]:
    node, kind = task.node, task.kind
    if not matches_schema(node, kind):
        yield OffsetDiagnostic(task.at, f"{task.name} takes {kind.takes.value}.", fatal=True)
    elif isinstance(node, YamlScalar):
        if words := constraint_violation(node, kind):
            yield OffsetDiagnostic(task.at, f"{task.name} {words}.", fatal=kind.strict)
    elif node.mapping:
        yield from _check_required_keys(node, kind, task.name, task.at)
        for pair in node.pairs:
            yield from _check_pair(pair, kind)
    elif kind.each is not None:
        for item in node.items:
            yield _PendingNode(item, kind.each, f"An entry of {task.name}", item.start)


def _check_pair(pair: YamlPair, kind: KeySchema) -> Iterator[_PendingNode | OffsetDiagnostic]:
    key, value = pair.key, pair.value
    if not isinstance(key, YamlScalar):
        yield OffsetDiagnostic(key.start, "A key has to be a single word.", fatal=True)
        return
    if key.tag == MERGE_TAG:
        yield _check_merge(value, kind, key.start)
        return
    name = sanitize_line(key.value, _LONGEST_SHOWN)
    known = kind.keys.get(key.value) or kind.each
    if known is not None:
        yield _PendingNode(value, known, name, key.start if pair.aliased else value.start)
    elif kind.keys and not _holds_anchor(key.value, value):
        likely = nearest(key.value, kind.keys, 1) if len(key.value) >= _SHORTEST_SLIP else ()
        hint = f" Is “{likely[0]}” meant?" if likely else ""
        yield OffsetDiagnostic(key.start, f"llama-swap knows no “{name}” here.{hint}", fatal=False)


def _check_merge(value: Node, kind: KeySchema, at: int) -> _PendingNode | OffsetDiagnostic:
    """What `<<` brings in has to be right as if it stood in the mapping itself."""
    if is_mapping(value):
        return _PendingNode(value, kind, "What is merged", at)
    if isinstance(value, YamlCollection) and all(is_mapping(item) for item in value.items):
        return _PendingNode(value, KeySchema(ValueType.LIST, each=kind), "What is merged", at)
    return OffsetDiagnostic(at, "Only mappings can be merged.", fatal=True)


def _check_required_keys(
    node: YamlCollection, kind: KeySchema, name: str, at: int
) -> Iterator[OffsetDiagnostic]:
    present = {pair.key.value for pair in node.pairs if isinstance(pair.key, YamlScalar)}
    if "<<" in present:
        return
    for required in kind.required:
        if required not in present:
            yield OffsetDiagnostic(at, f"{name} has no {required}.", fatal=False)


def _holds_anchor(name: str, value: Node) -> bool:
    """Whether a free key is there for the anchor below it, as Compose files do with `x-…`."""
    return bool(value.anchor) or name.startswith(("x-", "."))


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


def name_diagnostics(document: ConfigDocument) -> Iterator[OffsetDiagnostic]:
    """Every name that leads nowhere or to two models."""
    top = document.merged.keys(document.root)
    if not document.entries:
        yield OffsetDiagnostic(document.root.start, "The config file has no models.", fatal=False)
    aliases: dict[str, str] = {}
    yield from _check_aliases(document, aliases)
    known = {**{name: name for name in document.entries}, **aliases}
    settings = entries_at(document, top, "routing", "router", "settings")
    for keys in (top, settings):
        yield from _check_groups(document, keys, known)
        yield from _check_matrix(document, keys, known)
    if "groups" in top and "matrix" in top:
        yield OffsetDiagnostic(
            top["matrix"].pair.key.start, "groups and matrix exclude each other.", fatal=True
        )
    preload = entries_at(document, top, "hooks", "on_startup").get("preload")
    for node in list_items(preload):
        yield from _check_reference(node, known, "preload", fatal=False)
    for name, entry in entries_at(
        document, top, "routing", "scheduler", "settings", "fifo", "priority"
    ).items():
        if name not in known:
            yield _unknown_model(entry.pair.key.start, name, known, "priority", fatal=True)
    for node in list_items(top.get("apiKeys")):
        if (key := scalar_text(node)) is not None and (not key or " " in key):
            yield OffsetDiagnostic(
                node.start, "An API key can't be empty or hold blanks.", fatal=True
            )


def entries_at(
    document: ConfigDocument, keys: Mapping[str, MappingEntry], *path: str
) -> Mapping[str, MappingEntry]:
    """The keys of the mapping at the end of a path, none where it breaks off."""
    for name in path:
        entry = keys.get(name)
        keys = document.merged.keys(entry.value) if entry else {}
    return keys


def list_items(entry: MappingEntry | None) -> tuple[Node, ...]:
    """The items of a list, none of anything else."""
    if entry is None or not isinstance(entry.value, YamlCollection):
        return ()
    return entry.value.items


def _check_aliases(document: ConfigDocument, aliases: dict[str, str]) -> Iterator[OffsetDiagnostic]:
    for model in document.entries.values():
        for node in list_items(model.keys.get("aliases")):
            name = scalar_text(node)
            if name is None:
                continue
            shown = sanitize_line(name, 80)
            if name in aliases:
                other = sanitize_line(aliases[name], 80)
                yield OffsetDiagnostic(
                    node.start, f"{other} has the alias {shown} already.", fatal=True
                )
            elif name in document.entries:
                yield OffsetDiagnostic(
                    node.start, f"The alias {shown} is a model's id.", fatal=False
                )
            aliases.setdefault(name, model.id)


def _check_groups(
    document: ConfigDocument, keys: Mapping[str, MappingEntry], known: Mapping[str, str]
) -> Iterator[OffsetDiagnostic]:
    group_of: dict[str, str] = {}
    for group in entries_at(document, keys, "groups"):
        members = entries_at(document, keys, "groups", group).get("members")
        for node in list_items(members):
            name = scalar_text(node)
            if name is None:
                continue
            if name in group_of:
                other = sanitize_line(group_of[name], 60)
                words = f"{sanitize_line(name, 80)} is in the group {other} already."
                yield OffsetDiagnostic(node.start, words, fatal=True)
            group_of.setdefault(name, group)
            yield from _check_reference(
                node, known, f"the group {sanitize_line(group, 60)}", fatal=False
            )


def _check_matrix(
    document: ConfigDocument, keys: Mapping[str, MappingEntry], known: Mapping[str, str]
) -> Iterator[OffsetDiagnostic]:
    for entry in entries_at(document, keys, "matrix", "vars").values():
        yield from _check_reference(entry.value, known, "the matrix", fatal=True)


def _check_reference(
    node: Node, known: Mapping[str, str], where: str, *, fatal: bool
) -> Iterator[OffsetDiagnostic]:
    name = scalar_text(node)
    if (
        name is not None
        and name.strip()
        and name.strip() not in known
        and isinstance(node, YamlScalar)
    ):
        yield _unknown_model(node.start, name, known, where, fatal=fatal)


def _unknown_model(
    at: int, name: str, known: Mapping[str, str], where: str, *, fatal: bool
) -> OffsetDiagnostic:
    likely = nearest(name, known, 1)
    hint = f" Is “{sanitize_line(likely[0], 80)}” meant?" if likely else ""
    words = (
        f"{where[0].upper()}{where[1:]} names the unknown model {sanitize_line(name, 80)}.{hint}"
    )
    return OffsetDiagnostic(at, words, fatal=fatal)


MOST_DIAGNOSTICS = 200


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake; line and column are counted from 1. `fatal`: llama-swap would not start."""

    line: int
    column: int
    words: str
    fatal: bool


def find_diagnostics(text: str) -> tuple[Diagnostic, ...]:
    """At most MOST mistakes, in the order of the text; call it in a thread. Never raises."""
    try:
        document = ConfigDocument.read(text)
    except ConfigRefused as error:
        return (_parse_failure(error),)
    lines = LineIndex.of(text)
    found: dict[Diagnostic, None] = {}
    try:
        for mistake in _iter_diagnostics(document):
            line, column = lines.position(mistake.at)
            found[Diagnostic(line, column, mistake.words, mistake.fatal)] = None
            if len(found) == MOST_DIAGNOSTICS:
                break
    except ConfigRefused as error:
        found[Diagnostic(error.line or 1, 1, str(error), fatal=True)] = None
    return tuple(sorted(found, key=lambda problem: (problem.line, problem.column)))


def new_fatal_diagnostics(before: str, after: str) -> tuple[Diagnostic, ...]:
    """The fatal problems of a text that the one before it didn't have, wherever they stand.

    A file may hold what the newest llama-swap refuses and the one that runs it takes; that must
    not stand in the way of changing another value.
    """
    known = {problem.words for problem in find_diagnostics(before) if problem.fatal}
    return tuple(
        problem
        for problem in find_diagnostics(after)
        if problem.fatal and problem.words not in known
    )


def _iter_diagnostics(document: ConfigDocument) -> Iterator[OffsetDiagnostic]:
    yield from key_diagnostics(document.root)
    yield from macro_diagnostics(document)
    yield from name_diagnostics(document)


def _parse_failure(error: ConfigRefused) -> Diagnostic:
    line, column = error.line or 1, error.column or 1
    words = error.why.removeprefix(f"Line {line}, column {column}: ") or error.what
    return Diagnostic(line, column, words, fatal=True)
