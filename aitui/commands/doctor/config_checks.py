"""The server's config file on its machine: there, replaceable, valid, and the one it serves."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass

from aitui.commands.doctor.host_found import HostFound
from aitui.commands.doctor.so_far import SoFar
from aitui.domain.checks import Check, Status, failed, left_open, passed
from aitui.domain.clean import clean_line
from aitui.domain.config.document import Document
from aitui.domain.config.problems import Problem, problems
from aitui.domain.config.text import decode
from aitui.domain.config.tree import text_of
from aitui.domain.model import Kind, ListedModel
from aitui.errors import AituiError, ConfigRefused, FilePermissionDenied
from aitui.host.config_file import ConfigFile
from aitui.host.shell import Host
from aitui.host.transaction import Reading

THERE = "config file"
FOLDER = "config folder writable"
OWNER = "config file's owner"
VALID = "config file valid"
MODELS = "config file's models"

_SHOWN_PROBLEMS = 3
_SHOWN_MODELS = 5
_TRUE = frozenset({"true", "yes", "on", "y"})
_MENDS = "press 5, then e, to mend it in $EDITOR"


@dataclass(frozen=True, slots=True)
class Understood:
    """What the file says; `hidden` are models that the server keeps out of its list."""

    problems: tuple[Problem, ...]
    models: tuple[str, ...] = ()
    aliases: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    parses: bool = False


async def config_checks(
    config: ConfigFile, found: HostFound, so_far: SoFar
) -> AsyncIterator[Check]:
    """What is asked of the file; nothing is written, not even to see whether it could be."""
    names = (FOLDER, OWNER, VALID, MODELS)
    if found.blocked:
        for check in found.not_tried(THERE, *names):
            yield check
        return
    try:
        async with found.in_time():
            reading = await config.read()
    except AituiError as error:
        yield found.failed(THERE, error)
        for check in found.not_tried(*names, why=error.what):
            yield check
        return
    found.reading = reading
    yield passed(THERE, _reading_words(reading))
    yield await found.check(FOLDER, lambda: _may_replace(found.host, reading))
    yield await found.check(OWNER, lambda: _keeps_owner(found.host, reading))
    try:
        text = await asyncio.to_thread(decode, reading.content)
    except ConfigRefused as error:
        yield failed(VALID, error)
        yield next(found.not_tried(MODELS, why=error.what))
        return
    understood = await asyncio.to_thread(_understood, text)
    yield _valid(understood)
    yield _same_models(understood, so_far.listed)


def _reading_words(reading: Reading) -> str:
    path, real = clean_line(reading.path, 300), clean_line(reading.real_path, 300)
    leads = "" if path == real else f" is {real}"
    return f"{path}{leads}, {len(reading.content):,} bytes"


async def _may_replace(host: Host, reading: Reading) -> Check:
    """Each new file is made in the folder and then takes the old one's place."""
    folder = reading.real_path.rpartition("/")[0] or "/"
    shown = clean_line(folder, 300)
    statuses = {(await host.run(("test", right, folder))).status for right in ("-w", "-x")}
    if statuses - {0, 1}:
        return left_open(FOLDER, f"{shown}; the login can't ask: it has no command `test`")
    if 1 in statuses:
        refusal = FilePermissionDenied(
            f"No file can be made in {shown}",
            why="the login may not write there, or its disk is read-only",
            remedy=f"on {host.label}: ls -ld {shown}, then chown or chmod it",
        )
        return failed(FOLDER, refusal)
    if not reading.facts.mode & 0o200:
        seen = f"{shown}; the file itself is read-only, and would be replaced all the same"
        return left_open(FOLDER, seen, f"chmod u+w {clean_line(reading.real_path, 300)}")
    return passed(FOLDER, shown)


