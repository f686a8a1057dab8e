"""Where a copied text goes: tmux, the terminal's clipboard, or a file, and that it is told."""

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from shlex import join
from time import monotonic

import pytest

from aitui.errors import AituiError
from aitui.services.clipboard import FILE_NAME, LARGEST_COPY, copy_text, supports_osc52
from catalogue import ODD, QUICK
from e2e.pseudo_terminal.terminal import PATIENCE, Terminal, surroundings, terminal
from stand_in import StandIn

GOOD = {"TERM": "xterm-256color"}


def osc_52(text: str) -> bytes:
    return b"\x1b]52;c;" + base64.b64encode(text.encode()) + b"\x07"


class Tmux:
    """A tmux server of its own, and one program in it."""

    def __init__(self, folder: Path) -> None:
        self._command = ("tmux", "-S", str(folder / "tmux"), "-f", "/dev/null")

    async def __call__(self, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *self._command, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        answer, _ = await process.communicate()
        return answer.decode()

    async def see(self, text: str) -> None:
        """Wait until a text is in the pane."""
        deadline = monotonic() + PATIENCE
        while text not in (pane := await self("capture-pane", "-p")):
            assert monotonic() < deadline, f"never seen: {text}; the pane:\n{pane}"
            await asyncio.sleep(0.1)


@pytest.fixture
async def tmux(plain: StandIn, tmp_path: Path) -> AsyncIterator[Tmux]:
    """A tmux with the program in it."""
    tmux = Tmux(tmp_path)
    variables = [f"{name}={value}" for name, value in surroundings(tmp_path).items()]
    program = join(["env", *variables, sys.executable, "-m", "aitui", "--url", plain.url])
    await tmux("new-session", "-d", "-x", "80", "-y", "24", program)
    try:
        await tmux.see(QUICK)
        yield tmux
    finally:
        await tmux("kill-server")


@pytest.mark.real_server("tmux")
async def test_inside_tmux_it_goes_to_its_buffer(tmux: Tmux) -> None:
    await tmux("send-keys", "y")
    await tmux.see(f"Copied {ODD} to tmux's buffer")
    assert await tmux("show-buffer") == ODD


@pytest.mark.real_server("tmux")
async def test_a_tmux_that_has_gone_is_passed_over(tmp_path: Path) -> None:
    sent: list[str] = []
    gone = {**os.environ, **GOOD, "TMUX": f"{tmp_path}/gone,1,0"}
    assert await copy_text("text", gone, sent.append, tmp_path) == "to the terminal's clipboard"
    assert "".join(sent).encode() == osc_52("text")


async def test_outside_tmux_it_goes_to_the_terminals_clipboard(shown: Terminal) -> None:
    shown.press("y")
    await shown.told(f"Copied {ODD} to the terminal's clipboard")
    assert osc_52(ODD) in shown.sent


async def test_what_is_selected_with_the_mouse_goes_there_too(shown: Terminal) -> None:
    row = shown.line_of("not loaded") + 1
    for button, column, end in ((0, 11, "M"), (32, 14, "M"), (32, 21, "M"), (0, 21, "m")):
        shown.press(f"\x1b[<{button};{column};{row}{end}")
        await asyncio.sleep(0.1)
    shown.press("\x03")
    await shown.told("to the terminal's clipboard")
    assert b"\x1b]52;c;" in shown.sent


async def test_where_the_terminal_takes_none_a_file_is_written(
    plain: StandIn, tmp_path: Path
) -> None:
    environment = surroundings(tmp_path, TERM="linux")
    async with terminal(["--url", plain.url], environment) as shown:
        await shown.see(" ms ", QUICK)
        shown.press("y")
        await shown.told(f"Copied {ODD} to /")
        assert b"\x1b]52" not in shown.sent
    file = tmp_path / ".local/state/aitui" / FILE_NAME
    assert file.read_text() == ODD
    assert file.stat().st_mode & 0o777 == 0o600


async def test_the_most_that_terminals_take_is_sent_and_more_goes_to_a_file(tmp_path: Path) -> None:
    sent: list[str] = []
    await copy_text("x" * LARGEST_COPY, GOOD, sent.append, tmp_path)
    assert len(sent[0]) == 100_000
    where = await copy_text("x" * (LARGEST_COPY + 1), GOOD, sent.append, tmp_path)
    assert where == f"to {tmp_path / FILE_NAME}"
    assert len(sent) == 1


async def test_where_nothing_can_be_written_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AituiError, match="The text could not be copied"):
        await copy_text("text", {}, print, tmp_path / "file")


@pytest.mark.parametrize(
    ("environment", "takes"),
    [
        (GOOD, True),
        ({"TERM": "foot"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7600"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7500"}, False),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7" * 5000}, True),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, False),
        ({"TERM": "screen-256color", "STY": "1.pts"}, False),
        ({"TERM": "linux"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_terminals_are_told_by_their_environment(environment: dict[str, str], takes: bool) -> None:
    assert supports_osc52(environment) is takes
