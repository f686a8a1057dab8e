"""The theme that somebody chose, kept for the next start."""

from pathlib import Path

from aitui.domain.clean import sanitize_line
from aitui.store.private_file import make_private_directory, read_bounded, replace_atomically

FILE_NAME = "theme"
_LONGEST = 100


def read_theme(state: Path) -> str:
    """The theme's name, empty where none was kept or it can't be read. Blocks on the disk."""
    try:
        return read_bounded(state / FILE_NAME, _LONGEST).decode("ascii").strip()
    except (OSError, ValueError):
        # Without it aitui looks as it did at first, which is no reason to complain at a start.
        return ""


def save_theme(state: Path, name: str) -> None:
    """Keep the theme's name. Blocks on the disk. Raises OSError."""
    make_private_directory(state)
    replace_atomically(state / FILE_NAME, f"{sanitize_line(name, _LONGEST - 1)}\n".encode())
