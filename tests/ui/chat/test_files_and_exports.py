"""What goes out of a conversation into files, and from files into the prompt."""

import json
import resource
from pathlib import Path
from typing import Any

import pytest
from textual import events

from aitui.domain.chat.conversation import Conversation
from aitui.errors import AituiError
from aitui.services import export
from aitui.services.export import export_conversation
from aitui.ui.widgets import composer
from ui.chat.pane import Pane

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


def read(path: Path) -> Any:
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    return json.loads(text) if path.suffix == ".json" else text


def exported(folder: Path, suffix: str) -> list[Path]:
    return list(folder.rglob(f"exports/*{suffix}"))


async def test_save_writes_markdown_to_a_private_file(pane: Pane, tmp_path: Path) -> None:
    await pane.ask("Why is the sky blue?")
    await pane.send("/save")
    await pane.app.told("Written to")
    (path,) = exported(tmp_path, ".md")
    assert path.name == "Why-is-the-sky-blue.md"
    assert "Why is the sky blue?" in read(path)


async def test_export_writes_json_to_a_private_file(pane: Pane, tmp_path: Path) -> None:
    await pane.ask("Why is the sky blue?")
    await pane.send("/export")
    await pane.app.told("Written to")
    (path,) = exported(tmp_path, ".json")
    assert "Why is the sky blue?" in json.dumps(read(path))


async def test_exports_of_one_conversation_are_all_kept(pane: Pane, tmp_path: Path) -> None:
    await pane.ask("hi")
    for name in ("hi.md", "hi-2.md", "Sky & sea.md"):
        if name.startswith("Sky"):
            await pane.send("/rename Sky & sea")
            name = "Sky-sea.md"  # noqa: PLW2901
        await pane.send("/save")
        await pane.app.told(name)
    assert {path.name for path in exported(tmp_path, ".md")} == {"hi.md", "hi-2.md", "Sky-sea.md"}


async def test_a_full_disk_leaves_no_file_that_blocks_the_next_try(tmp_path: Path) -> None:
    conversation = Conversation("c", title="mine", system="long enough " * 20)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As on a disk that fills up, the beginning of the file fits.
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, before[1]))
    try:
        for name in ("", "mine.md"):
            with pytest.raises(AituiError, match="can't be written: File too large"):
                await export_conversation(conversation, name, tmp_path, json=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
    path = await export_conversation(conversation, "mine.md", tmp_path, json=False)
    assert "long enough" in read(path)


async def test_a_name_of_its_own_is_below_the_exports(pane: Pane, tmp_path: Path) -> None:
    await pane.ask("hi")
    await pane.send("/save sky.md")
    await pane.app.told("Written to")
    (path,) = exported(tmp_path, ".md")
    assert path.name == "sky.md"
    read(path)


async def test_no_file_is_written_over(pane: Pane, tmp_path: Path) -> None:
    there = tmp_path / "there.md"
    there.write_text("mine")
    await pane.ask("hi")
    await pane.send(f"/save {there}")
    await pane.app.told("exists already")
    assert there.read_text() == "mine"
    assert pane.written == f"/save {there}"


async def test_a_text_file_comes_into_the_prompt(pane: Pane, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("first\nsecond\n")
    await pane.send(f"/file {tmp_path / 'notes.txt'}")
    await pane.app.until(lambda: "first\nsecond" in pane.written, "there")
    assert pane.written.startswith("notes.txt:\n```")


@pytest.mark.parametrize("way", ["file", "paste"])
async def test_a_long_text_is_attached_to_the_next_prompt(
    pane: Pane, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (export, composer):
        monkeypatch.setattr(module, "LONGEST_IN_PROMPT", 1000)
    text = "a long line of words\n" * 50
    if way == "file":
        (tmp_path / "pasted.txt").write_text(text)
        await pane.send(f"/file {tmp_path / 'pasted.txt'}")
    else:
        pane.app.app.post_message(events.Paste(text))
    await pane.app.see("▣ pasted.txt")
    assert pane.written == ""
    await pane.ask("Sum it up")
    await pane.app.see("[file: pasted.txt]")
    assert pane.asked[0][0]["content"] == f"Sum it up\n\npasted.txt:\n```\n{text}```"
    await pane.app.unsee("▣ pasted.txt")


async def test_an_image_goes_along_with_the_next_prompt_alone(pane: Pane, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(PNG)
    await pane.send(f"/file {tmp_path / 'cat.png'}")
    await pane.app.told("cat.png is attached to the next prompt")
    await pane.ask("What is this?")
    await pane.ask("Are you sure?")
    content = pane.asked[0][0]["content"]
    assert [part["type"] for part in content].count("image_url") == 1
    assert isinstance(pane.asked[1][-1]["content"], str)
    await pane.app.press("escape", "g")
    await pane.app.see("[image: cat.png]")


async def attach(pane: Pane, folder: Path, *names: str) -> None:
    """Attach an image of each of these names."""
    for name in names:
        (folder / name).write_bytes(PNG)
        await pane.send(f"/file {folder / name}")
        await pane.app.see(f"{name} ×")


async def test_attached_images_are_detached_by_key_click_and_command(
    pane: Pane, tmp_path: Path
) -> None:
    await attach(pane, tmp_path, "ant.png", "bee.png", "cat.png", "dog.png")
    await pane.app.see("dog.png ×")
    await pane.app.press("delete")
    await pane.app.unsee("dog.png ×")
    await pane.app.click("ant.png ×")
    await pane.app.unsee("ant.png ×")
    await pane.send("/detach bee.png")
    await pane.app.unsee("bee.png ×")
    assert [image.name for image in pane.widget.attachments] == ["cat.png"]
    await pane.send("/detach")
    await pane.app.unsee("▣")


async def test_a_question_that_is_edited_shows_its_images(pane: Pane, tmp_path: Path) -> None:
    await attach(pane, tmp_path, "cat.png")
    await pane.ask("What is this?")
    await pane.app.unsee("▣")
    await pane.send("/edit")
    await pane.app.see("▣ cat.png ×")
    await pane.app.press("delete")
    await pane.app.unsee("▣")
    await pane.app.press("enter")
    await pane.app.until(lambda: len(pane.asked) == 2, "asked again")
    assert isinstance(pane.asked[1][0]["content"], str)


@pytest.mark.parametrize("content", [None, b"\x7fELF\0\0"])
async def test_what_is_no_file_to_send_stays_written(
    pane: Pane, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "thing"
    if content is not None:
        path.write_bytes(content)
    await pane.send(f"/file {path}")
    await pane.app.told("is not a file" if content is None else "neither UTF-8 text")
    assert pane.written == f"/file {path}"


# --- earlier conversations
