"""The server's config file as it stands there, and what is to be said about it."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from aitui.commands.administration import HostAdmin
from aitui.domain.clean import sanitize_line, sanitize_text
from aitui.domain.config.document import ConfigDocument, ModelBlock
from aitui.domain.config.problems import Diagnostic, find_diagnostics
from aitui.domain.config.rules_reading import read_swap_rules
from aitui.domain.config.swap_rules import SwapRules
from aitui.domain.config.text import decode_config
from aitui.errors import ConfigRefused, HostError
from aitui.host.transaction import FileSnapshot
from aitui.host.unit_facts import UnitInfo


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The file. `where` is host and path; `newer` says, if so, that the server runs an older one.

    `in_force` is only set where the server surely runs what the file says. `models` is empty where
    the file doesn't parse: `problems` says why.
    """

    where: str
    reading: FileSnapshot
    text: str
    models: tuple[ModelBlock, ...]
    diagnostics: tuple[Diagnostic, ...]
    newer: str = ""
    contexts: Mapping[str, int] = field(default_factory=dict)
    """Tokens that the file gives each model, where it does."""
    commands: Mapping[str, str] = field(default_factory=dict)
    """What the file runs for each model, macros expanded."""
    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The variables that the file sets for each model."""
    in_force: bool = False
    swap_rules: SwapRules | None = None
    """Who may run beside whom; None where a server that read the file would refuse it."""


async def read_server_config(admin: HostAdmin) -> ServerConfig:
    """Read the file; raises HostError, and ConfigRefused where it is no text."""
    reading = await admin.config.read()
    text = await asyncio.to_thread(decode_config, reading.content)
    where = sanitize_line(f"{admin.host.label}:{reading.real_path}", 300)
    found = await asyncio.to_thread(_parse_config, where, reading, text)
    facts = await _read_unit_facts(admin)
    newer = _reload_hint(admin, reading, facts)
    in_force = not newer and await _is_server_file(admin, reading, facts)
    return replace(found, newer=newer, in_force=in_force)


async def _read_unit_facts(admin: HostAdmin) -> UnitInfo | None:
    """What systemd says of the server, None where it says nothing."""
    try:
        return await admin.service.facts()
    except HostError:
        return None


def _reload_hint(admin: HostAdmin, reading: FileSnapshot, facts: UnitInfo | None) -> str:
    """Says that the file was changed after the server read it; empty where it wasn't, or may not.

    llama-swap doesn't tell when it read its file: it does so at its start, at a reload of ours,
    and where it watches the file.
    """
    if facts is None or facts.watches_config or facts.started_at is None:
        return ""
    read_at = max(facts.started_at, admin.last_reload.at or 0.0)
    if reading.facts.modified <= read_at + 1.0:
        return ""
    changed = time.strftime("%H:%M", time.localtime(reading.facts.modified))
    return f"the file was changed at {changed}; the server has read it before, and doesn't watch it"


async def _is_server_file(admin: HostAdmin, reading: FileSnapshot, facts: UnitInfo | None) -> bool:
    """Whether it is known that the running server reads this file, and no other."""
    if facts is None or facts.started_at is None or facts.config_path is None:
        return False
    try:
        return await admin.host.resolve(facts.config_path) == reading.real_path
    except HostError:
        return False


def sanitize_config(preset: ServerConfig) -> str:
    """The text, fit for a terminal."""
    return sanitize_text(preset.text.removeprefix("\ufeff"))


def _parse_config(where: str, reading: FileSnapshot, text: str) -> ServerConfig:
    found = find_diagnostics(text)
    try:
        document = ConfigDocument.read(text)
        told = {block.id: document.context_size(block.id) for block in document.models}
        commands = {block.id: document.command(block.id) for block in document.models}
        environments = {block.id: document.variables(block.id) for block in document.models}
    except ConfigRefused:
        # Why is among the problems.
        return ServerConfig(where, reading, text, (), found)
    # A server that is given a file with fatal problems goes on with the one before.
    fatal = any(problem.fatal for problem in found)
    return ServerConfig(
        where,
        reading,
        text,
        document.models,
        found,
        contexts={name: size for name, size in told.items() if size},
        commands=commands,
        environments=environments,
        swap_rules=None if fatal else read_swap_rules(document),
    )
