"""The whole config file edited by hand, models put into it and taken out: proposals like others."""

import asyncio
import posixpath
import re
from collections.abc import Sequence
from dataclasses import replace

from aitui.commands.administration import HostAdmin
from aitui.commands.propose import ChangePlan, new_diagnostics, plan_change, require_startable
from aitui.domain.clean import sanitize_line
from aitui.domain.config.blocks import add_model, model_files, model_folders, remove_model
from aitui.domain.config.change import ConfigChange
from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.text import decode_config
from aitui.domain.config.values import ValueSource
from aitui.errors import HostFileError
from aitui.host.shell import FileKind
from aitui.host.transaction import FileSnapshot

_LATER_SHARD = re.compile(r"-(?!00001-of-)\d{5}-of-\d{5}\.gguf\Z", re.IGNORECASE)
_PROJECTOR = re.compile(r"(?:\A|[-_.])mmproj[-_.]", re.IGNORECASE)
_MODEL_SUFFIX = re.compile(r"(?:-00001-of-\d{5})?\.gguf\Z", re.IGNORECASE)


async def plan_content(reading: FileSnapshot, content: bytes) -> ChangePlan | None:
    """The file as somebody has edited it, None where it is as it was.

    Raises ConfigRefused, with line and column, where llama-swap would not come up with it.
    """
    if content == reading.content:
        return None
    await asyncio.to_thread(require_startable, reading.content, content)
    before, after = decode_config(reading.content), decode_config(content)
    change = ConfigChange(
        before, after, model="", flag="", old=None, new=None, where=ValueSource.KEY
    )
    return ChangePlan(reading, change, await asyncio.to_thread(new_diagnostics, before, after))


async def find_unused_files(admin: HostAdmin) -> tuple[str, ...]:
    """The GGUF files that lie in the folders of the config's models and that no block names.

    Of a split model the first part alone, of vision projectors none. Raises HostError.
    """
    reading = await admin.config.read()
    document = await asyncio.to_thread(ConfigDocument.read, decode_config(reading.content))
    named = model_files(document)
    found: list[str] = []
    for folder in model_folders(document):
        try:
            entries = await admin.host.list(folder)
        except HostFileError:
            # One folder may be a disk that isn't mounted: the others count all the same.
            continue
        for entry in entries:
            path = posixpath.join(folder, entry.name)
            is_file = entry.kind in {FileKind.FILE, FileKind.LINK}
            if is_file and _is_model_file(entry.name) and path not in named:
                found.append(path)
    return tuple(found)


def suggest_id(path: str) -> str:
    """The id that a file's name suggests."""
    return _MODEL_SUFFIX.sub("", posixpath.basename(path))


async def plan_new_model(admin: HostAdmin, path: str, *, likely: Sequence[str] = ()) -> ChangePlan:
    """A block for that file with the flags of another model's.

    That one is the first of `likely` which has a block, such as models that are known to run, else
    the last of the file.
    """
    chosen: list[str] = []

    def edit(document: ConfigDocument) -> ConfigChange:
        known = {block.id for block in document.models}
        like = next((model_id for model_id in likely if model_id in known), None)
        chosen.extend([like] if like else [])
        return add_model(document, suggest_id(path), path, like=like)

    proposal = await plan_change(admin, edit)
    note = f"its flags are those of {sanitize_line(chosen[0], 120)}" if chosen else ""
    return replace(proposal, notes=(note,) if note else ())


async def plan_removal(admin: HostAdmin, model_id: str) -> ChangePlan:
    """The file without that model. Raises ConfigRefused where something else names it."""
    return await plan_change(admin, lambda document: remove_model(document, model_id))


def _is_model_file(name: str) -> bool:
    return (
        name.lower().endswith(".gguf")
        and not _LATER_SHARD.search(name)
        and not _PROJECTOR.search(name)
    )
