"""Copies text to where its user can paste it from, also over SSH: tmux, the terminal, or a file."""

import asyncio
import base64
from collections.abc import Callable, Mapping
from pathlib import Path

from aitui.commands.clipboards import LARGEST_COPY, supports_osc52
from aitui.errors import AituiError
from aitui.store.private_file import make_private_directory, replace_atomically

FILE_NAME = "clipboard.txt"
_TMUX_BUFFER_TIMEOUT = 5.0


async def copy_text(
    text: str, environment: Mapping[str, str], write: Callable[[str], None], folder: Path
) -> str:
    """Copy it in the best of three ways; returns where it went, in words.

    `write` sends to the terminal, `folder` takes the file. Raises AituiError.
    """
    content = text.encode("utf-8", "replace")
    if environment.get("TMUX") and await _copy_to_tmux(content, environment):
        return "to tmux's buffer"
    if len(content) <= LARGEST_COPY and supports_osc52(environment):
        write(f"\x1b]52;c;{base64.b64encode(content).decode()}\x07")
        return "to the terminal's clipboard"
    file = folder / FILE_NAME
    await asyncio.to_thread(_copy_to_file, file, content)
    return f"to {file}"


async def _copy_to_tmux(content: bytes, environment: Mapping[str, str]) -> bool:
    """Whether tmux took it. It passes it on to the terminal's clipboard, where it may."""
    # tmux before 3.2 has no -w.
    for options in (("-w",), ()):
        if await _load_tmux_buffer(content, environment, options):
            return True
    return False


async def _load_tmux_buffer(
    content: bytes, environment: Mapping[str, str], options: tuple[str, ...]
) -> bool:
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
        async with asyncio.timeout(_TMUX_BUFFER_TIMEOUT):
            await process.communicate(content)
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode == 0


def _copy_to_file(file: Path, content: bytes) -> None:
    try:
        make_private_directory(file.parent)
        replace_atomically(file, content)
    except OSError as error:
        raise AituiError(
            "Nothing could be copied",
            why=f"the terminal takes no text, and {file} can't be written: {error.strerror}",
            remedy="set XDG_STATE_HOME to a folder that can be written",
        ) from error
