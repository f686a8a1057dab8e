"""Whole models put into a config file, and taken out of it."""

import posixpath
import re

from aitui.domain.clean import clean_line
from aitui.domain.command_line import MODEL, has_flag
from aitui.domain.config.additions import Splice, end_of_line, line_break
from aitui.domain.config.change import Change, change_flag
from aitui.domain.config.document import Document, ModelEntry, block_end
from aitui.domain.config.flags import find_flag, value_in
from aitui.domain.config.name_problems import dig, items
from aitui.domain.config.proof import changed_models, only_keys, refuse_unless, reread
from aitui.domain.config.shell_words import refuse_unwritable
from aitui.domain.config.spelling import spelled
from aitui.domain.config.tree import Collection, Node, Scalar, text_of
from aitui.domain.config.values import Where, current_value
from aitui.errors import ConfigRefused

_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_./+-]*(?:[ :][A-Za-z0-9_./+-]+)*")
_NOT_TEXT = re.compile(r"(?i:true|false|null|yes|no|on|off|y|n)")


def named_files(document: Document) -> frozenset[str]:
    """The files that the config's `--model` flags name, macros put in."""
    return frozenset(_files(document))


def model_folders(document: Document) -> tuple[str, ...]:
    """The folders of the files that the config's `--model` flags name, in the file's order."""
    folders = (posixpath.dirname(path) for path in _files(document))
    return tuple(dict.fromkeys(folder for folder in folders if folder.startswith("/")))


def new_block(
    document: Document, model_id: str, file_path: str, *, like: str | None = None
) -> Change:
    """A new model behind the last one, a copy of `like` or of the last one but for its file.

    What can belong to one model only goes: `aliases`, `name`, `description`, comments above.
    Raises ConfigRefused for an id that is taken, where there is no model to be like, and where that
    one has its file or all of its block from elsewhere.
    """
    line = document.lines.line(document.root.end)
    refuse_unwritable(model_id, line)
    refuse_unwritable(file_path, line)
    if model_id in document.entries or not model_id.strip():
        raise ConfigRefused(f"The id “{clean_line(model_id, 80)}” is taken.", line=line)
    pattern = _pattern(document, like)
    doubled = _doubled(document, pattern, model_id)
    result = reread(doubled, line)
    for key in ("aliases", "name", "description"):
        result = _without_key(result, model_id, key)
    if value_in(result.command(model_id), find_flag("--model")) != file_path:
        changed = change_flag(result, model_id, "--model", file_path, only_this_model=True)
        result = reread(changed.after, line)
    models = _models_node(document)
    refuse_unless(
        proven=only_keys(document.root, result.root, models, frozenset({model_id}))
        and changed_models(document, result) == (model_id,)
        and value_in(result.command(model_id), find_flag("--model")) == file_path,
        line=line,
    )
    return _whole(document, result.text, model_id, old=None, new=file_path)


def remove_model(document: Document, model_id: str) -> Change:
    """Takes a model's block out, with the comment lines directly above it, indented as it is.

    So does a blank line above it, where otherwise two would be left, or one at the end.

    Raises ConfigRefused where something else still names the model, where others use an anchor of
    its block, and for the only model.
    """
    entry = document.entry(model_id)
    line = document.model(model_id).first_line
    _refuse_named(document, entry)
    if len(document.entries) == 1:
        raise ConfigRefused("The only model can't be removed.", line=line)
    models = _models_node(document)
    last = all(other.key.start <= entry.key.start for other in document.entries.values())
    after = _lines_removed(document.text, entry, flow=models.flow, last=last)
    try:
        result = Document.read(after)
    except ConfigRefused as error:
        raise ConfigRefused(
            f"“{clean_line(model_id, 80)}” can't be removed on its own.",
            line=line,
            why="Something else uses an anchor of its block.",
            remedy="Remove it in the editor (e).",
        ) from error
    refuse_unless(
        proven=only_keys(document.root, result.root, models, frozenset({model_id}))
        and changed_models(document, result) == (model_id,),
        line=line,
    )
    return _whole(document, after, model_id, old=document.command(model_id), new=None)


def _files(document: Document) -> tuple[str, ...]:
    found: list[str] = []
    for block in document.models:
        value = current_value(document, block.id, "--model")
        if value is not None and value.text:
            found.append(value.text)
    return tuple(found)


def _whole(
    document: Document, after: str, model_id: str, *, old: str | None, new: str | None
) -> Change:
    return Change(
        before=document.text,
        after=after,
        model=model_id,
        flag="",
        old=old,
        new=new,
        where=Where.KEY,
        added=new is not None,
    )


def _models_node(document: Document) -> Collection:
    node = document.merged.keys(document.root)["models"].value
    assert isinstance(node, Collection)
    return node


def _pattern(document: Document, like: str | None) -> ModelEntry:
    if like is not None:
        return document.entry(like)
    usable = [
        entry
        for entry in document.entries.values()
        if has_flag(document.command(entry.id), MODEL) and not entry.pair.aliased
    ]
    if not usable:
        raise ConfigRefused(
            "There is no model with a file that a new one could be like.",
            remedy="Write the first one in the editor (e).",
        )
    return usable[-1]


