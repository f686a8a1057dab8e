"""$EDITOR on a text, while the app steps aside."""

import asyncio
import os
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from aitui.domain.clean import clean_text
from aitui.errors import AituiError

if TYPE_CHECKING:
    from textual.app import App


TAKE_A_LINE = frozenset({"vi", "vim", "nvim", "nano", "emacs", "micro", "kak", "joe", "ne"})
"""Editors that begin at line N for `+N`."""


async def edited(app: "App[None]", text: str, *, suffix: str = ".md") -> str:
    """The text as it was left in $VISUAL or $EDITOR, or `vi`; the loop goes on meanwhile.

    Raises AituiError where the editor can't be started or fails: the text is as before then.
    """
    content = await edited_bytes(app, text.encode("utf-8"), suffix=suffix)
    try:
        return clean_text(content.decode("utf-8")).rstrip("\n")
    except UnicodeDecodeError as error:
        raise AituiError(f"The editor left something else than UTF-8: {error}") from error


async def edited_bytes(app: "App[None]", content: bytes, *, suffix: str, line: int = 0) -> bytes:
    """A file's content, byte for byte as the editor left it; it begins at `line` where it can.

    Raises AituiError where the editor can't be started or fails.
    """
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    file = await asyncio.to_thread(_written, content, suffix)
    place = [f"+{line}"] if line > 0 and Path(command[0]).name in TAKE_A_LINE else []
    try:
        with app.suspend():
            editor = await asyncio.create_subprocess_exec(*command, *place, str(file))
            status = await editor.wait()
        if status:
            raise AituiError(
                f"{command[0]} ended with status {status}", why="the text is as before"
            )
        return await asyncio.to_thread(file.read_bytes)
    except SuspendNotSupported as error:
        raise AituiError("An editor needs a terminal of its own, and there is none here") from error
    except OSError as error:
        raise AituiError(
            f"{command[0]} can't be used: {error}", remedy="set EDITOR to an editor of yours"
        ) from error
    finally:
        await asyncio.to_thread(file.unlink, missing_ok=True)


def _written(content: bytes, suffix: str) -> Path:
    with tempfile.NamedTemporaryFile("wb", prefix="aitui-", suffix=suffix, delete=False) as file:
        file.write(content)
    return Path(file.name)
