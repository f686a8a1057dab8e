"""Two people at one file: the second is told, sees what the first did, and overwrites nothing."""

import asyncio
import sys
from pathlib import Path

import pytest

from cli.command_line import CommandLine, read_until, status_of
from e2e.config_change.conftest import Administered
from e2e.pseudo_terminal.terminal import PATIENCE, Terminal, surroundings, terminal
from e2e.service.user_manager import CONFIG
from ui.driven import driven

THEIRS = CONFIG.replace("globalTTL: 1800", "globalTTL: 600")


async def test_a_change_between_preview_and_yes_is_shown_and_kept(
    on_this_machine: Administered, tmp_path: Path
) -> None:
    async with driven(on_this_machine.server, tmp_path / "aitui", size=(120, 36)) as app:
        await app.see("small")
        app.go_to("small")
        await app.press("c", *"131072", "enter")
        await app.armed()
        on_this_machine.config.write_text(THEIRS)
        await app.answer("y")
        await app.see("was changed by another program", "-globalTTL: 1800", "+globalTTL: 600")
    assert on_this_machine.config.read_text() == THEIRS


async def test_the_command_line_shows_their_change_as_well(
    on_this_machine: Administered,
) -> None:
    shell = CommandLine.towards(on_this_machine.server, on_this_machine.home)
    shell.environment["AI_SERVER_SSH_HOST"] = "local"
    async with shell.at_terminal("ctx", "small", "131072", "--no-reload") as (process, keys):
        await read_until(keys, "[y/N]")
        on_this_machine.config.write_text(THEIRS)
        await asyncio.to_thread(_type, keys, "y\n")
        assert "+globalTTL: 600" in await read_until(keys, "repeat the change")
        assert await status_of(process) == 1
    assert on_this_machine.config.read_text() == THEIRS


async def test_undo_keeps_its_hands_off_a_file_that_somebody_changed_since(
    on_this_machine: Administered,
) -> None:
    shell = CommandLine.towards(on_this_machine.server, on_this_machine.home)
    shell.environment["AI_SERVER_SSH_HOST"] = "local"
    assert (await shell.run("ctx", "small", "131072", "--yes", "--no-reload")).status == 0
    theirs = on_this_machine.config.read_text() + "# mine\n"
    on_this_machine.config.write_text(theirs)
    outcome = await shell.run("undo", "--yes")
    assert outcome.status == 1
    assert "can't be undone" in outcome.err
    assert on_this_machine.config.read_text() == theirs


@pytest.fixture
def editor(tmp_path: Path) -> Path:
    """An editor that does to a file what `edit.py` in its folder says."""
    program = tmp_path / "editor"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/edit.py "$@"\n')
    program.chmod(0o755)
    return program


async def test_the_whole_file_is_edited_and_checked_before_it_is_written(
    on_this_machine: Administered, editor: Path
) -> None:
    edit = editor.with_name("edit.py")
    # At first a mistake, then, with the text still there, the remedy.
    edit.write_text(
        "import sys\n"
        "text = open(sys.argv[-1]).read()\n"
        "new = text.replace('models:', 'models: [') if '[\\n' not in text else "
        "text.replace('models: [', 'models:').replace('1800', '900')\n"
        "open(sys.argv[-1], 'w').write(new)\n"
    )
    environment = surroundings(
        on_this_machine.home,
        EDITOR=str(editor),
        AI_SERVER_URL=on_this_machine.server.url,
        AI_SERVER_SSH_HOST="local",
    )
    async with terminal([], environment) as opened:
        await opened.see("small")
        opened.press("5")
        await opened.see("globalTTL: 1800")
        opened.press("e")
        await opened.see("Edit it again?", "line 5")
        assert on_this_machine.config.read_text() == CONFIG
        await say_yes(opened, until="+ globalTTL: 900")
        await say_yes(opened, until="✓ reload")
    assert on_this_machine.config.read_text() == CONFIG.replace("1800", "900")


async def kept_by(opened: Terminal, folder: Path) -> bytes:
    """What is in the file of which a message says that it keeps the edit."""
    await opened.told("The edit is saved in")
    (kept,) = folder.glob("aitui-*.yaml")
    return kept.read_bytes()


def edits_of(on_this_machine: Administered, editor: Path, code: str) -> dict[str, str]:
    """An environment whose editor runs that, with the file's `path` and its `text`."""
    head = "import os, pathlib, sys\npath = pathlib.Path(sys.argv[-1])\ntext = path.read_text()\n"
    editor.with_name("edit.py").write_text(head + code)
    drafts = editor.with_name("drafts")
    drafts.mkdir()
    return surroundings(
        on_this_machine.home,
        EDITOR=str(editor),
        TMPDIR=str(drafts),
        AI_SERVER_URL=on_this_machine.server.url,
        AI_SERVER_SSH_HOST="local",
    )


