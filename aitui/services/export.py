"""Conversations written to files, and files read into prompts."""

import asyncio
from datetime import UTC, datetime
from json import dumps
from pathlib import Path

from msgspec import to_builtins

from aitui.domain.chat.conversation import (
    LONGEST_IN_PROMPT,
    TEXT_TYPE,
    Attachment,
    Conversation,
    Role,
    Turn,
    TurnState,
    append_text_file,
    decode_text_file,
    encode_image,
    image_type,
)
from aitui.domain.sanitize import sanitize_line
from aitui.errors import AituiError
from aitui.store.files import make_private_directory, write_named_file, write_new_file

LARGEST_FILE = 32 << 20
JSON_VERSION = 1


async def export_conversation(
    conversation: Conversation, name: str, directory: Path, *, json: bool
) -> Path:
    """Write a conversation as Markdown or JSON to a new file; return its path.

    A relative name is below `directory`; without a name the file is named after the title. Raises
    AituiError, and leaves no part of a file then; never overwrites a file.
    """
    text = conversation_as_markdown(conversation, reasoning=True)
    if json:
        text = conversation_as_json(conversation)
    suffix = ".json" if json else ".md"
    return await asyncio.to_thread(_write, directory, name, conversation.heading, suffix, text)


async def write_text(directory: Path, heading: str, suffix: str, text: str) -> Path:
    """Write a new file that is named after a heading, and return its path; raises AituiError."""
    return await asyncio.to_thread(_write, directory, "", heading, suffix, text)


async def attach_file(prompt: str, name: str) -> tuple[str, Attachment | None]:
    """Read a file into the prompt, or beside it if it is an image or long.

    Raises AituiError for what can't be read, is too large, or is neither text nor an image.
    """
    short = sanitize_line(name.rpartition("/")[2])
    content = await asyncio.to_thread(_read, name)
    try:
        if image_type(content):
            return prompt, encode_image(short, content)
        text = decode_text_file(short, content)
    except ValueError as error:
        raise AituiError(str(error)) from error
    if len(text) > LONGEST_IN_PROMPT:
        return prompt, Attachment(short, TEXT_TYPE, text)
    return append_text_file(prompt, short, text), None


def _write(directory: Path, name: str, heading: str, suffix: str, text: str) -> Path:
    path, content = directory / Path(name).expanduser(), text.encode()
    try:
        if not name:
            return write_named_file(directory, heading, suffix, content)
        if path.parent == directory:
            make_private_directory(directory)
        write_new_file(path, content)
    except FileExistsError as error:
        raise AituiError(f"{path} exists already", remedy="choose another name") from error
    except OSError as error:
        raise AituiError(f"{path} can't be written: {error.strerror}") from error
    return path


def _read(name: str) -> bytes:
    path = Path(name).expanduser()
    try:
        if not path.is_file():
            raise AituiError(f"{path} is not a file")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise AituiError(f"{path} can't be read: {error.strerror}") from error
    if len(content) > LARGEST_FILE:
        raise AituiError(f"{path} is larger than {LARGEST_FILE >> 20} MiB")
    return content


def conversation_as_markdown(conversation: Conversation, *, reasoning: bool = False) -> str:
    """Return the path that is shown; the reasoning, if wanted, as quotes before the replies."""
    parts = [f"# {conversation.heading}"]
    created = datetime.fromtimestamp(conversation.created, UTC) if conversation.created else None
    date = f"{created:%Y-%m-%d %H:%M} UTC" if created else ""
    facts = [part for part in (conversation.model, date) if part]
    if facts:
        parts.append(" · ".join(facts))
    if conversation.system:
        parts.append(f"**System**\n\n{conversation.system}")
    parts += [_markdown_turn(turn, reasoning=reasoning) for turn in conversation.path]
    return "\n\n".join(parts) + "\n"


def conversation_as_json(conversation: Conversation) -> str:
    """Return the whole tree with every fact, indented. `version` counts changes of its form."""
    value: dict[str, object] = {"version": JSON_VERSION, **to_builtins(conversation)}
    # Deleted and set: the long ones stand last.
    del value["sampling"], value["turns"]
    value["sampling"] = conversation.sampling.as_object()
    value["turns"] = [
        {**to_builtins(turn), "sampling": turn.sampling.as_object()}
        for turn in conversation.turns.values()
    ]
    return dumps(value, indent=2, ensure_ascii=False)


def _markdown_turn(turn: Turn, *, reasoning: bool) -> str:
    lines = [f"## {'You' if turn.role is Role.USER else turn.model or 'Assistant'}"]
    if reasoning and turn.reasoning:
        lines.append("\n".join(f"> {line}".rstrip() for line in turn.reasoning.splitlines()))
    lines += [f"*{attachment.name}* ({attachment.media_type})" for attachment in turn.attachments]
    if turn.text:
        lines.append(turn.text.strip("\n"))
    if turn.state is not TurnState.DONE:
        lines.append(f"*({turn.state.value})*")
    return "\n\n".join(lines)
