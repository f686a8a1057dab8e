"""An editor that can't be started, fails or is ended: the screen comes back, nothing is lost."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aitui.errors import AituiError
from aitui.ui.terminal.external_editor import USUAL, find_editor
from catalogue import QUICK
from e2e.pseudo_terminal.terminal import Terminal, surroundings, terminal
from stand_in import StandIn

LEFT = b"\x1b[?1049l"
TEXT = "once upon a time"


class Writing:
    """The program with a prompt begun. Its editor is a shell script that says what it does."""

    def __init__(self, shown: Terminal, folder: Path) -> None:
        self.shown = shown
        self.folder = folder

    @property
    def drafts(self) -> list[Path]:
        """What editors have left."""
        return sorted((self.folder / "tmp").iterdir())

    async def edit(self, script: str) -> None:
        """Press the key for the editor, and wait until it has the terminal."""
        running = self.folder / "running"
        running.unlink(missing_ok=True)
        (self.folder / "editor.sh").write_text(f"touch {running}\n{script}\n")
        self.shown.press("\x05")
        await self.shown.until(running.exists, "in the editor")

    async def goes_on(self, text: str) -> None:
        """The prompt has that text, and takes more of it."""
        await self.shown.see(f"{text} ")
        self.shown.press("!")
        await self.shown.see(f"{text}!")
        self.shown.press("\x7f")
        await self.shown.unsee(f"{text}!")

    async def quit(self) -> None:
        """Leave, and find the terminal as it was."""
        self.shown.press("\x03\x03")
        assert await self.shown.ends() == 0
        assert self.shown.settings == self.shown.before
        assert self.shown.left_on == self.shown.left_off == set()
        assert b"Traceback" not in self.shown.sent


@asynccontextmanager
async def written(plain: StandIn, folder: Path, **variables: str) -> AsyncIterator[Writing]:
    (folder / "tmp").mkdir()
    environment = surroundings(folder, TMPDIR=str(folder / "tmp"), **variables)
    async with terminal(["--url", plain.url], environment, size=(420, 30)) as shown:
        await shown.see(" ms ", QUICK)
        shown.press("/")
        await shown.see("filter by id")
        shown.press(f"{QUICK}\r\r")
        await shown.see("new line")
        shown.press(TEXT)
        await shown.see(TEXT)
        yield Writing(shown, folder)


@pytest.fixture
async def writing(plain: StandIn, tmp_path: Path) -> AsyncIterator[Writing]:
    editor = tmp_path / "editor"
    editor.write_text(f"#!/bin/sh\n. {tmp_path}/editor.sh\n")
    editor.chmod(0o755)
    async with written(plain, tmp_path, EDITOR=str(editor)) as begun:
        yield begun


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("/nonexistent", "The editor /nonexistent can't be started."),
        ("'unbalanced", "EDITOR can't be read: 'unbalanced"),
        ("''", "The editor '' can't be started."),
        ("/", "The editor / can't be started."),
    ],
)
async def test_an_editor_that_cannot_be_started_never_gets_the_screen(
    plain: StandIn, tmp_path: Path, value: str, said: str
) -> None:
    async with written(plain, tmp_path, EDITOR=value) as writing:
        writing.shown.press("\x05")
        await writing.shown.told(said)
        assert LEFT not in writing.shown.sent
        await writing.goes_on(TEXT)
        assert writing.drafts == []
        await writing.quit()


async def test_a_program_that_the_system_refuses_gives_the_screen_back(
    plain: StandIn, tmp_path: Path
) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"\x7fELF and nothing else")
    junk.chmod(0o755)
    async with written(plain, tmp_path, VISUAL=str(junk), EDITOR="vi") as writing:
        writing.shown.press("\x05")
        await writing.shown.told("Exec format error")
        await writing.goes_on(TEXT)
        assert writing.drafts == []
        await writing.quit()


async def test_an_editor_without_words_is_one_of_the_usual_ones(
    plain: StandIn, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    vi = programs / "vi"
    vi.write_text('#!/bin/sh\nprintf " in a faraway land" >>"$1"\n')
    vi.chmod(0o755)
    async with written(plain, tmp_path, PATH=f"{programs}", VISUAL="", EDITOR="  ") as writing:
        writing.shown.press("\x05")
        await writing.goes_on(f"{TEXT} in a faraway land")
        vi.unlink()
        writing.shown.press("\x05")
        await writing.shown.told("No editor was found.")
        await writing.goes_on(f"{TEXT} in a faraway land")
        await writing.quit()


async def test_an_edit_of_an_editor_that_fails_does_not_count_and_is_kept(
    writing: Writing,
) -> None:
    await writing.edit("exit 1")
    await writing.shown.told("ended with status 1.")
    await writing.goes_on(TEXT)
    assert writing.drafts == []
    await writing.edit('echo changed >"$1"; exit 3')
    await writing.shown.told("ended with status 3.")
    await writing.goes_on(TEXT)
    (kept,) = writing.drafts
    assert kept.read_text() == "changed\n"
    assert kept.stat().st_mode & 0o777 == 0o600
    await writing.shown.told("The text is unchanged.")
    assert kept.name in writing.shown.text
    await writing.quit()


async def test_an_editor_that_is_killed_leaves_no_terminal_behind_that_is_its_own(
    writing: Writing,
) -> None:
    for number, said in ((9, "SIGKILL"), (40, "signal 40")):
        await writing.edit(f"stty raw -echo; kill -{number} $$")
        await writing.shown.told(f"ended with {said}.")
        await writing.goes_on(TEXT)
    await writing.quit()


@pytest.mark.parametrize("key", ["\x03", "\x1c"])
async def test_an_interrupt_in_an_editor_without_raw_mode_is_the_editor_s(
    writing: Writing, key: str
) -> None:
    await writing.edit("exec sleep 600")
    writing.shown.press(key)
    await writing.shown.told(f"ended with {'SIGINT' if key == chr(3) else 'SIGQUIT'}.")
    await writing.goes_on(TEXT)
    # One that goes on after it is none that failed.
    await writing.edit(
        f'trap "echo caught >{writing.folder}/caught" INT QUIT\n'
        f"until [ -e {writing.folder}/caught ]; do sleep 0.1; done\n"
        'echo "and then" >"$1"'
    )
    await asyncio.sleep(0.3)
    writing.shown.press(key)
    await writing.goes_on("and then")
    await writing.quit()


async def test_keys_that_an_editor_leaves_unread_are_nobody_s(writing: Writing) -> None:
    await writing.edit("until [ -e $0.ended ]; do sleep 0.1; done")
    writing.shown.press("typed into nothing")
    await asyncio.sleep(0.3)
    (writing.folder / "editor.ended").touch()
    await writing.goes_on(TEXT)
    assert "typed" not in writing.shown.text
    await writing.quit()


async def test_something_else_in_the_place_of_the_text_is_refused(writing: Writing) -> None:
    for script, said in (
        ('rm "$1"', "No such file or directory"),
        ('rm "$1"; mkdir "$1"', "Is a directory"),
        ('rm "$1"; mkfifo "$1"', "is no longer a file."),
        (r'printf "work \377" >"$1"', "It isn't UTF-8"),
    ):
        await writing.edit(script)
        await writing.shown.told(said)
        await writing.goes_on(TEXT)
    await writing.shown.told("The edit is saved in")
    (kept,) = (draft for draft in writing.drafts if draft.is_file())
    assert kept.read_bytes() == b"work \xff"
    await writing.quit()


async def test_the_key_pressed_twice_opens_one_editor(writing: Writing) -> None:
    running = writing.folder / "running"
    (writing.folder / "editor.sh").write_text(
        f'echo once >>{running}; sleep 1; echo "and then" >"$1"'
    )
    writing.shown.press("\x05\x05")
    await writing.shown.until(running.exists, "in the editor")
    await writing.goes_on("and then")
    assert running.read_text() == "once\n"
    await writing.quit()


async def test_the_end_of_the_program_ends_the_editor_and_keeps_the_edit(
    writing: Writing,
) -> None:
    await writing.edit(f'echo $$ >{writing.folder}/number; echo work >"$1"; exec sleep 600')
    number = writing.folder / "number"
    await writing.shown.until(lambda: number.exists() and number.read_text(), "edited")
    await asyncio.sleep(0.3)
    writing.shown.process.send_signal(signal.SIGTERM)
    assert await writing.shown.ends() == 128 + signal.SIGTERM
    assert writing.shown.settings == writing.shown.before
    assert writing.shown.left_on == writing.shown.left_off == set()
    assert b"Traceback" not in writing.shown.sent
    assert not Path(f"/proc/{number.read_text().strip()}").exists()
    (kept,) = writing.drafts
    assert kept.read_text() == "work\n"


# --- which one it is


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    for name in ("own", "other", *USUAL):
        (tmp_path / name).touch(mode=0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"VISUAL": "own", "EDITOR": "other"}, ("own",)),
        ({"VISUAL": " ", "EDITOR": "other -n 'a b'"}, ("other", "-n", "a b")),
        ({"EDITOR": "\t"}, ("editor",)),
        ({}, ("editor",)),
    ],
)
def test_the_editor_is_that_of_the_environment(
    programs: Path, variables: dict[str, str], words: tuple[str, ...]
) -> None:
    assert find_editor({"PATH": str(programs), **variables}) == words


@pytest.mark.parametrize("missing", range(len(USUAL)))
def test_without_one_it_is_the_first_usual_one(programs: Path, missing: int) -> None:
    for name in USUAL[:missing]:
        (programs / name).unlink()
    assert find_editor({"PATH": str(programs)}) == (USUAL[missing],)


@pytest.mark.parametrize("value", ["absent", "own'", "\\", "''", "plain", "./own/", "a\x1b[31m"])
def test_one_that_cannot_be_run_is_refused_by_name(programs: Path, value: str) -> None:
    (programs / "plain").touch(mode=0o644)
    with pytest.raises(AituiError) as caught:
        find_editor({"PATH": str(programs), "VISUAL": value, "EDITOR": "own"})
    assert "VISUAL" in f"{caught.value}"
    assert "Set VISUAL to your editor" in caught.value.remedy
    assert "\x1b" not in f"{caught.value}"


def test_a_machine_without_editors_says_so(tmp_path: Path) -> None:
    with pytest.raises(AituiError, match="No editor was found"):
        find_editor({"PATH": str(tmp_path)})
