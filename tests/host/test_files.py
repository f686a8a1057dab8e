"""Files of a host, on this machine and over SSH: the same answers from both."""

import os
import socket
from pathlib import Path

import pytest

from aitui.errors import FileAlreadyExists, HostFileError, NoSuchFile
from aitui.host.base import FileKind, Host
from aitui.host.local import LocalHost

HOSTILE_NAMES = (
    "with blanks",
    "$(touch harm)",
    "`touch harm`",
    "quote'quote\"",
    "new\nline",
    "-rf",
    "semi;touch harm",
    "späße 🦙",
    "*",
    "back\\slash",
)


async def test_what_is_created_can_be_read(host: Host, folder: Path) -> None:
    await host.create(f"{folder}/new", b"a\0\xff\r\n", mode=0o600)
    assert await host.read(f"{folder}/new") == b"a\0\xff\r\n"


async def test_a_large_file_arrives_whole(host: Host, folder: Path) -> None:
    content = os.urandom(3 << 20)
    await host.create(f"{folder}/new", content, mode=0o600)
    assert (folder / "new").read_bytes() == content
    assert await host.read(f"{folder}/new") == content


async def test_part_of_a_file_can_be_read(host: Host, folder: Path) -> None:
    (folder / "file").write_bytes(b"0123456789")
    assert await host.read(f"{folder}/file", start=3, largest=4) == b"3456"


async def test_nothing_is_after_the_end_of_a_file(host: Host, folder: Path) -> None:
    (folder / "file").write_bytes(b"0123")
    assert await host.read(f"{folder}/file", start=10) == b""


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666, 0o640, 0o755])
async def test_a_new_file_has_the_mode_that_was_asked_for(
    host: Host, folder: Path, mode: int
) -> None:
    await host.create(f"{folder}/new", b"", mode=mode)
    assert (folder / "new").stat().st_mode & 0o7777 == mode


async def test_a_new_file_keeps_the_owner_that_was_asked_for(host: Host, folder: Path) -> None:
    await host.create(f"{folder}/new", b"", mode=0o600, belongs_to=(os.getuid(), os.getgid()))
    status = (folder / "new").stat()
    assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid())


async def test_no_file_is_overwritten_by_creating_one(host: Host, folder: Path) -> None:
    (folder / "file").write_bytes(b"old")
    with pytest.raises(FileAlreadyExists):
        await host.create(f"{folder}/file", b"new", mode=0o600)
    assert (folder / "file").read_bytes() == b"old"


async def test_no_link_is_followed_by_creating_a_file(host: Host, folder: Path) -> None:
    (folder / "link").symlink_to(folder / "nothing")
    with pytest.raises(FileAlreadyExists):
        await host.create(f"{folder}/link", b"new", mode=0o600)
    assert not (folder / "nothing").exists()


async def test_a_file_takes_the_place_of_another(host: Host, folder: Path) -> None:
    (folder / "old").write_bytes(b"old")
    (folder / "new").write_bytes(b"new")
    await host.rename(f"{folder}/new", f"{folder}/old")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"old": b"new"}


async def test_a_file_is_removed(host: Host, folder: Path) -> None:
    (folder / "file").write_bytes(b"")
    await host.remove(f"{folder}/file")
    assert not list(folder.iterdir())


async def test_the_facts_of_a_file(host: Host, folder: Path) -> None:
    path = folder / "file"
    path.write_bytes(b"12345")
    path.chmod(0o640)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    facts = await host.facts(str(path))
    assert (facts.name, facts.kind, facts.size) == ("file", FileKind.FILE, 5)
    assert (facts.mode, facts.owner, facts.group) == (0o640, os.getuid(), os.getgid())
    assert facts.modified == 1_700_000_000


async def test_the_facts_are_those_of_a_link_itself(host: Host, folder: Path) -> None:
    (folder / "link").symlink_to("nothing")
    assert (await host.facts(f"{folder}/link")).kind is FileKind.LINK