async def begin_edit(opened: Terminal) -> None:
    await opened.see("small")
    opened.press("5")
    await opened.see("globalTTL: 1800")
    opened.press("e")


async def test_an_edit_that_is_declined_is_kept(
    on_this_machine: Administered, editor: Path
) -> None:
    code = "path.write_text(text.replace('1800', '900'))"
    environment = edits_of(on_this_machine, editor, code)
    async with terminal([], environment) as opened:
        await begin_edit(opened)
        await opened.see("+ globalTTL: 900")
        await asyncio.sleep(1.0)
        opened.press("\x1b")
        kept = await kept_by(opened, editor.with_name("drafts"))
    assert kept.decode() == CONFIG.replace("1800", "900")
    assert on_this_machine.config.read_text() == CONFIG


RESOLVE = """
if "<<<<<<<" in text:
    before, _, rest = text.partition("<<<<<<< your edit\\n")
    text = before + "globalTTL: 300\\n" + rest.partition(">>>>>>> the file now\\n")[2]
path.write_text(text.replace("1800", "900"))
"""


@pytest.mark.parametrize(
    ("theirs", "question", "written"),
    [
        (THEIRS, "Resolve the conflicts in the editor?", CONFIG.replace("1800", "300")),
        (
            CONFIG + "# theirs\n",
            "merged with the changes made meanwhile",
            CONFIG.replace("1800", "900") + "# theirs\n",
        ),
    ],
)
async def test_an_edit_is_merged_with_what_was_written_meanwhile(
    on_this_machine: Administered, editor: Path, theirs: str, question: str, written: str
) -> None:
    environment = edits_of(on_this_machine, editor, RESOLVE)
    async with terminal([], environment, size=(120, 40)) as opened:
        await begin_edit(opened)
        await opened.see("+ globalTTL: 900")
        on_this_machine.config.write_text(theirs)
        await say_yes(opened, until=question)
        if theirs == THEIRS:
            await answer_unprompted(opened, "y", question)
            await opened.see("+ globalTTL: 300")
        await say_yes(opened, until="✓ reload")
    assert on_this_machine.config.read_text() == written


async def test_an_edit_with_conflicts_is_kept_if_they_are_not_resolved(
    on_this_machine: Administered, editor: Path
) -> None:
    code = "path.write_text(text.replace('1800', '900'))"
    environment = edits_of(on_this_machine, editor, code)
    async with terminal([], environment) as opened:
        await begin_edit(opened)
        await opened.see("+ globalTTL: 900")
        on_this_machine.config.write_text(THEIRS)
        await say_yes(opened, until="Resolve the conflicts")
        await answer_unprompted(opened, "n", "Resolve the conflicts")
        kept = await kept_by(opened, editor.with_name("drafts"))
    assert kept.decode() == CONFIG.replace("1800", "900")
    assert on_this_machine.config.read_text() == THEIRS


async def test_an_editor_that_fails_the_second_time_keeps_what_the_first_time_made(
    on_this_machine: Administered, editor: Path
) -> None:
    code = (
        "if 'models: [' in text: os.abort()\npath.write_text(text.replace('models:', 'models: ['))"
    )
    environment = edits_of(on_this_machine, editor, code)
    async with terminal([], environment, size=(240, 36)) as opened:
        await begin_edit(opened)
        await opened.see("Edit it again?", "line 5")
        await say_yes(opened, until="The edit is saved")
        await opened.told("ended with SIGABRT.")
        kept = await kept_by(opened, editor.with_name("drafts"))
    assert kept.decode() == CONFIG.replace("models:", "models: [")
    assert on_this_machine.config.read_text() == CONFIG


async def say_yes(opened: Terminal, *, until: str) -> None:
    """Press y until it counts: a question takes none before it could be read."""
    async with asyncio.timeout(PATIENCE):
        while until not in opened.text:
            # Behind the question the same key copies.
            if "▸ n" in opened.text:
                opened.press("y")
            await asyncio.sleep(0.3)


async def answer_unprompted(opened: Terminal, key: str, question: str) -> None:
    """Answer a question that came by itself: it takes no key until a second passed without one."""
    async with asyncio.timeout(PATIENCE):
        while question in opened.text:
            await asyncio.sleep(1.5)
            opened.press(key)
            await asyncio.sleep(0.3)


def _type(keys: int, text: str) -> None:
    with open(keys, "wb", closefd=False) as terminal_end:
        terminal_end.write(text.encode())
