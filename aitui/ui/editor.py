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


async def edited(app: "App[None]", text: str, *, suffix: str = ".md") -> str:
    """The text as it was left in $VISUAL or $EDITOR, or `vi`; the loop goes on meanwhile.

    Raises AituiError where the editor can't be started or fails: the text is as before then.
    """
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    file = await asyncio.to_thread(_written, text, suffix)
    try:
        with app.suspend():
            editor = await asyncio.create_subprocess_exec(*command, str(file))
            status = await editor.wait()
        if status:
            raise AituiError(
                f"{command[0]} ended with status {status}", why="the text is as before"
            )
        return clean_text(await asyncio.to_thread(file.read_text, encoding="utf-8")).rstrip("\n")
    except SuspendNotSupported as error:
        raise AituiError("An editor needs a terminal of its own, and there is none here") from error
    except (OSError, UnicodeDecodeError) as error:
        raise AituiError(
            f"{command[0]} can't be used: {error}", remedy="set EDITOR to an editor of yours"
        ) from error
    finally:
        await asyncio.to_thread(file.unlink, missing_ok=True)


def _written(text: str, suffix: str) -> Path:
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix="aitui-", suffix=suffix, delete=False
    ) as file:
        file.write(text)
    return Path(file.name)
