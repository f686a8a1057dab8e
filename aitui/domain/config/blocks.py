"""Add models to a config file, and remove them."""

import posixpath
import re
from collections.abc import Iterable

from aitui.domain.config import verify
from aitui.domain.config.document import ConfigDocument, ModelEntry
from aitui.domain.config.flag_edit import change_flag
from aitui.domain.config.lint import entries_at, list_items
from aitui.domain.config.locate import ValueSource, escape_fragment, locate_flag
from aitui.domain.config.splice import Splice, end_of_line, line_break, write_text
from aitui.domain.config.verify import ConfigChange
from aitui.domain.config.yaml_tree import Node, YamlCollection, block_end, scalar_text
from aitui.domain.launch import wrapper_names
from aitui.domain.llama_server import (
    MODEL,
    CommandLine,
    effective_flag_value,
    find_flag,
    launch,
    refuse_unwritable,
    split_words,
)
from aitui.domain.sanitize import sanitize_line
from aitui.errors import Action, ConfigRefused

_OF_ONE_MODEL = (
    "--verbose", "--verbosity", "--verbose-prompt", "--log-file", "--log-prompts-dir",
    "--check-tensors", "--no-warmup", "--mmproj", "--lora", "--model-draft", "--alias",
)  # fmt: skip
"""Flags for debugging, and those that fit one file alone."""
PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_./+-]*(?:[ :][A-Za-z0-9_./+-]+)*")


def model_files(document: ConfigDocument) -> dict[str, str]:
    """Return the files that the config's `--model` flags name, macros expanded, with the model's id."""
    found = ((locate_flag(document, one.id, find_flag("--model")), one) for one in document.models)
    return {value.text: block.id for value, block in found if value is not None and value.text}


def model_folders(document: ConfigDocument) -> tuple[str, ...]:
    """Return the folders of the files that the config's `--model` flags name, in the file's order."""
    folders = (posixpath.dirname(path) for path in model_files(document))
    return tuple(dict.fromkeys(folder for folder in folders if folder.startswith("/")))


