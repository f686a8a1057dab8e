"""The whole config file edited by hand, models put into it and taken out: proposals like others."""

import asyncio
import posixpath
import re
from collections.abc import Sequence
from dataclasses import replace

from aitui.commands.administration import Administration
from aitui.commands.propose import Proposal, check, doubts, propose
from aitui.domain.clean import clean_line
from aitui.domain.config.blocks import model_folders, named_files, new_block, remove_model
from aitui.domain.config.change import Change
from aitui.domain.config.document import Document
from aitui.domain.config.text import decode
from aitui.domain.config.values import Where
from aitui.errors import HostFileError
from aitui.host.shell import FileKind
from aitui.host.transaction import Reading

_LATER_SHARD = re.compile(r"-(?!00001-of-)\d{5}-of-\d{5}\.gguf\Z", re.IGNORECASE)
_NO_MODEL = re.compile(r"(?:\A|[-_.])mmproj[-_.]", re.IGNORECASE)
_ENDING = re.compile(r"(?:-00001-of-\d{5})?\.gguf\Z", re.IGNORECASE)


async def propose_content(reading: Reading, content: bytes) -> Proposal | None:
    """The file as somebody has edited it, None where it is as it was.

    Raises ConfigRefused, with line and column, where llama-swap would not come up with it.
    """
    if content == reading.content:
        return None
    await asyncio.to_thread(check, reading.content, content)
    before, after = decode(reading.content), decode(content)
    change = Change(before, after, model="", flag="", old=None, new=None, where=Where.KEY)
    return Proposal(reading, change, await asyncio.to_thread(doubts, before, after))


async def unnamed_files(admin: Administration) -> tuple[str, ...]:
    """The GGUF files that lie in the folders of the config's models and that no block names.

    Of a split model the first part alone, of vision projectors none. Raises HostError.
    """
    reading = await admin.config.read()
    document = await asyncio.to_thread(Document.read, decode(reading.content))
    named = named_files(document)
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
            if is_file and _is_model(entry.name) and path not in named:
                found.append(path)
    return tuple(found)


def id_for(path: str) -> str:
    """The id that a file's name suggests."""
    return _ENDING.sub("", posixpath.basename(path))


async def propose_model(
    admin: Administration, path: str, *, likely: Sequence[str] = ()
) -> Proposal:
    """A block for that file with the flags of another model's.

    That one is the first of `likely` which has a block, such as models that are known to run, else
    the last of the file.
    """
    chosen: list[str] = []

    def edit(document: Document) -> Change:
        known = {block.id for block in document.models}
        like = next((model_id for model_id in likely if model_id in known), None)
        chosen.extend([like] if like else [])
        return new_block(document, id_for(path), path, like=like)

    proposal = await propose(admin, edit)
    note = f"its flags are those of {clean_line(chosen[0], 120)}" if chosen else ""
    return replace(proposal, notes=(note,) if note else ())


async def propose_removal(admin: Administration, model_id: str) -> Proposal:
    """The file without that model. Raises ConfigRefused where something else names it."""
    return await propose(admin, lambda document: remove_model(document, model_id))


def _is_model(name: str) -> bool:
    return (
        name.lower().endswith(".gguf")
        and not _LATER_SHARD.search(name)
        and not _NO_MODEL.search(name)
    )
