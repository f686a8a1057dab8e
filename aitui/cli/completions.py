"""`aitui completions`: the script of a shell, and the names that it completes.

A shell waits for the names at each Tab: they come from a file, which another process renews. Neither
waits for a server that doesn't answer.
"""

import asyncio
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from aitui.cli.arguments import Arguments
from aitui.domain.server import Server
from aitui.errors import AituiError
from aitui.paths import Paths, home_directory
from aitui.settings import Settings, SettingsFlags, read_settings, require_server
from aitui.store.files import make_private_directory, read_bounded, replace_atomically

SCRIPTS = {"bash": "aitui.bash", "zsh": "_aitui", "fish": "aitui.fish"}
"""The file of each shell in `aitui/share`, which the build makes of the parser."""
FRESH_SECONDS = 5.0
FIRST_LOOKS, LOOK_SECONDS = 15, 0.01
"""How often the very first completion looks for the models of a server, and the pause between."""
FETCH_SECONDS = 5.0
_LARGEST_FILE = 1 << 20


async def run_completions(arguments: Arguments, paths: Paths) -> int:
    """Print a script, or names a line each; nothing if they can't be known."""
    if arguments.shell in SCRIPTS:
        print(_read_script(SCRIPTS[arguments.shell]), end="")
        return 0
    flags = _flags_of(arguments.words)
    if arguments.shell == "servers":
        flags = SettingsFlags(config=flags.config)
    settings = read_settings(flags, os.environ, paths.config, home_directory(os.environ))
    names: Sequence[str]
    if arguments.shell == "servers":
        names = [server.name for server in settings.servers if server.name]
    elif arguments.shell == "models":
        names = await _cached_models(settings, arguments.words, paths)
    else:
        await _fetch_models(require_server(settings), paths)
        names = ()
    print("".join(f"{name}\n" for name in names), end="")
    return 0


def _read_script(name: str) -> str:
    path = Path(__file__).parents[1] / "share" / name
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as error:
        raise AituiError(
            "The completions of this checkout were not built",
            why=f"{path} does not exist",
            remedy="build them: pip install --editable .",
        ) from error


def _flags_of(words: Sequence[str]) -> SettingsFlags:
    """Return the options of a command line that choose its server, whatever else it holds."""
    found: dict[str, str] = {}
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in {"--server", "--url", "--config"}:
            found[name[2:]] = value if equals else next(iter(words[at + 1 : at + 2]), "")
    config = Path(found["config"]) if found.get("config") else None
    return SettingsFlags(
        config=config, server=found.get("server") or None, url=found.get("url") or None
    )


def _cache_file(server: Server, paths: Paths) -> Path:
    return paths.cache / f"models-{hashlib.sha256(server.identity.encode()).hexdigest()[:16]}"


async def _cached_models(settings: Settings, words: Sequence[str], paths: Paths) -> list[str]:
    path = _cache_file(require_server(settings), paths)
    looks = 0
    if _age(path) > FRESH_SECONDS and _age(path.with_suffix(".asked")) > FRESH_SECONDS:
        # Before it begins, so that one Tab after the other doesn't start one process each.
        make_private_directory(path.parent)
        path.with_suffix(".asked").touch(mode=0o600)
        looks = 0 if path.exists() else FIRST_LOOKS
        command = (sys.executable, "-P", "-m", "aitui", "completions", "refresh", "--", *words)
        subprocess.Popen(  # noqa: ASYNC220, S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    for _ in range(looks):
        if path.exists():
            break
        await asyncio.sleep(LOOK_SECONDS)
    try:
        return read_bounded(path, _LARGEST_FILE).decode().splitlines()
    except (OSError, ValueError):  # there is none yet
        return []


def _age(path: Path) -> float:
    """Return the seconds since a file was written, without end if it doesn't exist."""
    with suppress(OSError):
        return time.time() - path.stat().st_mtime
    return float("inf")


async def _fetch_models(server: Server, paths: Paths) -> None:
    """Ask the server for its models, and keep their ids for the next completion."""
    from aitui.llamaswap.client import LlamaSwapClient

    path = _cache_file(server, paths)
    async with asyncio.timeout(FETCH_SECONDS), LlamaSwapClient(server) as client:
        ids = [model.id for model in await client.models()]
    make_private_directory(path.parent)
    replace_atomically(path, "".join(f"{one}\n" for one in ids).encode())
