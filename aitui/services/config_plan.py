"""Plan a change of the config file: read, edit and check it, without writing."""

import asyncio
import posixpath
import re
from collections.abc import Callable

from msgspec import Struct

from aitui.domain.config.blocks import (
    model_files,
    model_folders,
    remove_model,
)
from aitui.domain.config.document import ConfigDocument, decode_config, encode_config
from aitui.domain.config.flag_edit import change_flag
from aitui.domain.config.key_edit import change_key
from aitui.domain.config.lint import Diagnostic, new_diagnostics
from aitui.domain.config.locate import ValueSource
from aitui.domain.config.preload import add_preload
from aitui.domain.config.sizes import format_context_size
from aitui.domain.config.text_merge import MergedText, find_conflict_mark
from aitui.domain.config.verify import ConfigChange
from aitui.domain.config.yaml_tree import parse_once
from aitui.domain.confirmation import Confirmation
from aitui.domain.memory.forecast import OffloadSlowdown, describe_fit
from aitui.domain.models import is_later_shard
from aitui.domain.release import ServerRelease
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import Snapshot
from aitui.domain.units import count_of, format_rate, format_seconds
from aitui.domain.unload_costs import describe_other_uses, unload_costs
from aitui.errors import Action, ConfigRefused, HostFileError, ValueUnchanged
from aitui.host.base import FileKind
from aitui.host.config_file import FileSnapshot
from aitui.services.host_admin import HostAdmin

CONTEXT_SIZE = "ctx-size"
LONGEST_LABEL = 300
MOST_DIAGNOSTICS_SHOWN = 5
CONTEXT_SIZE_FLAGS = frozenset({"-c", "--ctx-size", "LLAMA_ARG_CTX_SIZE"})
KEYS = frozenset({"ttl"})
"""Keys of llama-swap itself, no flags of llama-server."""

Edit = Callable[[ConfigDocument], ConfigChange]


class ChangePlan(Struct, frozen=True):
    """The text of the file now and after the change."""

    reading: FileSnapshot
    change: ConfigChange
    content: bytes
    """The new text, with which llama-swap starts."""
    diagnostics: tuple[Diagnostic, ...] = ()
    """Mistakes in the new text that don't keep llama-swap from starting."""
    notes: tuple[str, ...] = ()
    """More sentences about the change."""


def flag_edit(model_id: str, flag: str, value: str, *, only_this_model: bool = False) -> Edit:
    """Return the edit that gives a flag of llama-server, or a key such as `ttl`, another value."""

    def edit(document: ConfigDocument) -> ConfigChange:
        change = change_key if flag in KEYS else change_flag
        model = _resolve_id(document, model_id)
        return change(document, model, flag, value, only_this_model=only_this_model)

    return edit


async def read_document(admin: HostAdmin) -> ConfigDocument:
    """Read and parse the config file; raises HostError and ConfigRefused."""
    text = decode_config((await admin.config.read()).content)
    return await asyncio.to_thread(ConfigDocument.read, text, admin.server.llama_servers)


def _resolve_id(document: ConfigDocument, wanted: str) -> str:
    """Return the id of the model with that id or alias, `wanted` if there is none."""
    named = (block.id for block in document.models if wanted in {block.id, *block.aliases})
    return next(named, wanted)


async def plan_change(admin: HostAdmin, edit: Edit) -> ChangePlan:
    """Read the config file and apply an edit to its text.

    Raises HostError, and ConfigRefused if the edit can't be made safely.
    """
    reading = await admin.config.read()

    def plan() -> ChangePlan:
        with parse_once():
            change = edit(
                ConfigDocument.read(decode_config(reading.content), admin.server.llama_servers)
            )
            return _plan_of(reading, change, encode_config(change.after), admin.release())

    return await asyncio.to_thread(plan)