def _doubled(document: Document, pattern: ModelEntry, model_id: str) -> str:
    """The text with the pattern's block once more, behind the last one, under the new id."""
    text = document.text
    models = _models_node(document)
    own = [entry for entry in document.entries.values() if not entry.anchor]
    if models.flow or pattern.pair.aliased or not own or pattern.anchor:
        raise ConfigRefused(
            f"“{clean_line(pattern.id, 80)}” has no block of its own that could be copied.",
            line=document.lines.line(pattern.key.start),
            remedy="Write the new model in the editor (e).",
        )
    last = max(own, key=lambda entry: entry.key.start)
    at = end_of_line(text, block_end(text, last.pair))
    first = text.rfind("\n", 0, pattern.key.start) + 1
    indentation = text[first : pattern.key.start].lstrip("\ufeff")
    body = text[pattern.key.end : end_of_line(text, block_end(text, pattern.pair))]
    body = _without_anchors(text, pattern, body)
    ending = line_break(text)
    gap = _gap(text, own)
    name = _key(model_id, pattern.key)
    return Splice(at, at, ending * (1 + gap) + indentation + name + body).applied(text)


def _gap(text: str, entries: list[ModelEntry]) -> int:
    """How many blank lines stand between the last two blocks, at most one."""
    ordered = sorted(entries, key=lambda entry: entry.key.start)
    if len(ordered) < 2:
        return 0
    end = block_end(text, ordered[-2].pair)
    between = text[end : ordered[-1].key.start].replace("\r", "").split("\n")[1:-1]
    return int(any(not line.strip() for line in between))


def _without_anchors(text: str, pattern: ModelEntry, body: str) -> str:
    """The copied text with the definitions of its anchors left out, from the last to the first."""
    offset = pattern.key.end
    waiting = [pattern.pair.value]
    places: list[tuple[int, int]] = []
    while waiting:
        node = waiting.pop()
        if not offset <= node.start < offset + len(body):
            continue
        if node.anchor:
            start = text.index("&" + node.anchor, node.start)
            places.append((start - offset, start - offset + len(node.anchor) + 1))
        if isinstance(node, Collection):
            waiting += (pair.value for pair in node.pairs if not pair.aliased)
            waiting += node.items
    for start, end in sorted(set(places), reverse=True):
        body = body[:start].rstrip(" ") + body[end:]
    return body


def _key(model_id: str, like: Scalar) -> str:
    if like.style in {"'", '"'}:
        return like.style + spelled(model_id, like.style) + like.style
    if _PLAIN_KEY.fullmatch(model_id) and not _NOT_TEXT.fullmatch(model_id):
        return model_id
    return '"' + spelled(model_id, '"') + '"'


def _without_key(document: Document, model_id: str, key: str) -> Document:
    entry = document.entry(model_id)
    found = entry.keys.get(key)
    mapping = entry.pair.value
    if found is None or found.anchor or not isinstance(mapping, Collection) or mapping.flow:
        return document
    text = document.text
    start = text.rfind("\n", 0, found.pair.key.start) + 1
    end = end_of_line(text, block_end(text, found.pair))
    after = text[:start].removesuffix("\n").removesuffix("\r") + text[end:]
    return reread(after, document.lines.line(start))


def _refuse_named(document: Document, entry: ModelEntry) -> None:
    names = {entry.id, *(text_of(node) or "" for node in items(entry.keys.get("aliases")))}
    for where, node in _references(document):
        if text_of(node) in names:
            raise ConfigRefused(
                f"{where} still names “{clean_line(text_of(node) or '', 80)}”.",
                line=document.lines.line(node.start),
                remedy="Take it out there first, in the editor (e).",
            )


def _references(document: Document) -> list[tuple[str, Node]]:
    top = document.merged.keys(document.root)
    found: list[tuple[str, Node]] = []
    for keys in (top, dig(document, top, "routing", "router", "settings")):
        for group in dig(document, keys, "groups"):
            members = items(dig(document, keys, "groups", group).get("members"))
            found += ((f"The group {clean_line(group, 60)}", node) for node in members)
        variables = dig(document, keys, "matrix", "vars").values()
        found += (("The matrix", variable.value) for variable in variables)
    preload = dig(document, top, "hooks", "on_startup").get("preload")
    found += (("preload", node) for node in items(preload))
    for profile in dig(document, top, "profiles"):
        pins = dig(document, top, "profiles", profile, "pins").values()
        found += ((f"The profile {clean_line(profile, 60)}", pin.value) for pin in pins)
    for selector in dig(document, top, "selectors"):
        targets = items(dig(document, top, "selectors", selector).get("targets"))
        found += ((f"The selector {clean_line(selector, 60)}", node) for node in targets)
    priority = dig(document, top, "routing", "scheduler", "settings", "fifo", "priority")
    found += (("priority", rank.pair.key) for rank in priority.values())
    return found


def _lines_removed(text: str, entry: ModelEntry, *, flow: bool, last: bool) -> str:
    start = text.rfind("\n", 0, entry.key.start) + 1
    indentation = text[start : entry.key.start]
    if flow or indentation.strip(" \ufeff"):
        raise ConfigRefused(
            f"“{clean_line(entry.id, 80)}” doesn't stand on lines of its own.",
            remedy="Remove it in the editor (e).",
        )
    end = end_of_line(text, block_end(text, entry.pair))
    while start > 0:
        above = text.rfind("\n", 0, start - 1) + 1
        if not text[above:start].startswith(indentation + "#"):
            break
        start = above
    rest = text[end:].removeprefix("\r").removeprefix("\n")
    blank = text.rfind("\n", 0, start - 1) + 1 if start > 0 else 0
    # Of the blank lines above and below, one would be too many.
    if start > 0 and not text[blank:start].strip() and (last or _starts_blank(rest)):
        start = blank
    if end < len(text):
        return text[:start] + rest
    return text[:start].removesuffix("\n").removesuffix("\r")


def _starts_blank(rest: str) -> bool:
    return not rest.partition("\n")[0].strip()
