"""A change of the config file as it would be: read, edited and checked, and nothing written."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aitui.commands.administration import HostAdmin
from aitui.domain.amounts import format_seconds
from aitui.domain.clean import sanitize_line
from aitui.domain.config.change import ConfigChange, change_flag, change_key
from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.problems import Diagnostic, find_diagnostics, new_fatal_diagnostics
from aitui.domain.config.text import decode_config, encode_config
from aitui.domain.config.values import ValueSource
from aitui.domain.memory.fit_words import describe_fit
from aitui.domain.model import Model
from aitui.domain.question import Confirmation
from aitui.domain.snapshot import Snapshot
from aitui.domain.unloading import describe_unload
from aitui.errors import ConfigRefused
from aitui.host.transaction import FileSnapshot

CONTEXT_SIZE = "ctx-size"
LONGEST_LABEL = 300
MOST_DIAGNOSTICS_SHOWN = 5
CONTEXT_SIZE_FLAGS = frozenset({"-c", "--ctx-size", "LLAMA_ARG_CTX_SIZE"})
KEYS = frozenset({"ttl"})
"""What is no flag of llama-server but a key of llama-swap's own."""

Edit = Callable[[ConfigDocument], ConfigChange]


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """What stands there now, and what would."""

    reading: FileSnapshot
    change: ConfigChange
    diagnostics: tuple[Diagnostic, ...] = ()
    """What is wrong with the new text, though llama-swap would come up with it."""
    notes: tuple[str, ...] = ()
    """What else is to be known of it, in sentences."""

    @property
    def content(self) -> bytes:
        """The bytes that would be written."""
        return encode_config(self.change.after)


def flag_edit(model_id: str, flag: str, value: str, *, only_this_model: bool = False) -> Edit:
    """Gives a flag of llama-server, or a key of llama-swap's such as `ttl`, another value."""

    def edit(document: ConfigDocument) -> ConfigChange:
        change = change_key if flag in KEYS else change_flag
        named = (block.id for block in document.models if model_id in {block.id, *block.aliases})
        return change(document, next(named, model_id), flag, value, only_this_model=only_this_model)

    return edit


async def plan_change(admin: HostAdmin, edit: Edit) -> ChangePlan:
    """What an edit would make of the config file as it is now.

    Raises HostError, and ConfigRefused where it can't be made safely.
    """
    reading = await admin.config.read()
    change, found = await asyncio.to_thread(_apply_edit, reading.content, edit)
    return ChangePlan(reading, change, found)


def require_startable(before: bytes, content: bytes) -> None:
    """Raises ConfigRefused where llama-swap would not come up with a file any more; blocks.

    What was wrong before and is so still doesn't stand in the way of another value.
    """
    fatal = new_fatal_diagnostics(decode_config(before), decode_config(content))
    if fatal:
        first = fatal[0]
        more = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
        raise ConfigRefused(
            f"{first.words}{more}",
            line=first.line,
            column=first.column,
            why="llama-swap would not come up with that file",
            remedy="mend that line first: view 5, e edits the file",
        )


def change_confirmation(
    proposal: ChangePlan, snapshot: Snapshot | None, *, whole_diff: bool = True
) -> Confirmation:
    """What a change will hit: the lines, the models that change with it, and whose work is cut.

    `snapshot` is None where the change is only written, and takes effect later.
    """
    change = proposal.change
    facts = [
        f"! line {doubt.line}: {doubt.words}"
        for doubt in proposal.diagnostics[:MOST_DIAGNOSTICS_SHOWN]
    ]
    facts += proposal.notes
    if change.also:
        place = {ValueSource.MACRO: "macro", ValueSource.ANCHOR: "anchor"}.get(change.where, "text")
        name = f"the {place} {change.shared_name} " if change.shared_name else "it "
        others = sanitize_line(", ".join(change.also), LONGEST_LABEL)
        facts.append(f"! {name}is shared: {others} would change as well")
    if snapshot is not None:
        facts += consequences(snapshot, change.model)
        facts += _fit_facts(change, snapshot)
    lines = (change.diff if whole_diff else change.diff_lines).splitlines()
    model = sanitize_line(change.model, LONGEST_LABEL)
    title = f"Change {model or 'the config file'}"
    if change.flag:
        title = f"Change {change.flag} of {model}"
    elif model:
        title = f"Add {model}" if change.added else f"Remove {model}"
    if change.flag and change.new is not None:
        title += f" to {sanitize_line(change.new, LONGEST_LABEL)}"
    return Confirmation(
        f"{title}?",
        tuple(facts),
        yes=title.partition(" ")[0],
        diff=tuple(lines[2:] if whole_diff else lines),
        other=f"only {model}" if change.also else "",
    )


def consequences(snapshot: Snapshot, then_loads: str = "") -> list[str]:
    """Whom a reload or a restart hits, in sentences."""
    resident = snapshot.resident
    facts = [f"{describe_unload(model)}{_request_count(model)}" for model in resident]
    for request in snapshot.requests.running or ():
        agent = f" · {request.user_agent}" if request.user_agent else ""
        facts.append(
            f"cuts the request of {request.client or 'somebody'}{agent} at {request.model}"
        )
    if snapshot.requests.running is None and snapshot.requests.total:
        facts.append(f"cuts {snapshot.requests.total} running requests")
    if not resident:
        facts.append("No model is loaded: nobody is cut.")
    elif snapshot.requests.total == 0:
        facts.append("No request runs there.")
    if then_loads:
        model = snapshot.model(then_loads)
        expected = model.expected_load if model else None
        took = f", which took {format_seconds(expected)} before" if expected else ""
        name = sanitize_line(then_loads, LONGEST_LABEL)
        facts.append(f"then loads {name}{took}, and looks whether it took effect")
    return facts


def _fit_facts(change: ConfigChange, snapshot: Snapshot) -> tuple[str, ...]:
    """Whether the model fits with its new context size, once everything has been unloaded."""
    of_context = change.flag in CONTEXT_SIZE_FLAGS and change.new is not None
    if not of_context or not (change.new or "").isdecimal():
        return ()
    goes = [model.id for model in snapshot.resident]
    return describe_fit(snapshot.hardware.fit(change.model, int(change.new or 0), goes))


def _request_count(model: Model) -> str:
    if not model.requests:
        return ""
    return ", 1 request there" if model.requests == 1 else f", {model.requests} requests there"


def new_diagnostics(before: str, after: str) -> tuple[Diagnostic, ...]:
    """What is wrong now and wasn't before, wherever it stands; blocks."""
    known = {problem.words for problem in find_diagnostics(before)}
    return tuple(problem for problem in find_diagnostics(after) if problem.words not in known)


def _apply_edit(content: bytes, edit: Edit) -> tuple[ConfigChange, tuple[Diagnostic, ...]]:
    change = edit(ConfigDocument.read(decode_config(content)))
    require_startable(content, encode_config(change.after))
    return change, new_diagnostics(change.before, change.after)
