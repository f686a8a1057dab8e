"""Change or add one key of a model, such as `ttl`, and nothing else."""

import re

from aitui.domain.config import verify
from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.keys import MODEL, ValueType
from aitui.domain.config.lint import constraint_violation, matches_schema
from aitui.domain.config.locate import SourceMap, ValueSource, anchor_name, escape_fragment
from aitui.domain.config.splice import Splice, key_insertion, line_break, write_text
from aitui.domain.config.verify import ConfigChange
from aitui.domain.config.yaml_tree import (
    MappingEntry,
    YamlCollection,
    YamlPair,
    YamlScalar,
    after_colon,
    scalar_text,
)
from aitui.domain.llama_server import refuse_unwritable
from aitui.domain.sanitize import sanitize_line
from aitui.errors import Action, ConfigRefused

_IN_EDITOR = "Change it in the editor."
_SINGLE = (ValueType.TEXT, ValueType.NUMBER, ValueType.SWITCH)
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./ ()+-]*[A-Za-z0-9_./()+-]|[A-Za-z/]")


def change_key(
    document: ConfigDocument, model_id: str, key: str, value: str, *, only_this_model: bool = False
) -> ConfigChange:
    """Give a plain key of one model, such as `ttl`, another value; call it in a thread.

    Raises ConfigRefused for a key that has no single value, and for a value that isn't of the key's
    kind.
    """
    line = document.model(model_id).first_line
    kind = MODEL.keys.get(key)
    if kind is None or kind.takes not in _SINGLE or key == "cmd":
        what = f"“{sanitize_line(key, 60)}” is not a key with a single value."
        raise ConfigRefused(what, line=line, remedy=_IN_EDITOR, action=Action.EDIT_CONFIG)
    refuse_unwritable(value, line)
    wanted = YamlScalar(value, "", "", "", 0, 0)
    wrong = "" if matches_schema(wanted, kind) else f"takes {kind.takes.value}"
    wrong = wrong or constraint_violation(wanted, kind)
    if wrong or not value:
        what = f"“{sanitize_line(value, 60)}” is not a valid {key} for a model."
        raise ConfigRefused(what, line=line, why=f"{key} {wrong}." if wrong else "It is empty.")
    entry = document.entry(model_id).keys.get(key)
    others = _find_sharers(document, model_id, key, entry)
    if entry is None or (others and only_this_model):
        return _add_key(document, model_id, key, value, entry, alone=only_this_model)
    return _replace_key(document, model_id, key, value, entry, shared=bool(others))


def change_global_ttl(document: ConfigDocument, seconds: int) -> ConfigChange:
    """Give `globalTTL`, the idle timeout of all models without their own, another value.

    It is added above the first key if the file has none. Raises ConfigRefused.
    """
    key, value, root = "globalTTL", str(seconds), document.root
    assert isinstance(root, YamlCollection)
    entry = document.merged.keys(root).get(key)
    node = None if entry is None else entry.value
    text = after = document.text
    line = document.lines.line(root.start)
    if isinstance(node, YamlScalar):
        line = document.lines.line(node.start)
        if node.value != value:
            after = Splice(SourceMap.read(text, node).begin, node.end, value).apply(text)
            result = verify.reparse(document, after, line)
            proven = verify.differs_only_in_scalar(root, result.root, node)
            verify.require_verified(proven=proven, line=line)
    else:
        verify.require_verified(
            proven=node is None and not root.flow and bool(root.pairs), line=line
        )
        at = root.pairs[0].key.start
        after = Splice(at, at, f"{key}: {value}{line_break(text)}").apply(text)
        result = verify.reparse(document, after, line)
        proven = verify.differs_only_in_keys(root, result.root, root, frozenset({key}))
        verify.require_verified(proven=proven, line=line)
    old = scalar_text(node) if isinstance(node, YamlScalar) else None
    return ConfigChange(text, after, "", "", old, value, ValueSource.KEY, added=old is None)


