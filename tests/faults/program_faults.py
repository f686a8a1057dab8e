"""What the disk, the clock, the terminal and the system can do to the running program."""

import asyncio
import os
import re
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

from aitui.store import activity_db, context_sizes, history, journal, load_times, measurements
from aitui.store.files import THEME_FILE, URLS_FILE
from e2e.pseudo_terminal.terminal import Terminal
from faults.program_operations import ProgramOperation, ProgramWorld

ProgramFault = Callable[[ProgramWorld, ProgramOperation], AsyncIterator[None]]
"""Has the operation done while it is in place, up to the only yield; is mended behind it."""
NUMBER = 2
KEPT = (
    *(f"share/aitui/{module.FILE_NAME}" for module in (history, activity_db)),
    *(
        f"state/aitui/{module.FILE_NAME}"
        for module in (journal, load_times, measurements, context_sizes)
    ),
    *(f"state/aitui/{name}" for name in (THEME_FILE, URLS_FILE)),
)
"""Every file in which aitui keeps something, below `.local`."""
_SIZES = ((1, 1), (2, 2), (10, 3), (40, 10), (79, 5), (500, 200), (20, 60), (300, 2), (80, 24))
_DAY = 86_400.0
_REPLIES = (
    b"\x1b[?62;4;6c\x1b[>0;999999999999;0c\x1b[99999;99999R\x1b[0n\x1b[?2026;9$y",
    b"\x1b[99999999999999999999;5u\x1b[48;60000;60000;600000;600000t\x1b[<35;70000;70000M\xe4\xff",
)
_PASTE = b"\x1b[200~text \x1b\x1bq\x1bzU" + b"." * 40 + b"\x1bzy\x03\x03\x1b[201~"


async def _done(world: ProgramWorld, operation: ProgramOperation, *shown: Terminal) -> None:
    for number, one in enumerate(shown):
        await operation.begin(world, one, NUMBER + number)
    for number, one in enumerate(shown):
        await operation.finish(world, one, NUMBER + number)


async def disk_full(world: ProgramWorld, operation: ProgramOperation) -> AsyncIterator[None]:
    """No file can grow any more: from the start, or from the middle of it on."""
    shown = await world.open(has_room=operation.name != "start")
    await operation.begin(world, shown, NUMBER)
    world.limit_files(to=0)
    await operation.finish(world, shown, NUMBER)
    yield
    world.limit_files(to=1 << 40)


async def read_only(world: ProgramWorld, operation: ProgramOperation) -> AsyncIterator[None]:
    """Nothing in the home may be written, from the start."""
    _set_modes(world.home, 0o500, 0o400)
    await _done(world, operation, await world.open())
    yield
    _set_modes(world.home, 0o700, 0o600)


async def no_home(world: ProgramWorld, operation: ProgramOperation) -> AsyncIterator[None]:
    """The home is nowhere, and can't be made."""
    nowhere = world.folder / "nowhere"
    nowhere.mkdir(mode=0o500)
    shown = await world.open(home=str(nowhere / "home"))
    await _done(world, operation, shown)
    yield
    await _quit(shown)


def clock(seconds: float) -> ProgramFault:
    """The clock jumps in the middle, and jumps back."""

    async def jump(world: ProgramWorld, operation: ProgramOperation) -> AsyncIterator[None]:
        shown = await world.open()
        await operation.begin(world, shown, NUMBER)
        world.shift.write_text(str(seconds))
        await operation.finish(world, shown, NUMBER)
        # Ages are those of a clock that only counts: what began just now is no day old.
        assert not re.search(r"\b1d \d|\b2[34]h", shown.text), shown.text
        yield
        world.shift.write_text("0")

    return jump


def signalled(number: signal.Signals) -> ProgramFault:
    """It ends in the middle, and is started again."""

    async def end(world: ProgramWorld, operation: ProgramOperation) -> AsyncIterator[None]:
        shown = await world.open()
        await operation.begin(world, shown, NUMBER)
        shown.process.send_signal(number)
        status = await shown.ends()
        assert status == (-number if number is signal.SIGKILL else 128 + number)
        if number is signal.SIGTERM:
            assert shown.settings == shown.before
        yield

    return end


def stopped(how: signal.Signals, *, by_shell: bool) -> ProgramFault:
    """It is stopped in the middle for a while; a shell has its own settings of the terminal then."""

    async def stop(world: ProgramWorld, operation: ProgramOperation) -> AsyncIterator[None]:
        shown = await world.open()
        await operation.begin(world, shown, NUMBER)
        taken = shown.settings
        await shown.stop(how)
        if by_shell:
            shown.restore_settings()
        await asyncio.sleep(3)
        shown.process.send_signal(signal.SIGCONT)
        await shown.until(lambda: shown.settings == taken, "the terminal taken again")
        await operation.finish(world, shown, NUMBER)
        yield

    return stop


async def every_size(world: ProgramWorld, operation: ProgramOperation) -> AsyncIterator[None]:
    """The terminal has one size after the other."""
    shown = await world.open()
    await operation.begin(world, shown, NUMBER)
    for size in (*_SIZES, (120, 36)):
        shown.resize(*size)
        await asyncio.sleep(0.2)
    await operation.finish(world, shown, NUMBER)
    yield


async def hostile_paste(world: ProgramWorld, operation: ProgramOperation) -> AsyncIterator[None]:
    """Text is pasted at the table that would quit and unload, were it keys."""
    shown = await world.open()
    shown.send(_PASTE)
    await _done(world, operation, shown)
    yield


async def hostile_replies(world: ProgramWorld, operation: ProgramOperation) -> AsyncIterator[None]:
    """The terminal reports what it was not asked for, with absurd numbers."""
    shown = await world.open()
    await operation.begin(world, shown, NUMBER)
    for reply in _REPLIES:
        shown.send(reply)
        await asyncio.sleep(0.2)
    await operation.finish(world, shown, NUMBER)
    yield


