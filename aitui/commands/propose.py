"""A change of the config file as it would be: read, edited and checked, and nothing written."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aitui.commands.administration import Administration
from aitui.domain.amounts import format_seconds
from aitui.domain.clean import clean_line
from aitui.domain.config.change import Change, change_flag, change_key
from aitui.domain.config.document import Document
from aitui.domain.config.problems import Problem, new_fatal_problems, problems
from aitui.domain.config.text import decode, encode
from aitui.domain.config.values import Where
from aitui.domain.memory.fit_words import fit_facts
from aitui.domain.model import Model
from aitui.domain.question import Question
from aitui.domain.snapshot import Snapshot
from aitui.domain.unloading import unload_words
from aitui.errors import ConfigRefused
from aitui.host.transaction import Reading

CONTEXT_SIZE = "ctx-size"
LONGEST = 300
MOST_DOUBTS = 5
CONTEXT_SIZE_FLAGS = frozenset({"-c", "--ctx-size", "LLAMA_ARG_CTX_SIZE"})
KEYS = frozenset({"ttl"})
"""What is no flag of llama-server but a key of llama-swap's own."""

Edit = Callable[[Document], Change]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What stands there now, and what would."""

    reading: Reading
    change: Change
    doubts: tuple[Problem, ...] = ()
    """What is wrong with the new text, though llama-swap would come up with it."""
    notes: tuple[str, ...] = ()
    """What else is to be known of it, in sentences."""

    @property
    def content(self) -> bytes:
        """The bytes that would be written."""
        return encode(self.change.after)


def flag_edit(model_id: str, flag: str, value: str, *, only_this_model: bool = False) -> Edit:
    """Gives a flag of llama-server, or a key of llama-swap's such as `ttl`, another value."""

    def edit(document: Document) -> Change:
        change = change_key if flag in KEYS else change_flag
        named = (block.id for block in document.models if model_id in {block.id, *block.aliases})
        return change(document, next(named, model_id), flag, value, only_this_model=only_this_model)

    return edit


async def propose(admin: Administration, edit: Edit) -> Proposal:
    """What an edit would make of the config file as it is now.

    Raises HostError, and ConfigRefused where it can't be made safely.
    """
    reading = await admin.config.read()
    change, found = await asyncio.to_thread(_edited, reading.content, edit)
    return Proposal(reading, change, found)


def check(before: bytes, content: bytes) -> None:
    """Raises ConfigRefused where llama-swap would not come up with a file any more; blocks.

    What was wrong before and is so still doesn't stand in the way of another value.
    """
    fatal = new_fatal_problems(decode(before), decode(content))
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


def question_before_change(
    proposal: Proposal, snapshot: Snapshot | None, *, whole_diff: bool = True
) -> Question:
    """What a change will hit: the lines, the models that change with it, and whose work is cut.

    `snapshot` is None where the change is only written, and takes effect later.
    """
    change = proposal.change
    facts = [f"! line {doubt.line}: {doubt.words}" for doubt in proposal.doubts[:MOST_DOUBTS]]
    facts += proposal.notes
    if change.also:
        place = {Where.MACRO: "macro", Where.ANCHOR: "anchor"}.get(change.where, "text")
        name = f"the {place} {change.shared_name} " if change.shared_name else "it "
        others = clean_line(", ".join(change.also), LONGEST)
        facts.append(f"! {name}is shared: {others} would change as well")
    if snapshot is not None:
        facts += consequences(snapshot, change.model)
        facts += _fit_facts(change, snapshot)
    lines = (change.difference if whole_diff else change.changed_lines).splitlines()
    model = clean_line(change.model, LONGEST)
    title = f"Change {model or 'the config file'}"
    if change.flag:
        title = f"Change {change.flag} of {model}"
    elif model:
        title = f"Add {model}" if change.added else f"Remove {model}"
    if change.flag and change.new is not None:
        title += f" to {clean_line(change.new, LONGEST)}"
    return Question(
        f"{title}?",
        tuple(facts),
        yes=title.partition(" ")[0],
        difference=tuple(lines[2:] if whole_diff else lines),
        other=f"only {model}" if change.also else "",
    )


def consequences(snapshot: Snapshot, then_loads: str = "") -> list[str]:
    """Whom a reload or a restart hits, in sentences."""
    resident = snapshot.resident
    facts = [f"{unload_words(model)}{_use(model)}" for model in resident]
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
        name = clean_line(then_loads, LONGEST)
        facts.append(f"then loads {name}{took}, and looks whether it took effect")
    return facts


def _fit_facts(change: Change, snapshot: Snapshot) -> tuple[str, ...]:
    """Whether the model fits with its new context size, once everything has been unloaded."""
    of_context = change.flag in CONTEXT_SIZE_FLAGS and change.new is not None
    if not of_context or not (change.new or "").isdecimal():
        return ()
    goes = [model.id for model in snapshot.resident]
    return fit_facts(snapshot.hardware.fit(change.model, int(change.new or 0), goes))


def _use(model: Model) -> str:
    if not model.requests:
        return ""
    return ", 1 request there" if model.requests == 1 else f", {model.requests} requests there"


def doubts(before: str, after: str) -> tuple[Problem, ...]:
    """What is wrong now and wasn't before, wherever it stands; blocks."""
    known = {problem.words for problem in problems(before)}
    return tuple(problem for problem in problems(after) if problem.words not in known)


def _edited(content: bytes, edit: Edit) -> tuple[Change, tuple[Problem, ...]]:
    change = edit(Document.read(decode(content)))
    check(content, encode(change.after))
    return change, doubts(change.before, change.after)
