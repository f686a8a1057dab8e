"""What is left of a fault of aitui itself."""

import os
from pathlib import Path

from aitui.ui.background import CRASH_LOG, write_crash_report


def test_a_crash_report_and_its_directories_are_private_under_any_umask(tmp_path: Path) -> None:
    state = tmp_path / ".local/state/aitui"
    before = os.umask(0)
    try:
        words = write_crash_report(ValueError("x"), state)
    finally:
        os.umask(before)
    assert str(state / CRASH_LOG) in words
    modes = [path.stat().st_mode & 0o777 for path in (state.parents[1], state, state / CRASH_LOG)]
    assert modes == [0o700, 0o700, 0o600]
