"""Files of the state directory, whatever stands in their place."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aitui.store.files import make_private_directory, read_bounded


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