def _plan_of(
    reading: FileSnapshot, change: ConfigChange, content: bytes, release: ServerRelease
) -> ChangePlan:
    """Plan a change; blocks. Raises ConfigRefused if llama-swap would no longer start with it."""
    found = new_diagnostics(change.before, change.after, release)
    fatal = [problem for problem in found if problem.fatal]
    if fatal:
        first = fatal[0]
        more = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
        raise ConfigRefused(
            f"{first.words}{more}",
            line=first.line,
            column=first.column,
            why="llama-swap would not start with that file",
            remedy="fix that line first",
            action=Action.EDIT_CONFIG,
        )
    return ChangePlan(reading, change, content, found)


def change_confirmation(plan: ChangePlan, snapshot: Snapshot | None) -> Confirmation:
    """Confirm a change, with its lines, the models that change with it, and the work it cuts.

    `snapshot` is None if the change is only written, and takes effect later.
    """
    change = plan.change
    facts = [
        f"! line {doubt.line}: {doubt.words}" for doubt in plan.diagnostics[:MOST_DIAGNOSTICS_SHOWN]
    ]
    facts += plan.notes
    if change.also:
        place = {ValueSource.MACRO: "macro", ValueSource.ANCHOR: "anchor"}.get(change.where, "text")
        name = f"the {place} {change.shared_name} " if change.shared_name else "it "
        others = sanitize_line(", ".join(change.also), LONGEST_LABEL)
        facts.append(f"! {name}is shared: {others} would change as well")
    if snapshot is not None:
        loads = change.model if change.new is not None else ""
        facts += consequences(snapshot, loads, change.flag)
        facts += _fit_facts(change, snapshot)
    lines = change.diff.splitlines()
    model = sanitize_line(change.model, LONGEST_LABEL)
    title = f"Change {model or 'the config file'}"
    if change.flag:
        title = f"Change {change.flag} of {model}"
    elif model:
        title = f"Add {model}" if change.added else f"Remove {model}"
    elif change.added and change.new is not None:
        title = f"Preload {sanitize_line(change.new, LONGEST_LABEL)}"
    if change.flag and change.new is not None:
        new = sanitize_line(change.new, LONGEST_LABEL)
        of_context = change.flag in CONTEXT_SIZE_FLAGS and new.isdecimal()
        title += f" to {format_context_size(int(new)) if of_context else new}"
    return Confirmation(
        f"{title}?",
        tuple(facts),
        yes=title.partition(" ")[0],
        diff=tuple(lines[2:]),
        costs=() if snapshot is None else unload_costs(snapshot),
        other=f"only {model}" if change.also else "",
        no="Back" if change.flag in CONTEXT_SIZE_FLAGS else "Cancel",
    )


def consequences(snapshot: Snapshot, then_loads: str = "", flag: str = "") -> list[str]:
    """Describe in sentences what a reload or a restart cuts beside the requests of models that run.

    `then_loads` is the model that is loaded afterwards, with another value of `flag`.
    """
    facts = list(describe_other_uses(snapshot))
    if snapshot.requests.running is None and snapshot.requests.total:
        facts.append(f"cuts {count_of(snapshot.requests.total, 'running request')}")
    if not snapshot.resident:
        facts.append("No model is loaded, so no request is cut off.")
    elif snapshot.requests.total == 0:
        facts.append("No active requests.")
    if then_loads:
        model = snapshot.model(then_loads)
        expected = model.expected_load if model else None
        took = f", which took {format_seconds(expected)} before" if expected else ""
        if took and model and flag in CONTEXT_SIZE_FLAGS:
            took += f" with a context of {model.context.tokens:,}"
        name = sanitize_line(then_loads, LONGEST_LABEL)
        facts.append(f"Then {name} is loaded{took}, and the new value is verified.")
    return facts


def _fit_facts(change: ConfigChange, snapshot: Snapshot) -> tuple[str, ...]:
    """Say whether the model fits with its new context size, once everything is unloaded."""
    of_context = change.flag in CONTEXT_SIZE_FLAGS and change.new is not None
    if not of_context or not (change.new or "").isdecimal():
        return ()
    return describe_fit(snapshot.fit_alone(change.model, int(change.new or 0)))


