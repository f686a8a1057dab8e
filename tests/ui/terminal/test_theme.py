"""The theme: chosen in the palette, kept for the next start."""

from pathlib import Path

import pytest

from aitui.store.files import THEME_FILE, read_theme, save_theme
from catalogue import QUICK
from e2e.pseudo_terminal.terminal import surroundings, terminal
from stand_in import StandIn

GRUVBOX_GROUND = b"48;2;40;40;40"


async def test_a_chosen_theme_is_there_at_the_next_start(plain: StandIn, tmp_path: Path) -> None:
    environment = surroundings(tmp_path)
    async with terminal(["--url", plain.url], environment) as shown:
        await shown.see(" ms ", QUICK)
        assert GRUVBOX_GROUND not in shown.sent
        shown.press(":")
        await shown.see("Commands")
        shown.press("theme")
        await shown.unsee("unload all")
        shown.press(" gruvbox")
        await shown.unsee("nord")
        shown.press("\r")
        await shown.until(lambda: GRUVBOX_GROUND in shown.sent, "in other colors")
        file = tmp_path / ".local/state/aitui" / THEME_FILE
        await shown.until(file.exists, "kept")
        assert file.stat().st_mode & 0o777 == 0o600
    async with terminal(["--url", plain.url], environment) as again:
        await again.see(" ms ", QUICK)
        assert GRUVBOX_GROUND in again.sent


@pytest.mark.parametrize("content", [b"no such theme\n", b"\xff\xfe", b"x" * 10_000, b""])
async def test_a_file_that_names_no_theme_is_as_none(
    plain: StandIn, tmp_path: Path, content: bytes
) -> None:
    state = tmp_path / ".local/state/aitui"
    state.mkdir(parents=True)
    (state / THEME_FILE).write_bytes(content)
    async with terminal(["--url", plain.url], surroundings(tmp_path)) as shown:
        await shown.see(" ms ", QUICK)


def test_what_is_kept_is_read(tmp_path: Path) -> None:
    assert not read_theme(tmp_path)
    save_theme(tmp_path, "nord")
    assert read_theme(tmp_path) == "nord"
