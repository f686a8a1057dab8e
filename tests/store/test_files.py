"""Files of the state directory, whatever stands in their place."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aitui.errors import HistoryError, JournalError
from aitui.store.files import (
    MOST_URLS,
    URLS_FILE,
    file_stem,
    forget_url,
    make_private_directory,
    read_bounded,
    read_urls,
    remember_url,
    write_named_file,
)
from aitui.store.history import ConversationHistory
from aitui.store.journal import Journal
from aitui.ui.background import CRASH_LOG, write_crash_report


def test_every_new_directory_is_private_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private_directory(tmp_path / ".local/state/aitui")
    finally:
        os.umask(before)
    made = (tmp_path / each for each in (".local", ".local/state", ".local/state/aitui"))
    assert [path.stat().st_mode & 0o777 for path in made] == [0o700] * 3


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_refused_at_once(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    make(path)
    with pytest.raises((ValueError, OSError), match=r"regular file|directory"):
        read_bounded(path, 100)


def test_the_newest_urls_are_remembered(tmp_path: Path) -> None:
    for number in range(MOST_URLS + 2):
        remember_url(tmp_path, f"http://h{number}")
    remember_url(tmp_path, "http://h5")
    forget_url(tmp_path, "http://h10")
    assert read_urls(tmp_path)[:3] == ("http://h5", "http://h11", "http://h9")
    assert len(read_urls(tmp_path)) == MOST_URLS - 1
    (tmp_path / URLS_FILE).write_bytes(b"\xff")
    assert read_urls(tmp_path) == ()
    (tmp_path / URLS_FILE).write_text("http://x\x1b[31m")
    assert read_urls(tmp_path) == ("http://x",)


@pytest.mark.parametrize(
    ("words", "stem"),
    [
        ("KV cache on two cards?", "KV-cache-on-two-cards"),
        ("ZFS send over SSH: 2.3", "ZFS-send-over-SSH-2.3"),
        ("Größe in 東京", "Größe-in-東京"),
        ("../../.ssh/authorized_keys", "ssh-authorized_keys"),
        ("--help", "help"),
        ("a\x1b]0;x\x07b\n\tc\u202e\x00", "a-0-x-b-c"),
        ("///", "untitled"),
        ("", "untitled"),
        ("日本" * 100, "日本" * 20),
    ],
)
def test_a_title_of_any_kind_gives_a_safe_name(words: str, stem: str) -> None:
    assert file_stem(words) == stem


def test_files_of_one_title_stand_beside_each_other(tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    first = write_named_file(folder, "a title", ".md", b"1")
    second = write_named_file(folder, "a title", ".md", b"2")
    assert (first.name, second.name) == ("a-title.md", "a-title-2.md")
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"2")
    assert [path.stat().st_mode & 0o777 for path in (folder, first)] == [0o700, 0o600]


def _link_to_null(path: Path) -> None:
    path.symlink_to("/dev/null")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, _link_to_null])
async def test_neither_journal_nor_history_waits_for_what_is_no_file(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "kept"
    make(path)
    mode = path.stat().st_mode
    async with asyncio.timeout(20):
        with pytest.raises(JournalError):
            await Journal.open(path).entries()
        with pytest.raises(HistoryError):
            await ConversationHistory.open(path)
    assert path.stat().st_mode == mode  # of the device, which belongs to everybody


def test_a_crash_report_takes_the_place_of_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / CRASH_LOG
    os.mkfifo(path)
    assert str(path) in write_crash_report(ValueError("7"), tmp_path)
    assert "ValueError: 7" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