async def test_a_path_is_resolved_through_its_links(host: Host, folder: Path) -> None:
    (folder / "real").write_bytes(b"")
    (folder / "link").symlink_to("real")
    (folder / "second").symlink_to(folder / "link")
    assert await host.resolve(f"{folder}/second") == str((folder / "real").resolve())


async def test_a_link_to_nothing_is_not_resolved(host: Host, folder: Path) -> None:
    (folder / "link").symlink_to("nothing")
    with pytest.raises(NoSuchFile):
        await host.resolve(f"{folder}/link")


async def test_a_folder_lists_its_files_by_name(host: Host, folder: Path) -> None:
    (folder / "b").mkdir()
    (folder / "a").write_bytes(b"1")
    (folder / ".c").symlink_to("a")
    listed = await host.list(str(folder))
    assert [(facts.name, facts.kind) for facts in listed] == [
        (".c", FileKind.LINK),
        ("a", FileKind.FILE),
        ("b", FileKind.FOLDER),
    ]


async def test_a_name_that_is_no_text_is_listed_and_read(host: Host, folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe")).write_bytes(b"content")
    (facts,) = await host.list(str(folder))
    assert await host.read(f"{folder}/{facts.name}") == b"content"


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_a_hostile_name_is_only_a_name(host: Host, folder: Path, name: str) -> None:
    await host.create(f"{folder}/{name}", b"1", mode=0o600)
    await host.create(f"{folder}/other", b"2", mode=0o600)
    await host.rename(f"{folder}/other", f"{folder}/{name}")
    assert await host.read(f"{folder}/{name}") == b"2"
    assert [facts.name for facts in await host.list(str(folder))] == [name]
    await host.remove(f"{folder}/{name}")
    assert not list(folder.iterdir())


async def test_what_is_missing_has_its_own_error(host: Host, folder: Path) -> None:
    missing = f"{folder}/nothing"
    for asked in (
        host.read(missing),
        host.facts(missing),
        host.resolve(missing),
        host.list(missing),
        host.remove(missing),
        host.rename(missing, f"{folder}/other"),
        host.create(f"{missing}/file", b"", mode=0o600),
    ):
        with pytest.raises(NoSuchFile):
            await asked


async def test_a_folder_can_not_be_read_as_a_file(host: Host, folder: Path) -> None:
    with pytest.raises(HostFileError):
        await host.read(str(folder))


async def test_a_pipe_does_not_keep_its_reader_waiting(host: Host, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(HostFileError):
        await host.read(f"{folder}/pipe")


async def test_a_socket_is_neither_file_nor_folder(host: Host, folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(folder / "socket"))
        assert (await host.facts(f"{folder}/socket")).kind is FileKind.OTHER


@pytest.mark.parametrize("path", ["relative", "", "~other/file", "./x"])
async def test_a_path_that_begins_nowhere_is_refused(host: Host, path: str) -> None:
    with pytest.raises(HostFileError):
        await host.read(path)


async def test_no_path_contains_a_nul(host: Host, folder: Path) -> None:
    with pytest.raises(HostFileError):
        await host.read(f"{folder}/a\0b")


@pytest.mark.parametrize("name", ["a" * 256, "a/" * 2100, "a" * 300_000])
async def test_a_path_that_is_too_long_is_called_that(host: Host, folder: Path, name: str) -> None:
    with pytest.raises(HostFileError) as caught:
        await host.read(f"{folder}/{name}")
    assert "too long" in caught.value.why
    assert len(str(caught.value)) < 1000


async def test_the_tilde_is_the_home_of_the_login(host: Host) -> None:
    await host.create("~/at home", b"content", mode=0o600)
    try:
        assert await host.read(f"{await host.resolve('~')}/at home") == b"content"
    finally:
        await host.remove("~/at home")


async def test_a_home_that_is_nowhere_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoSuchFile, match=f"no home directory {tmp_path}/nowhere") as caught:
        await LocalHost(tmp_path / "nowhere").resolve("~/")
    assert "set HOME" in caught.value.remedy


async def test_an_error_is_harmless_on_screen(host: Host, folder: Path) -> None:
    with pytest.raises(NoSuchFile) as caught:
        await host.read(f"{folder}/\x1b[31mred\n")
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