async def _keeps_owner(host: Host, reading: Reading) -> Check:
    owner, group = reading.facts.owner, reading.facts.group
    whose = f"user {owner}, group {group}"
    path = clean_line(reading.real_path, 300)
    user, groups = await _numbers(host, "-u"), await _numbers(host, "-G")
    if not user:
        return left_open(OWNER, f"{whose}; the login doesn't tell its own number")
    if user[0] != 0 and (owner != user[0] or group not in groups):
        refusal = FilePermissionDenied(
            f"{path} belongs to {whose}",
            why=f"the login is user {user[0]}, so a new file could not belong to them",
            remedy=f"on {host.label}, as root: chown {user[0]}:{groups[0] if groups else ''} {path}",
        )
        return failed(OWNER, refusal)
    return passed(OWNER, f"{whose}: a new file can belong to them too")


async def _numbers(host: Host, option: str) -> tuple[int, ...]:
    done = await host.run(("id", option))
    words = done.output.decode("ascii", "replace").split()
    return tuple(int(word) for word in words if word.isascii() and word.isdigit())


def _understood(text: str) -> Understood:
    wrong = problems(text)
    try:
        document = Document.read(text)
    except ConfigRefused:
        # Why is among the problems.
        return Understood(wrong)
    return Understood(
        wrong,
        tuple(block.id for block in document.models),
        frozenset(_other_names(document)),
        frozenset(name for name in document.entries if _is_hidden(document, name)),
        parses=True,
    )


def _other_names(document: Document) -> Iterator[str]:
    """Aliases, and the ids by which llama-swap gives a model other parameters."""
    for block in document.models:
        yield from block.aliases
    for entry in document.entries.values():
        filters = entry.keys.get("filters")
        named = document.merged.keys(filters.value).get("setParamsByID") if filters else None
        if named is not None:
            yield from document.merged.keys(named.value)


def _is_hidden(document: Document, name: str) -> bool:
    entry = document.entries[name].keys.get("unlisted")
    return entry is not None and (text_of(entry.value) or "").lower() in _TRUE


def _valid(understood: Understood) -> Check:
    wrong = understood.problems
    if not wrong:
        return passed(VALID, _count(len(understood.models), "model"))
    first = sorted(wrong, key=lambda problem: not problem.fatal)
    shown = [f"line {problem.line}: {problem.words}" for problem in first[:_SHOWN_PROBLEMS]]
    more = len(wrong) - len(shown)
    seen = "; ".join(shown) + (f"; and {more} more" if more else "")
    if any(problem.fatal for problem in wrong):
        return Check(VALID, Status.FAILED, f"llama-swap would not start with it: {seen}", _MENDS, 1)
    return left_open(VALID, f"llama-swap takes it, and yet: {seen}", _MENDS)


def _same_models(understood: Understood, listed: tuple[ListedModel, ...] | None) -> Check:
    if not understood.parses:
        return left_open(MODELS, "not tried: the file doesn't parse")
    if listed is None:
        return left_open(MODELS, "not tried: the server's list isn't known")
    served = {model.id for model in listed}
    others = understood.aliases | set(understood.models)
    # Aliases, peers, selectors and profiles stand in the list, and not under `models`.
    own = [model for model in listed if model.kind is Kind.MODEL and not model.peer]
    missing = [name for name in understood.models if name not in served | understood.hidden]
    strange = [model.id for model in own if model.id not in others]
    told = []
    if missing:
        told.append(f"not in the server's list: {_names(missing)}")
    if strange:
        told.append(f"not in the file: {_names(strange)}")
    if told:
        remedy = "H reloads the server (aitui reload); else preset_path names another file than its"
        return Check(MODELS, Status.FAILED, "; ".join(told), remedy, 1)
    return passed(MODELS, f"{_count(len(understood.models), 'model')}, as the server lists them")


def _names(names: Iterable[str]) -> str:
    every = [clean_line(name, 100) for name in names]
    more = len(every) - _SHOWN_MODELS
    return ", ".join(every[:_SHOWN_MODELS]) + (f" and {more} more" if more > 0 else "")


def _count(number: int, word: str) -> str:
    return f"1 {word}" if number == 1 else f"{number:,} {word}s"
