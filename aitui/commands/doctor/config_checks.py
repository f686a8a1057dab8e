"""The server's config file on its machine: there, replaceable, valid, and the one it serves."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass

from aitui.commands.doctor.host_found import HostFindings
from aitui.commands.doctor.so_far import ServerFindings
from aitui.domain.checks import (
    CheckResult,
    CheckStatus,
    failing_check,
    inconclusive_check,
    passing_check,
)
from aitui.domain.clean import sanitize_line
from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.problems import Diagnostic, find_diagnostics
from aitui.domain.config.text import decode_config
from aitui.domain.config.tree import scalar_text
from aitui.domain.model import ListedModel, ModelKind
from aitui.errors import AituiError, ConfigRefused, FilePermissionDenied
from aitui.host.config_file import ConfigFile
from aitui.host.shell import Host
from aitui.host.transaction import FileSnapshot

CONFIG_FILE = "config file"
FOLDER = "config folder writable"
OWNER = "config file's owner"
VALID = "config file valid"
MODELS = "config file's models"

_SHOWN_DIAGNOSTICS = 3
_SHOWN_MODELS = 5
_TRUE = frozenset({"true", "yes", "on", "y"})
_REMEDY = "press 5, then e, to mend it in $EDITOR"


@dataclass(frozen=True, slots=True)
class ConfigFindings:
    """What the file says; `hidden` are models that the server keeps out of its list."""

    diagnostics: tuple[Diagnostic, ...]
    models: tuple[str, ...] = ()
    aliases: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    parses: bool = False


async def config_checks(
    config: ConfigFile, found: HostFindings, so_far: ServerFindings
) -> AsyncIterator[CheckResult]:
    """What is asked of the file; nothing is written, not even to see whether it could be."""
    names = (FOLDER, OWNER, VALID, MODELS)
    if found.blocked:
        for check in found.inconclusive_checks(CONFIG_FILE, *names):
            yield check
        return
    try:
        async with found.time_limit():
            reading = await config.read()
    except AituiError as error:
        yield found.failing_check(CONFIG_FILE, error)
        for check in found.inconclusive_checks(*names, why=error.what):
            yield check
        return
    found.reading = reading
    yield passing_check(CONFIG_FILE, _describe_file(reading))
    yield await found.run_check(FOLDER, lambda: _folder_check(found.host, reading))
    yield await found.run_check(OWNER, lambda: _owner_check(found.host, reading))
    try:
        text = await asyncio.to_thread(decode_config, reading.content)
    except ConfigRefused as error:
        yield failing_check(VALID, error)
        yield next(found.inconclusive_checks(MODELS, why=error.what))
        return
    understood = await asyncio.to_thread(_parse_config, text)
    yield _validity_check(understood)
    yield _models_check(understood, so_far.models)


def _describe_file(reading: FileSnapshot) -> str:
    path, real = sanitize_line(reading.path, 300), sanitize_line(reading.real_path, 300)
    leads = "" if path == real else f" is {real}"
    return f"{path}{leads}, {len(reading.content):,} bytes"


async def _folder_check(host: Host, reading: FileSnapshot) -> CheckResult:
    """Each new file is made in the folder and then takes the old one's place."""
    folder = reading.real_path.rpartition("/")[0] or "/"
    shown = sanitize_line(folder, 300)
    statuses = {(await host.run(("test", right, folder))).status for right in ("-w", "-x")}
    if statuses - {0, 1}:
        return inconclusive_check(FOLDER, f"{shown}; the login can't ask: it has no command `test`")
    if 1 in statuses:
        refusal = FilePermissionDenied(
            f"No file can be made in {shown}",
            why="the login may not write there, or its disk is read-only",
            remedy=f"on {host.label}: ls -ld {shown}, then chown or chmod it",
        )
        return failing_check(FOLDER, refusal)
    if not reading.facts.mode & 0o200:
        seen = f"{shown}; the file itself is read-only, and would be replaced all the same"
        return inconclusive_check(
            FOLDER, seen, f"chmod u+w {sanitize_line(reading.real_path, 300)}"
        )
    return passing_check(FOLDER, shown)


