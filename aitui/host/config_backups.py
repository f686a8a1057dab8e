"""Copies of a file beside it, named by their time; only the last ones are kept."""

import re
from contextlib import suppress
from datetime import UTC, datetime

from aitui.errors import FileAlreadyExists, NoSuchFile
from aitui.host.shell import FileKind, Host
from aitui.host.transaction import LARGEST_CONFIG, digest_of

BACKUPS_KEPT = 20
_MOST_PER_SECOND = 100


def backup_pattern(name: str) -> re.Pattern[str]:
    """Which names are backups of a file: `config.yaml.20261123T012233Z.aitui`, `….2.aitui`."""
    return re.compile(rf"{re.escape(name)}\.(\d{{8}}T\d{{6}}Z)(?:\.(\d+))?\.aitui")


def backup_path(path: str, wall: float, number: int) -> str:
    """The path of a backup made at a time (Unix time, seconds), the `number`th of that second."""
    stamp = datetime.fromtimestamp(wall, UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{path}.{stamp}.aitui" if number == 1 else f"{path}.{stamp}.{number}.aitui"


def backup_temporary(temporary: str) -> str:
    """The path of a backup until it is whole, for a write with such a temporary file."""
    return f"{temporary.removesuffix('.tmp')}.backup.tmp"


async def free_backup_path(host: Host, path: str, wall: float) -> str:
    """Where the next backup goes. Raises HostError.

    Wants the lock: the name is looked for now and taken later.
    """
    for number in range(1, _MOST_PER_SECOND):
        copy = backup_path(path, wall, number)
        try:
            await host.facts(copy)
        except NoSuchFile:
            return copy
    raise FileAlreadyExists(f"There are {_MOST_PER_SECOND} backups of this second already")


async def find_backup(host: Host, path: str, digest: str) -> str:
    """The path of the latest backup whose content has that digest, "" where there is none.

    Raises HostError.
    """
    folder, _, name = path.rpartition("/")
    pattern = backup_pattern(name)
    found: list[tuple[str, int, str]] = []
    for facts in await host.list(folder or "/"):
        match = pattern.fullmatch(facts.name)
        if match and facts.kind is FileKind.FILE and facts.size <= LARGEST_CONFIG:
            found.append((match[1], int(match[2] or 1), f"{folder}/{facts.name}"))
    for _, _, copy in sorted(found, reverse=True)[:BACKUPS_KEPT]:
        with suppress(NoSuchFile):  # another aitui tidies up
            if digest_of(await host.read(copy, largest=LARGEST_CONFIG)) == digest:
                return copy
    return ""


async def remove_old_backups(host: Host, path: str) -> None:
    """Remove all but the last BACKUPS_KEPT. Other files stay, whatever they are called.

    Raises HostError.
    """
    folder, _, name = path.rpartition("/")
    pattern = backup_pattern(name)
    found: list[tuple[str, int, str]] = []
    for facts in await host.list(folder or "/"):
        match = pattern.fullmatch(facts.name)
        if match and facts.kind is FileKind.FILE:
            found.append((match[1], int(match[2] or 1), facts.name))
    for _, _, old in sorted(found)[:-BACKUPS_KEPT]:
        with suppress(NoSuchFile):  # another aitui tidies up as well
            await host.remove(f"{folder}/{old}")
