"""A plain key of a model given another value: found, replaced or added, and proven."""

import re

from aitui.domain.clean import clean_line
from aitui.domain.config.additions import Splice, added_key
from aitui.domain.config.change import Change
from aitui.domain.config.document import Document, behind_colon
from aitui.domain.config.kinds import fits, oversteps
from aitui.domain.config.known_keys import MODEL, Takes
from aitui.domain.config.proof import (
    changed_models,
    not_proven,
    only_keys,
    only_scalar,
    refuse_unless,
    reread,
)
from aitui.domain.config.shell_words import refuse_unwritable
from aitui.domain.config.spelling import Spelling, spelled
from aitui.domain.config.tree import Collection, Entry, Pair, Scalar, text_of
from aitui.domain.config.values import Where
from aitui.errors import ConfigRefused

_SINGLE = (Takes.TEXT, Takes.NUMBER, Takes.SWITCH)
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./ ()+-]*[A-Za-z0-9_./()+-]|[A-Za-z/]")
_NOT_TEXT = re.compile(r"(?i:true|false|null|yes|no|on|off|y|n)")


def changed_key(
    document: Document, model_id: str, key: str, value: str, *, only_this_model: bool
) -> Change:
    """See `change.change_key`."""
    line = document.model(model_id).first_line
    kind = MODEL.keys.get(key)
    if kind is None or kind.takes not in _SINGLE or key == "cmd":
        raise ConfigRefused(
            f"“{clean_line(key, 60)}” is no key with a single value.",
            line=line,
            remedy="Change it in the editor (e).",
        )
    refuse_unwritable(value, line)
    wanted = Scalar(value, "", "", "", 0, 0)
    wrong = "" if fits(wanted, kind) else f"takes {kind.takes.value}"
    wrong = wrong or oversteps(wanted, kind)
    if wrong or not value:
        raise ConfigRefused(
            f"“{clean_line(value, 60)}” can't be the {key} of a model.",
            line=line,
            why=f"{key} {wrong}." if wrong else "It is empty.",
        )
    entry = document.entry(model_id).keys.get(key)
    others = _sharers(document, model_id, key, entry)
    if entry is None or (others and only_this_model):
        return _added(document, model_id, key, value, entry, alone=only_this_model)
    return _replaced(document, model_id, key, value, entry, shared=bool(others))


def _replaced(
    document: Document, model_id: str, key: str, value: str, entry: Entry, *, shared: bool
) -> Change:
    node = entry.value
    line = document.lines.line(node.start)
    if not isinstance(node, Scalar) or node.style in {"|", ">"}:
        raise ConfigRefused(
            f"The {key} of this model is no single value.",
            line=line,
            remedy="Change it in the editor (e).",
        )
    text = document.text
    old = text_of(node)
    also: tuple[str, ...] = ()
    after = text
    if old != value:
        after = _splice(document, entry.pair, node, value).applied(text)
        result = reread(after, line)
        refuse_unless(proven=only_scalar(document.root, result.root, node), line=line)
        also = _proven(document, result, model_id, key, value)
        refuse_unless(proven=shared or not also, line=line)
    return Change(
        before=text,
        after=after,
        model=model_id,
        flag=key,
        old=old,
        new=value,
        where=Where.KEY,
        shared_name=_anchor(document, model_id, entry) if shared else "",
        also=also,
        added=old is None,
    )


def _splice(document: Document, pair: Pair, node: Scalar, value: str) -> Splice:
    text = document.text
    key = pair.key.value if isinstance(pair.key, Scalar) else ""
    if node.start == node.end:
        at = behind_colon(text, pair)
        return Splice(at, at, " " + _spelled(value, key))
    begin = Spelling.read(text, node).begin
    if node.style in {"'", '"'}:
        return Splice(begin + 1, node.end - 1, spelled(value, node.style))
    return Splice(begin, node.end, _spelled(value, key))


def _spelled(value: str, key: str) -> str:
    """A value as YAML that means exactly it, of the key's kind."""
    if MODEL.keys[key].takes is not Takes.TEXT:
        return value
    if _PLAIN.fullmatch(value) and not _NOT_TEXT.fullmatch(value):
        return value
    return '"' + spelled(value, '"') + '"'


def _added(
    document: Document,
    model_id: str,
    key: str,
    value: str,
    merged: Entry | None,
    *,
    alone: bool,
) -> Change:
    text = document.text
    entry = document.entry(model_id)
    line = document.model(model_id).last_line
    mapping = entry.pair.value
    for first in (False, True):
        splice = added_key(text, entry, key, _spelled(value, key), first=first)
        after = splice.applied(text)
        try:
            result = reread(after, line)
        except ConfigRefused:
            continue
        assert isinstance(mapping, Collection)
        if only_keys(document.root, result.root, mapping, frozenset({key})):
            break
    else:
        raise not_proven(line)
    also = _proven(document, result, model_id, key, value)
    refuse_unless(proven=not also or not (merged or alone), line=line)
    return Change(
        before=text,
        after=after,
        model=model_id,
        flag=key,
        old=text_of(merged.value) if merged else None,
        new=value,
        where=Where.KEY,
        shared_name=mapping.anchor if also else "",
        also=also,
        added=True,
    )


def _proven(
    document: Document, result: Document, model_id: str, key: str, value: str
) -> tuple[str, ...]:
    """The other models that changed; raises where this one didn't get exactly this value."""
    entry = result.entry(model_id).keys.get(key)
    changed = changed_models(document, result)
    proven = (
        entry is not None
        and text_of(entry.value) == value
        and fits(entry.value, MODEL.keys[key])
        and document.command(model_id) == result.command(model_id)
        and model_id in changed
    )
    refuse_unless(proven=proven, line=document.model(model_id).first_line)
    return tuple(other for other in changed if other != model_id)


def _sharers(document: Document, model_id: str, key: str, entry: Entry | None) -> tuple[str, ...]:
    if entry is None:
        return ()
    return tuple(
        other
        for other, model in document.entries.items()
        if other != model_id and (found := model.keys.get(key)) and found.value is entry.value
    )


def _anchor(document: Document, model_id: str, entry: Entry) -> str:
    model = document.entry(model_id)
    return entry.value.anchor or entry.anchor or model.pair.value.anchor or model.anchor