def instances(count: int) -> ProgramFault:
    """Several of them do it at once."""

    async def run(world: ProgramWorld, operation: ProgramOperation) -> AsyncIterator[None]:
        shown = [await world.open() for _ in range(count)]
        await _done(world, operation, *shown)
        yield
        for one in shown[1:]:
            await _quit(one)

    return run


def settings(put: Callable[[Path], object]) -> ProgramFault:
    """Something is in the place of the settings that can't be read."""

    async def start(world: ProgramWorld, operation: ProgramOperation) -> AsyncIterator[None]:
        file = world.home / ".config/aitui/config.toml"
        file.parent.mkdir(parents=True)
        put(file)
        shown = await world.start()
        assert await shown.ends() == 2
        yield
        file.rename(file.with_name("aside"))

    return start


def state(put: Callable[[Path], object]) -> ProgramFault:
    """Something else is in the place of every file in which aitui keeps something."""

    async def run(world: ProgramWorld, operation: ProgramOperation) -> AsyncIterator[None]:
        aside = world.state.rename(world.folder / "aside")
        for name in KEPT:
            file = world.state / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if (aside / name).is_file():
                shutil.copy(aside / name, file)
            put(file)
        before = _contents(world.state)
        shown = await world.open()
        await _done(world, operation, shown)
        # The record of activity is opened once the table stands; the line of messages cuts long ones.
        said = re.compile(rf"{_UNREADABLE}|m whole message")
        await shown.until(lambda: said.search(shown.words), "said")
        yield
        await _quit(shown)
        assert before <= _contents(world.state)
        world.state.rename(world.folder / "broken")
        aside.rename(world.state)

    return run


def _contents(folder: Path) -> set[bytes]:
    """What is in the files of a folder, whatever their names and modes."""
    found = set()
    for path in folder.rglob("*"):
        if path.is_file():
            mode = path.stat().st_mode
            path.chmod(mode | 0o400)
            found.add(path.read_bytes())
            path.chmod(mode)
    return found


def truncated(file: Path) -> None:
    """The first half of it."""
    content = file.read_bytes() if file.exists() else b'{"servers":{"box":{"small":'
    file.write_bytes(content[: len(content) // 2])


def foreign(file: Path) -> None:
    """A file of another program."""
    if file.suffix == ".sqlite3":
        file.unlink(missing_ok=True)
        with closing(sqlite3.connect(file)) as database:
            database.execute("CREATE TABLE turns (number TEXT)")
            database.execute("PRAGMA user_version = 3")
    else:
        file.write_text('{"version": 7, "servers": [1, "two"], "small": null}\n')


def fifo(file: Path) -> None:
    """A FIFO that nothing writes."""
    file.unlink(missing_ok=True)
    os.mkfifo(file)


def folder(file: Path) -> None:
    """A folder that isn't empty."""
    file.unlink(missing_ok=True)
    (file / "kept").mkdir(parents=True)


def unreadable(file: Path) -> None:
    """A file without a mode."""
    file.touch()
    file.chmod(0)


def noise(file: Path) -> None:
    """Bytes that are no text."""
    file.write_bytes(bytes(range(256)))


def wrong_types(file: Path) -> None:
    """Values of other kinds."""
    file.write_text('default = 7\n[servers]\nbox = "x"\n')


def device(file: Path) -> None:
    """A device that never ends."""
    file.symlink_to("/dev/zero")


async def _quit(shown: Terminal) -> None:
    shown.process.send_signal(signal.SIGTERM)
    await shown.ends()


def _set_modes(folder: Path, folders: int, files: int) -> None:
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and folders & 0o200:
            path.chmod(folders)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(folders if path.is_dir() else files)
    folder.chmod(folders)


_UNSAVED = "not saved|can't be used"
_UNREADABLE = "can't be (read|saved|used)|not saved|The activity record"
PROGRAM_FAULTS: dict[str, tuple[ProgramFault, str]] = {
    "disk full": (disk_full, _UNSAVED),
    "read-only home": (read_only, _UNSAVED),
    "no home": (no_home, _UNSAVED),
    "a day ahead": (clock(_DAY), ""),
    "a day back": (clock(-_DAY), ""),
    "stopped": (stopped(signal.SIGSTOP, by_shell=False), ""),
    "stopped by a shell": (stopped(signal.SIGSTOP, by_shell=True), ""),
    "suspended": (stopped(signal.SIGTSTP, by_shell=True), ""),
    "terminal closed": (signalled(signal.SIGHUP), ""),
    "terminated": (signalled(signal.SIGTERM), ""),
    "killed": (signalled(signal.SIGKILL), ""),
    "every size": (every_size, ""),
    "hostile paste": (hostile_paste, ""),
    "hostile replies": (hostile_replies, ""),
    "two instances": (instances(2), ""),
    "three instances": (instances(3), ""),
    "state: noise": (state(noise), _UNREADABLE),
    "state: truncated": (state(truncated), _UNREADABLE),
    "state: foreign": (state(foreign), _UNREADABLE),
    "state: FIFO": (state(fifo), _UNREADABLE),
    "state: folder": (state(folder), _UNREADABLE),
    "state: unreadable": (state(unreadable), _UNREADABLE),
    "settings: noise": (settings(noise), "can't be read|not .*UTF-8|config.toml"),
    "settings: wrong types": (settings(wrong_types), "config.toml"),
    "settings: FIFO": (settings(fifo), "config.toml"),
    "settings: folder": (settings(folder), "config.toml"),
    "settings: device": (settings(device), "config.toml"),
}