def _replace_key(
    document: ConfigDocument,
    model_id: str,
    key: str,
    value: str,
    entry: MappingEntry,
    *,
    shared: bool,
) -> ConfigChange:
    node = entry.value
    line = document.lines.line(node.start)
    if not isinstance(node, YamlScalar) or node.style in {"|", ">"}:
        what = f"The {key} of this model is not a single value."
        raise ConfigRefused(what, line=line, remedy=_IN_EDITOR, action=Action.EDIT_CONFIG)
    text = after = document.text
    old = scalar_text(node)
    also: tuple[str, ...] = ()
    if old != value:
        after = _value_splice(document, entry.pair, node, value).apply(text)
        result = verify.reparse(document, after, line)
        verify.require_verified(
            proven=verify.differs_only_in_scalar(document.root, result.root, node), line=line
        )
        also = _verify_key(document, result, model_id, key, value)
        verify.require_verified(proven=shared or not also, line=line)
    return ConfigChange(
        before=text,
        after=after,
        model=model_id,
        flag=key,
        old=old,
        new=value,
        where=ValueSource.KEY,
        shared_name=anchor_name(document.entry(model_id), key) if shared else "",
        also=also,
        added=old is None,
    )


def _value_splice(document: ConfigDocument, pair: YamlPair, node: YamlScalar, value: str) -> Splice:
    text = document.text
    key = pair.key.value if isinstance(pair.key, YamlScalar) else ""
    if node.start == node.end:
        at = after_colon(text, pair)
        return Splice(at, at, " " + _format_value(value, key))
    begin = SourceMap.read(text, node).begin
    if node.style in {"'", '"'}:
        return Splice(begin + 1, node.end - 1, escape_fragment(value, node.style))
    return Splice(begin, node.end, _format_value(value, key))


def _format_value(value: str, key: str) -> str:
    """Write a value as YAML that means exactly it, of the key's kind."""
    return write_text(value, _PLAIN) if MODEL.keys[key].takes is ValueType.TEXT else value


def _add_key(
    document: ConfigDocument,
    model_id: str,
    key: str,
    value: str,
    merged: MappingEntry | None,
    *,
    alone: bool,
) -> ConfigChange:
    text = document.text
    entry = document.entry(model_id)
    line = document.model(model_id).last_line
    mapping = entry.pair.value
    for first in (False, True):
        splice = key_insertion(text, entry, key, _format_value(value, key), first=first)
        after = splice.apply(text)
        try:
            result = verify.reparse(document, after, line)
        except ConfigRefused:
            continue
        assert isinstance(mapping, YamlCollection)
        if verify.differs_only_in_keys(document.root, result.root, mapping, frozenset({key})):
            break
    else:
        raise verify.not_verified_error(line)
    also = _verify_key(document, result, model_id, key, value)
    verify.require_verified(proven=not also or not (merged or alone), line=line)
    return ConfigChange(
        before=text,
        after=after,
        model=model_id,
        flag=key,
        old=scalar_text(merged.value) if merged else None,
        new=value,
        where=ValueSource.KEY,
        shared_name=mapping.anchor if also else "",
        also=also,
        added=True,
    )


def _verify_key(
    document: ConfigDocument, result: ConfigDocument, model_id: str, key: str, value: str
) -> tuple[str, ...]:
    """Return the other models that changed; raise if this one didn't get exactly this value."""
    entry = result.entry(model_id).keys.get(key)
    changed = verify.find_changed_models(document, result)
    proven = (
        entry is not None
        and scalar_text(entry.value) == value
        and matches_schema(entry.value, MODEL.keys[key])
        and document.command(model_id) == result.command(model_id)
        and model_id in changed
    )
    verify.require_verified(proven=proven, line=document.model(model_id).first_line)
    return tuple(other for other in changed if other != model_id)


def _find_sharers(
    document: ConfigDocument, model_id: str, key: str, entry: MappingEntry | None
) -> tuple[str, ...]:
    if entry is None:
        return ()
    return tuple(
        other
        for other, model in document.entries.items()
        if other != model_id and (found := model.keys.get(key)) and found.value is entry.value
    )