def slowdown_text(slowdown: OffloadSlowdown) -> str:
    """Say how much slower the model is, and the probable reason."""
    return (
        f"{format_rate(slowdown.rate)} tok/s with {slowdown.context_size:,} tokens, down from "
        f"{format_rate(slowdown.usual)} tok/s with {slowdown.context_before:,}: "
        "part of the model is probably no longer in GPU memory"
    )


def revert_context_confirmation(slowdown: OffloadSlowdown) -> Confirmation:
    """Offer the former context size; the change itself is confirmed separately."""
    return Confirmation(
        f"{slowdown.model} has become slow. Change its context back to {slowdown.context_before:,}?",
        (
            slowdown_text(slowdown),
            "You confirm the change, and what it unloads and cuts off, first.",
        ),
        yes="Show the change",
        no="Keep it",
        unprompted=True,
    )


_PROJECTOR = re.compile(r"(?:\A|[-_.])mmproj[-_.]", re.IGNORECASE)


async def plan_content(
    admin: HostAdmin, reading: FileSnapshot, content: bytes
) -> ChangePlan | None:
    """Plan the file as the user edited it; None if nothing was changed.

    Raises ConfigRefused, with line and column, if llama-swap would not start with it.
    """
    if content == reading.content:
        return None
    if (mark := find_conflict_mark(content)) is not None:
        raise ConfigRefused(
            "A conflict is not resolved yet.",
            line=mark,
            remedy="Keep the lines you need and remove the conflict markers.",
        )
    before, after = decode_config(reading.content), decode_config(content)
    change = ConfigChange(
        before, after, model="", flag="", old=None, new=None, where=ValueSource.KEY
    )
    return await asyncio.to_thread(_plan_of, reading, change, content, admin.release())


MERGED_NOTE = "! your edit, merged with the changes made meanwhile"


def resolve_confirmation(merged: MergedText) -> Confirmation:
    """Offer to resolve the conflicts of an edit with another program's changes."""
    lines = ", ".join(map(str, merged.conflicts[:MOST_DIAGNOSTICS_SHOWN]))
    return Confirmation(
        "Resolve the conflicts in the editor?",
        (
            "Meanwhile, another program changed the same lines of the file.",
            f"{count_of(len(merged.conflicts), 'conflict')}, marked with both versions: line {lines}.",
        ),
        yes="Resolve",
        no="Save the edit to a file",
        unprompted=True,
    )


async def find_unused_files(admin: HostAdmin) -> tuple[str, ...]:
    """List the GGUF files in the folders of the config's models that no block names.

    Of a split model only the first part counts, a vision projector never. Raises HostError.
    """
    document = await read_document(admin)
    named = model_files(document)
    found: list[str] = []
    for folder in model_folders(document):
        try:
            entries = await admin.host.list(folder)
        except HostFileError:
            # One folder may be on a disk that isn't mounted: the others still count.
            continue
        for entry in entries:
            path = posixpath.join(folder, entry.name)
            is_file = entry.kind in {FileKind.FILE, FileKind.LINK}
            if is_file and is_model_file(entry.name) and path not in named:
                found.append(path)
    return tuple(found)


async def plan_preload(admin: HostAdmin, model_id: str) -> ChangePlan:
    """Plan to load a model, by id or alias, when llama-swap starts.

    Raises ConfigRefused, HostError, and ValueUnchanged if the file says so already.
    """

    def edit(document: ConfigDocument) -> ConfigChange:
        return add_preload(document, _resolve_id(document, model_id))

    plan = await plan_change(admin, edit)
    if not plan.change.diff:
        raise ValueUnchanged(
            f"{sanitize_line(model_id, LONGEST_LABEL)} is loaded at the start already"
        )
    return plan


async def plan_removal(admin: HostAdmin, model_id: str) -> ChangePlan:
    """Plan the file without that model. Raises ConfigRefused if something else names it."""
    return await plan_change(admin, lambda document: remove_model(document, model_id))


def is_model_file(name: str) -> bool:
    """Whether a file is a model by its name: no projector, and of a split one the first part."""
    return (
        name.lower().endswith(".gguf") and not is_later_shard(name) and not _PROJECTOR.search(name)
    )
