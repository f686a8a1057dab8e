"""What is said of a terminal, by its environment and by a real tmux."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aitui.domain.checks import CheckResult, CheckStatus
from aitui.services.doctor.terminal import TerminalInfo, check_terminal
from services.doctor.examined import Report, in_terminal, reported


async def seen(terminal: TerminalInfo) -> Report:
    return await reported(lambda report: check_terminal(terminal, report))


async def one(name: str, environment: dict[str, str]) -> CheckResult:
    return (await seen(in_terminal(environment)))[name]


async def test_without_a_terminal_there_is_nothing_to_say() -> None:
    report = await seen(TerminalInfo(None, {"TERM": "dumb"}))
    assert [check.status for check in report.checks] == [CheckStatus.OPEN]


@pytest.mark.parametrize(
    ("size", "status"),
    [
        ((80, 24), CheckStatus.PASSED),
        ((79, 24), CheckStatus.FAILED),
        ((200, 23), CheckStatus.FAILED),
    ],
)
async def test_the_size_has_to_hold_the_dashboard(
    size: tuple[int, int], status: CheckStatus
) -> None:
    report = await seen(in_terminal({"TERM": "xterm"}, size))
    assert report.status("terminal size") is status


@pytest.mark.parametrize(
    ("environment", "status", "words"),
    [
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, CheckStatus.PASSED, "16 million"),
        ({"TERM": "xterm-256color"}, CheckStatus.PASSED, "256"),
        ({"TERM": "xterm"}, CheckStatus.OPEN, "16, by TERM=xterm"),
        ({"TERM": "dumb"}, CheckStatus.FAILED, "can't draw a screen"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, CheckStatus.OPEN, "NO_COLOR is set"),
    ],
)
async def test_colors_are_told(
    environment: dict[str, str], status: CheckStatus, words: str
) -> None:
    check = await one("terminal colors", environment)
    assert check.status is status
    assert words in check.seen


@pytest.mark.parametrize(
    ("environment", "status"),
    [
        ({"LANG": "de_DE.UTF-8"}, CheckStatus.PASSED),
        ({"LANG": "de_DE.utf8@euro"}, CheckStatus.PASSED),
        ({"LANG": "de_DE.ISO-8859-1"}, CheckStatus.FAILED),
        ({"LC_ALL": "de_DE.ISO-8859-1", "LANG": "de_DE.UTF-8"}, CheckStatus.FAILED),
        ({"LANG": "C"}, CheckStatus.OPEN),
        ({}, CheckStatus.OPEN),
    ],
)
async def test_unicode_is_told_by_the_locale(
    environment: dict[str, str], status: CheckStatus
) -> None:
    assert (await one("terminal Unicode", {"TERM": "xterm", **environment})).status is status


@pytest.mark.parametrize("variable", ["LC_ALL", "LC_CTYPE", "LANG"])
async def test_the_remedy_sets_the_variable_that_decides(variable: str) -> None:
    lower = {"LANG": "de_DE.UTF-8"} if variable != "LANG" else {}
    environment = {"TERM": "xterm", **lower, variable: "de_DE.ISO-8859-1"}
    check = await one("terminal Unicode", environment)
    assert check.remedy == f"export {variable}=C.UTF-8"
    mended = await one("terminal Unicode", {**environment, variable: "C.UTF-8"})
    assert mended.status is CheckStatus.PASSED


@pytest.mark.parametrize(
    ("environment", "status"),
    [
        ({"TERM": "xterm-kitty"}, CheckStatus.PASSED),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, CheckStatus.PASSED),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7802"}, CheckStatus.PASSED),
        ({"TERM": "xterm-256color", "VTE_VERSION": "6800"}, CheckStatus.OPEN),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, CheckStatus.OPEN),
        ({"TERM": "xterm-256color"}, CheckStatus.OPEN),
        ({"TERM": "linux"}, CheckStatus.OPEN),
        ({"TERM": "xterm-kitty", "STY": "1.tty"}, CheckStatus.OPEN),
    ],
)
async def test_the_clipboard_is_told_by_the_terminals_name(
    environment: dict[str, str], status: CheckStatus
) -> None:
    assert (await one("terminal clipboard (OSC 52)", environment)).status is status


async def test_a_hostile_term_is_shown_harmless() -> None:
    check = await one("terminal colors", {"TERM": "\x1b]0;x\x07evil"})
    assert "\x1b" not in check.seen


async def test_outside_tmux_that_is_said() -> None:
    assert (await one("tmux", {"TERM": "xterm"})).status is CheckStatus.OPEN


async def test_a_tmux_that_has_gone_is_told(tmp_path: Path) -> None:
    check = await one("tmux", {**os.environ, "TMUX": f"{tmp_path}/gone,1,0"})
    assert check.status is CheckStatus.OPEN
    assert "does not respond" in check.seen


@pytest.fixture
def inside_tmux(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment inside of a tmux of this test's own."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    socket = tmp_path / "tmux"
    command = ["tmux", "-S", str(socket), "-f", "/dev/null"]
    subprocess.run([*command, "new-session", "-d", "sleep 600"], check=True)
    yield {**os.environ, "TERM": "tmux-256color", "TMUX": f"{socket},1,0"}
    subprocess.run([*command, "kill-server"], check=True)


def set_option(environment: dict[str, str], *words: str) -> None:
    subprocess.run(["tmux", "set-option", *words], env=environment, check=True)


async def test_a_tmux_that_passes_everything_on_passes(inside_tmux: dict[str, str]) -> None:
    set_option(inside_tmux, "-s", "set-clipboard", "on")
    set_option(inside_tmux, "-wg", "allow-passthrough", "on")
    report = await seen(in_terminal(inside_tmux))
    assert report.status("tmux set-clipboard") is CheckStatus.PASSED
    assert report.status("tmux allow-passthrough") is CheckStatus.PASSED
    assert report["tmux"].seen[0].isdigit()


async def test_a_tmux_that_keeps_copies_to_itself_is_told(inside_tmux: dict[str, str]) -> None:
    set_option(inside_tmux, "-s", "set-clipboard", "external")
    set_option(inside_tmux, "-wg", "allow-passthrough", "off")
    report = await seen(in_terminal(inside_tmux))
    assert report["tmux set-clipboard"].remedy == "tmux set -s set-clipboard on"
    assert report["tmux allow-passthrough"].remedy == "tmux set -wg allow-passthrough on"
    assert report.status("tmux set-clipboard") is CheckStatus.OPEN
