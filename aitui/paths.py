"""The directories of aitui's files, by the XDG specification or the system's conventions."""

import errno
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from aitui.domain.sanitize import sanitize_line

_APP = "aitui"


class Paths(Struct, frozen=True):
    """The directories of one user. None of them has to exist yet."""

    config: Path
    data: Path
    state: Path
    cache: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Paths":
        """XDG_CONFIG_HOME and the others where they are absolute, else the system's usual places.

        Touches no disk. Raises RuntimeError where no home directory can be found.
        """
        usual = _default_paths(home_directory(environment))
        return cls(
            config=_directory(environment, "XDG_CONFIG_HOME", usual.config),
            data=_directory(environment, "XDG_DATA_HOME", usual.data),
            state=_directory(environment, "XDG_STATE_HOME", usual.state),
            cache=_directory(environment, "XDG_CACHE_HOME", usual.cache),
        )

    @classmethod
    def below(cls, directory: Path) -> "Paths":
        """Return paths that are all below one directory, for the demo and the tests."""
        return cls(*(directory / kind for kind in ("config", "data", "state", "cache")))


def home_directory(environment: Mapping[str, str]) -> Path:
    """Return $HOME if it is absolute, else the home directory that the system reports."""
    home = Path(environment.get("HOME", ""))
    return home if home.is_absolute() else Path.home()


def require_no_fifo(path: Path) -> None:
    """Raise OSError for a FIFO: opening it would wait for its other end."""
    if path.is_fifo():
        raise OSError(errno.EINVAL, "it is a FIFO, not a file")


def read_start(path: Path, most: int = 4 << 20) -> bytes:
    """Read no more than the first `most` bytes of a file, `~` for home. Raises OSError, also for a FIFO."""
    found = path.expanduser()
    require_no_fifo(found)
    with found.open("rb") as file:
        return file.read(most)


def format_path(path: Path) -> str:
    """Quote a path for a shell, as messages and commands show it."""
    return sanitize_line(shlex.quote(str(path)))


def abbreviate_home(path: Path, home: Path) -> str:
    """Write a path with `~/` for the home directory."""
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _directory(environment: Mapping[str, str], variable: str, usual: Path) -> Path:
    """Return a variable's directory; by the specification, a relative path is ignored."""
    named = Path(environment.get(variable, ""))
    return named / _APP if named.is_absolute() else usual


def _default_paths(home: Path) -> Paths:
    if sys.platform != "linux":
        from platformdirs import PlatformDirs

        places = PlatformDirs(_APP, appauthor=False)
        return Paths(
            config=places.user_config_path,
            data=places.user_data_path,
            state=places.user_state_path,
            cache=places.user_cache_path,
        )
    return Paths(
        config=home / ".config" / _APP,
        data=home / ".local" / "share" / _APP,
        state=home / ".local" / "state" / _APP,
        cache=home / ".cache" / _APP,
    )
