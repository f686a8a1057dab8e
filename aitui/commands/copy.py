"""Copies text to where its user can paste it from, also over SSH: tmux, the terminal, or a file."""

import asyncio
import base64
from collections.abc import Callable, Mapping
from pathlib import Path

from aitui.commands.clipboards import LONGEST, takes_clipboard
from aitui.errors import AituiError
from aitui.store.private_file import make_private_directory, replace_whole

FILE_NAME = "clipboard.txt"
_ANSWERS_WITHIN = 5.0


async def copy(
    text: str, environment: Mapping[str, str], write: Callable[[str], None], folder: Path
) -> str:
    """Copy it in the best of three ways; returns where it went, in words.

    `write` sends to the terminal, `folder` takes the file. Raises AituiError.
    """
    content = text.encode("utf-8", "replace")
    if environment.get("TMUX") and await _to_tmux(content, environment):
        return "to tmux's buffer"
    if len(content) <= LONGEST and takes_clipboard(environment):
        write(f"\x1b]52;c;{base64.b64encode(content).decode()}\x07")
        return "to the terminal's clipboard"
    file = folder / FILE_NAME
    await asyncio.to_thread(_to_file, file, content)
    return f"to {file}"


async def _to_tmux(content: bytes, environment: Mapping[str, str]) -> bool:
    """Whether tmux took it. It passes it on to the terminal's clipboard, where it may."""
    # tmux before 3.2 has no -w.
    for options in (("-w",), ()):
        if await _loaded(content, environment, options):
            return True
    return False


async def _loaded(content: bytes, environment: Mapping[str, str], options: tuple[str, ...]) -> bool:
    nowhere = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *("tmux", "load-buffer", *options, "-"),
            env=dict(environment),
            stdin=asyncio.subprocess.PIPE,
            stdout=nowhere,
            stderr=nowhere,
        )
    except OSError:  # TMUX came along from another machine, where it is installed
        return False
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN):
            await process.communicate(content)
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode == 0


def _to_file(file: Path, content: bytes) -> None:
    try:
        make_private_directory(file.parent)
        replace_whole(file, content)
    except OSError as error:
        raise AituiError(
            "Nothing could be copied",
            why=f"the terminal takes no text, and {file} can't be written: {error.strerror}",
            remedy="set XDG_STATE_HOME to a folder that can be written",
        ) from error
