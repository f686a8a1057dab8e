"""Save lines of a log to a file of the user's own."""

import re
import time
from collections.abc import Iterable
from pathlib import Path

from aitui.domain.logs import LogLine
from aitui.errors import AituiError
from aitui.paths import Paths
from aitui.store.files import make_private_directory, replace_atomically

_UNSAFE_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_PART = 60


def save_log(
    paths: Paths, server: str, name: str, lines: Iterable[LogLine], at: time.struct_time
) -> Path:
    """Write the lines below the data directory, readable by the user alone; returns the file.

    Never replaces another file. Blocks while it writes. Raises AituiError.
    """
    folder = paths.data / "logs"
    stem = "-".join(
        (_sanitize_part(server), _sanitize_part(name or "both"), time.strftime("%Y%m%d-%H%M%S", at))
    )
    content = "".join(f"{line.text}\n" for line in lines).encode("utf-8", "replace")
    try:
        make_private_directory(paths.data)
        make_private_directory(folder)
        file = _free_path(folder, stem)
        replace_atomically(file, content)
    except OSError as error:
        raise AituiError(
            "The log could not be saved",
            why=f"{folder}: {error.strerror or error}",
            remedy="set XDG_DATA_HOME to a folder that can be written",
        ) from error
    return file


def _free_path(folder: Path, stem: str) -> Path:
    for number in range(1, 1000):
        file = folder / f"{stem}{'' if number == 1 else f'-{number}'}.log"
        if not file.exists():
            return file
    raise FileExistsError(f"there are too many files like {stem}.log")


def _sanitize_part(words: str) -> str:
    return _UNSAFE_IN_FILE_NAMES.sub("-", words)[:_LONGEST_PART].strip("-.") or "log"
