"""Conversations written to files, and files read into prompts."""

import asyncio
import os
from pathlib import Path

from aitui.domain.chat.conversation import (
    Conversation,
    ImageAttachment,
    append_text_file,
    encode_image,
    image_type,
)
from aitui.domain.export import conversation_as_json, conversation_as_markdown
from aitui.domain.sanitize import sanitize_line
from aitui.errors import AituiError
from aitui.store.files import make_private_directory

LARGEST_FILE = 32 << 20


async def export_conversation(
    conversation: Conversation, name: str, directory: Path, *, json: bool
) -> Path:
    """Write a conversation as Markdown or JSON to a new file; return its path.

    A relative name is below `directory`; without a name the file is named by the conversation. Raises
    AituiError; never overwrites a file.
    """
    text = conversation_as_markdown(conversation, reasoning=True)
    if json:
        text = conversation_as_json(conversation)
    name = name or f"{conversation.id[:12]}{'.json' if json else '.md'}"
    return await asyncio.to_thread(_write, directory, name, text)


async def attach_file(prompt: str, name: str) -> tuple[str, ImageAttachment | None]:
    """Read a file into the prompt, or as an image beside it.

    Raises AituiError for what can't be read, is too large, or is neither text nor an image.
    """
    short = sanitize_line(name.rpartition("/")[2])
    content = await asyncio.to_thread(_read, name)
    try:
        if image_type(content):
            return prompt, encode_image(short, content)
        return append_text_file(prompt, short, content), None
    except ValueError as error:
        raise AituiError(str(error)) from error


def _write(directory: Path, name: str, text: str) -> Path:
    path = directory / Path(name).expanduser()

    def open_private(path: str, flags: int) -> int:
        return os.open(path, flags, 0o600)

    try:
        if path.parent == directory:
            make_private_directory(directory)
        with open(path, "x", encoding="utf-8", opener=open_private) as file:
            file.write(text)
    except FileExistsError as error:
        raise AituiError(f"{path} exists already", remedy="give another name") from error
    except OSError as error:
        raise AituiError(f"{path} can't be written: {error.strerror}") from error
    return path


def _read(name: str) -> bytes:
    path = Path(name).expanduser()
    try:
        if not path.is_file():
            raise AituiError(f"{path} is no file")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise AituiError(f"{path} can't be read: {error.strerror}") from error
    if len(content) > LARGEST_FILE:
        raise AituiError(f"{path} is larger than {LARGEST_FILE >> 20} MiB")
    return content