def choose_template(document: ConfigDocument, likely: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """Return the model that a new one should be like, and what of its command is its own.

    That is the first of `likely`, else the last in the file; one with nothing of its own comes
    first. Raises ConfigRefused if no model has a file.
    """
    usable = [entry.id for entry in _templates(document)]
    ordered = [model_id for model_id in likely if model_id in usable] + usable[::-1]
    own = {model_id: _own_words(document, model_id) for model_id in ordered}
    best = min(ordered, key=lambda model_id: bool(own[model_id]))
    return best, own[best]


def _own_words(document: ConfigDocument, model_id: str) -> tuple[str, ...]:
    """Return the wrappers and flags of a command that a copy for another file shouldn't have."""
    command, named = document.command(model_id), document.named
    line = CommandLine.read(command, named)
    flags = (name for name in _OF_ONE_MODEL if line.has(find_flag(name, command, named).names))
    words = [word.text for word in split_words(command)]
    return (*wrapper_names(words[: launch(command, named).begin or 0]), *flags)


def add_model(
    document: ConfigDocument, model_id: str, file_path: str, *, like: str | None = None
) -> ConfigChange:
    """Add a model behind the last one: a copy of `like`, or of the last one, with another file.

    What can belong to one model only is left out: `aliases`, `name`, `description`, comments above.
    Raises ConfigRefused for an id that is taken, if there is no model to copy, and if its file or
    all of its block stands elsewhere.
    """
    line = document.lines.line(document.root.end)
    refuse_unwritable(model_id, line)
    refuse_unwritable(file_path, line)
    if model_id in document.entries or not model_id.strip():
        raise ConfigRefused(f"The id “{sanitize_line(model_id, 80)}” is already in use.", line=line)
    pattern = _find_template(document, like)
    doubled = _duplicate_block(document, pattern, model_id)
    result = verify.reparse(document, doubled, line)
    for key in ("aliases", "name", "description"):
        result = _remove_key(result, model_id, key)
    if _model_file(result, model_id) != file_path:
        changed = change_flag(result, model_id, "--model", file_path, only_this_model=True)
        result = verify.reparse(document, changed.after, line)
    models = _models_node(document)
    verify.require_verified(
        proven=verify.differs_only_in_keys(
            document.root, result.root, models, frozenset({model_id})
        )
        and verify.find_changed_models(document, result) == (model_id,)
        and _model_file(result, model_id) == file_path,
        line=line,
    )
    return _build_change(document, result.text, model_id, old=None, new=file_path)


def remove_model(document: ConfigDocument, model_id: str) -> ConfigChange:
    """Remove a model's block, with the comment lines directly above it that are indented like it.

    A blank line above it goes as well if two would be left, or one at the end. Raises ConfigRefused
    if something else still names the model, if others use an anchor of its block, and for the only
    model.
    """
    entry = document.entry(model_id)
    line = document.model(model_id).first_line
    _refuse_if_referenced(document, entry)
    if len(document.entries) == 1:
        raise ConfigRefused("The only model can't be removed.", line=line)
    models = _models_node(document)
    last = all(other.key.start <= entry.key.start for other in document.entries.values())
    after = _remove_lines(document.text, entry, flow=models.flow, last=last)
    try:
        result = ConfigDocument.read(after, document.named)
    except ConfigRefused as error:
        raise ConfigRefused(
            f"“{sanitize_line(model_id, 80)}” can't be removed on its own.",
            line=line,
            why="Another part of the file uses an anchor from its block.",
            remedy="Remove it in the editor.",
            action=Action.EDIT_CONFIG,
        ) from error
    verify.require_verified(
        proven=verify.differs_only_in_keys(
            document.root, result.root, models, frozenset({model_id})
        )
        and verify.find_changed_models(document, result) == (model_id,),
        line=line,
    )
    return _build_change(document, after, model_id, old=document.command(model_id), new=None)


def _model_file(document: ConfigDocument, model_id: str) -> str | None:
    return effective_flag_value(document.command(model_id), find_flag("--model"), document.named)


def _build_change(
    document: ConfigDocument, after: str, model_id: str, *, old: str | None, new: str | None
) -> ConfigChange:
    return ConfigChange(
        document.text, after, model_id, "", old, new, ValueSource.KEY, added=new is not None
    )


def _models_node(document: ConfigDocument) -> YamlCollection:
    node = document.merged.keys(document.root)["models"].value
    assert isinstance(node, YamlCollection)
    return node


def _find_template(document: ConfigDocument, like: str | None) -> ModelEntry:
    return _templates(document)[-1] if like is None else document.entry(like)


def _templates(document: ConfigDocument) -> list[ModelEntry]:
    usable = [
        entry
        for entry in document.entries.values()
        if CommandLine.read(document.command(entry.id), document.named).has(MODEL)
        and not entry.pair.aliased
    ]
    if not usable:
        what = "There is no model with a file to copy the settings from."
        raise ConfigRefused(
            what, remedy="Write the first one in the editor.", action=Action.EDIT_CONFIG
        )
    return usable


def _duplicate_block(document: ConfigDocument, pattern: ModelEntry, model_id: str) -> str:
    """Return the text with the pattern's block once more, behind the last one, under the new id."""
    text = document.text
    models = _models_node(document)
    own = [entry for entry in document.entries.values() if not entry.anchor]
    if models.flow or pattern.pair.aliased or not own or pattern.anchor:
        raise ConfigRefused(
            f"“{sanitize_line(pattern.id, 80)}” has no block of its own that could be copied.",
            line=document.lines.line(pattern.key.start),
            remedy="Write the new model in the editor.",
            action=Action.EDIT_CONFIG,
        )
    last = max(own, key=lambda entry: entry.key.start)
    at = end_of_line(text, block_end(text, last.pair))
    first = text.rfind("\n", 0, pattern.key.start) + 1
    indentation = text[first : pattern.key.start].lstrip("\ufeff")
    body = text[pattern.key.end : end_of_line(text, block_end(text, pattern.pair))]
    body = _strip_anchors(text, pattern, body)
    ending = line_break(text)
    gap = _blank_lines_between_blocks(text, own)
    if (style := pattern.key.style) in {"'", '"'}:
        name = style + escape_fragment(model_id, style) + style
    else:
        name = write_text(model_id, PLAIN_KEY)
    return Splice(at, at, ending * (1 + gap) + indentation + name + body).apply(text)


def _blank_lines_between_blocks(text: str, entries: list[ModelEntry]) -> int:
    """Return how many blank lines stand between the last two blocks, at most one."""
    ordered = sorted(entries, key=lambda entry: entry.key.start)
    if len(ordered) < 2:
        return 0
    end = block_end(text, ordered[-2].pair)
    between = text[end : ordered[-1].key.start].replace("\r", "").split("\n")[1:-1]
    return int(any(not line.strip() for line in between))


def _strip_anchors(text: str, pattern: ModelEntry, body: str) -> str:
    offset = pattern.key.end
    pending = [pattern.pair.value]
    places: list[tuple[int, int]] = []
    while pending:
        node = pending.pop()
        if not offset <= node.start < offset + len(body):
            continue
        if node.anchor:
            start = text.index("&" + node.anchor, node.start)
            places.append((start - offset, start - offset + len(node.anchor) + 1))
        if isinstance(node, YamlCollection):
            pending += (pair.value for pair in node.pairs if not pair.aliased)
            pending += node.items
    for start, end in sorted(set(places), reverse=True):
        body = body[:start].rstrip(" ") + body[end:]
    return body


def _remove_key(document: ConfigDocument, model_id: str, key: str) -> ConfigDocument:
    entry = document.entry(model_id)
    found = entry.keys.get(key)
    mapping = entry.pair.value
    if found is None or found.anchor or not isinstance(mapping, YamlCollection) or mapping.flow:
        return document
    text = document.text
    start = text.rfind("\n", 0, found.pair.key.start) + 1
    end = end_of_line(text, block_end(text, found.pair))
    after = text[:start].removesuffix("\n").removesuffix("\r") + text[end:]
    return verify.reparse(document, after, document.lines.line(start))


def _refuse_if_referenced(document: ConfigDocument, entry: ModelEntry) -> None:
    names = {entry.id, *(scalar_text(node) or "" for node in list_items(entry.keys.get("aliases")))}
    for where, node in _find_references(document):
        if scalar_text(node) in names:
            raise ConfigRefused(
                f"{where} still names “{sanitize_line(scalar_text(node) or '', 80)}”.",
                line=document.lines.line(node.start),
                remedy="Remove it there first, in the editor.",
                action=Action.EDIT_CONFIG,
            )


def _find_references(document: ConfigDocument) -> list[tuple[str, Node]]:
    top = document.merged.keys(document.root)
    found: list[tuple[str, Node]] = []
    for keys in (top, entries_at(document, top, "routing", "router", "settings")):
        for group in entries_at(document, keys, "groups"):
            members = list_items(entries_at(document, keys, "groups", group).get("members"))
            found += ((f"The group {sanitize_line(group, 60)}", node) for node in members)
        variables = entries_at(document, keys, "matrix", "vars").values()
        found += (("The matrix", variable.value) for variable in variables)
    preload = entries_at(document, top, "hooks", "on_startup").get("preload")
    found += (("preload", node) for node in list_items(preload))
    for profile in entries_at(document, top, "profiles"):
        pins = entries_at(document, top, "profiles", profile, "pins").values()
        found += ((f"The profile {sanitize_line(profile, 60)}", pin.value) for pin in pins)
    for selector in entries_at(document, top, "selectors"):
        targets = list_items(entries_at(document, top, "selectors", selector).get("targets"))
        found += ((f"The selector {sanitize_line(selector, 60)}", node) for node in targets)
    priority = entries_at(document, top, "routing", "scheduler", "settings", "fifo", "priority")
    found += (("priority", rank.pair.key) for rank in priority.values())
    return found


def _remove_lines(text: str, entry: ModelEntry, *, flow: bool, last: bool) -> str:
    start = text.rfind("\n", 0, entry.key.start) + 1
    indentation = text[start : entry.key.start]
    if flow or indentation.strip(" \ufeff"):
        what = f"“{sanitize_line(entry.id, 80)}” shares its lines with other text."
        raise ConfigRefused(what, remedy="Remove it in the editor.", action=Action.EDIT_CONFIG)
    end = end_of_line(text, block_end(text, entry.pair))
    while start > 0:
        above = text.rfind("\n", 0, start - 1) + 1
        if not text[above:start].startswith(indentation + "#"):
            break
        start = above
    rest = text[end:].removeprefix("\r").removeprefix("\n")
    blank = text.rfind("\n", 0, start - 1) + 1 if start > 0 else 0
    # Of the blank lines above and below, one would be too many.
    if (
        start > 0
        and not text[blank:start].strip()
        and (last or not rest.partition("\n")[0].strip())
    ):
        start = blank
    if end < len(text):
        return text[:start] + rest
    return text[:start].removesuffix("\n").removesuffix("\r")