async def _owner_check(host: Host, reading: FileSnapshot) -> CheckResult:
    owner, group = reading.facts.owner, reading.facts.group
    whose = f"user {owner}, group {group}"
    path = sanitize_line(reading.real_path, 300)
    user, groups = await _login_ids(host, "-u"), await _login_ids(host, "-G")
    if not user:
        return inconclusive_check(OWNER, f"{whose}; the login doesn't tell its own number")
    if user[0] != 0 and (owner != user[0] or group not in groups):
        refusal = FilePermissionDenied(
            f"{path} belongs to {whose}",
            why=f"the login is user {user[0]}, so a new file could not belong to them",
            remedy=f"on {host.label}, as root: chown {user[0]}:{groups[0] if groups else ''} {path}",
        )
        return failing_check(OWNER, refusal)
    return passing_check(OWNER, f"{whose}: a new file can belong to them too")


async def _login_ids(host: Host, option: str) -> tuple[int, ...]:
    done = await host.run(("id", option))
    words = done.stdout.decode("ascii", "replace").split()
    return tuple(int(word) for word in words if word.isascii() and word.isdigit())


def _parse_config(text: str) -> ConfigFindings:
    wrong = find_diagnostics(text)
    try:
        document = ConfigDocument.read(text)
    except ConfigRefused:
        # Why is among the problems.
        return ConfigFindings(wrong)
    return ConfigFindings(
        wrong,
        tuple(block.id for block in document.models),
        frozenset(_other_names(document)),
        frozenset(name for name in document.entries if _is_hidden(document, name)),
        parses=True,
    )


def _other_names(document: ConfigDocument) -> Iterator[str]:
    """Aliases, and the ids by which llama-swap gives a model other parameters."""
    for block in document.models:
        yield from block.aliases
    for entry in document.entries.values():
        filters = entry.keys.get("filters")
        named = document.merged.keys(filters.value).get("setParamsByID") if filters else None
        if named is not None:
            yield from document.merged.keys(named.value)


def _is_hidden(document: ConfigDocument, name: str) -> bool:
    entry = document.entries[name].keys.get("unlisted")
    return entry is not None and (scalar_text(entry.value) or "").lower() in _TRUE


def _validity_check(understood: ConfigFindings) -> CheckResult:
    wrong = understood.diagnostics
    if not wrong:
        return passing_check(VALID, _format_count(len(understood.models), "model"))
    first = sorted(wrong, key=lambda problem: not problem.fatal)
    shown = [f"line {problem.line}: {problem.words}" for problem in first[:_SHOWN_DIAGNOSTICS]]
    more = len(wrong) - len(shown)
    seen = "; ".join(shown) + (f"; and {more} more" if more else "")
    if any(problem.fatal for problem in wrong):
        return CheckResult(
            VALID, CheckStatus.FAILED, f"llama-swap would not start with it: {seen}", _REMEDY, 1
        )
    return inconclusive_check(VALID, f"llama-swap takes it, and yet: {seen}", _REMEDY)


def _models_check(
    understood: ConfigFindings, listed: tuple[ListedModel, ...] | None
) -> CheckResult:
    if not understood.parses:
        return inconclusive_check(MODELS, "not tried: the file doesn't parse")
    if listed is None:
        return inconclusive_check(MODELS, "not tried: the server's list isn't known")
    served = {model.id for model in listed}
    others = understood.aliases | set(understood.models)
    # Aliases, peers, selectors and profiles stand in the list, and not under `models`.
    own = [model for model in listed if model.kind is ModelKind.MODEL and not model.peer]
    missing = [name for name in understood.models if name not in served | understood.hidden]
    strange = [model.id for model in own if model.id not in others]
    told = []
    if missing:
        told.append(f"not in the server's list: {_format_names(missing)}")
    if strange:
        told.append(f"not in the file: {_format_names(strange)}")
    if told:
        remedy = "H reloads the server (aitui reload); else preset_path names another file than its"
        return CheckResult(MODELS, CheckStatus.FAILED, "; ".join(told), remedy, 1)
    return passing_check(
        MODELS, f"{_format_count(len(understood.models), 'model')}, as the server lists them"
    )


def _format_names(names: Iterable[str]) -> str:
    every = [sanitize_line(name, 100) for name in names]
    more = len(every) - _SHOWN_MODELS
    return ", ".join(every[:_SHOWN_MODELS]) + (f" and {more} more" if more > 0 else "")


def _format_count(number: int, word: str) -> str:
    return f"1 {word}" if number == 1 else f"{number:,} {word}s"
