"""The program itself: it paints, obeys, and gives the terminal back however it ends."""

import asyncio
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from catalogue import QUICK, SLOW
from e2e.pseudo_terminal.terminal import PATIENCE, ROOT, Terminal, terminal
from stand_in import StandIn
from ui.hostile import catalogue_of
from watched import eventually

SEQUENCES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][0-9A-B]|[=>78])")
BREAK_RENDERING = """
import sys
from aitui.__main__ import main
from aitui.ui.widgets.model_table import ModelTable
def render_line(self, y):
    raise ZeroDivisionError("inside aitui")
ModelTable.render_line = render_line
sys.exit(main([]))
"""


def press_q(opened: Terminal) -> None:
    opened.press("q")


def press_control_q(opened: Terminal) -> None:
    opened.press("\x11")


def press_interrupt_twice(opened: Terminal) -> None:
    opened.press("\x03\x03")


def terminate(opened: Terminal) -> None:
    opened.process.send_signal(signal.SIGTERM)


def hang_up(opened: Terminal) -> None:
    opened.process.send_signal(signal.SIGHUP)


async def put_cursor_on(opened: Terminal, words: str) -> None:
    """Filter for a model."""
    opened.press("/")
    await opened.see("filter by id, name or state")
    opened.press(words)
    await opened.see(f"filter {words} ")
    opened.press("\r")
    await opened.see("l load", "▌")


async def begin_endless_load(opened: Terminal, stand_in: StandIn) -> None:
    """Press the key, and see the server begin what it doesn't end."""
    process = stand_in._active_runtime.swap.processes[SLOW]
    process.flags = replace(process.flags, load_delay=600.0)
    await put_cursor_on(opened, "slow")
    opened.press("l")
    await opened.see("loading")
    await eventually(lambda: stand_in.running() == {SLOW: "starting"})


def assert_given_back(opened: Terminal) -> None:
    """The terminal is as it was, and nothing was complained about."""
    assert opened.sent.count(b"\x1b[?1049h") == opened.sent.count(b"\x1b[?1049l") == 1
    assert opened.left_on == opened.left_off == set()
    assert opened.settings == opened.before
    assert b"Traceback" not in opened.sent
    assert SEQUENCES.sub(b"", opened.last_words).strip() == b"", opened.last_words


@pytest.mark.parametrize(
    ("end", "status"),
    [(press_q, 0), (press_interrupt_twice, 0), (terminate, 128 + 15), (hang_up, 128 + 1)],
)
async def test_every_way_out_gives_the_terminal_back(
    environment: dict[str, str],
    stand_in: StandIn,
    end: Callable[[Terminal], None],
    status: int,
) -> None:
    async with terminal((), environment) as opened:
        await opened.see(" ms ", QUICK)
        end(opened)
        assert await opened.ends() == status
        assert_given_back(opened)


@pytest.mark.parametrize(
    ("how", "shell"), [(signal.SIGSTOP, False), (signal.SIGSTOP, True), (signal.SIGTSTP, True)]
)
async def test_a_program_that_was_stopped_takes_its_terminal_back(
    environment: dict[str, str], how: signal.Signals, *, shell: bool
) -> None:
    async with terminal((), environment) as opened:
        await opened.see(" ms ", QUICK)
        taken = opened.settings
        await opened.stop(how)
        if shell:
            opened.restore_settings()
        opened.process.send_signal(signal.SIGCONT)
        await opened.until(lambda: opened.settings == taken, "the terminal taken")
        for _ in range(5):
            opened.press("?")
            await opened.see("╭─ Help")
            opened.press("\x1b")
            await opened.unsee("╭─ Help")
        opened.press("q")
        assert await opened.ends() == 0
        assert opened.left_on == opened.left_off == set()
        assert opened.settings == opened.before


@pytest.mark.parametrize("end", [terminate, hang_up])
async def test_the_end_comes_at_once_in_the_middle_of_a_load(
    environment: dict[str, str], stand_in: StandIn, end: Callable[[Terminal], None]
) -> None:
    async with terminal((), environment) as opened:
        await opened.see(" ms ", QUICK)
        await begin_endless_load(opened, stand_in)
        end(opened)
        await opened.ends()
        assert_given_back(opened)
    assert stand_in.running() == {SLOW: "starting"}


@pytest.mark.parametrize("quit_app", [press_q, press_interrupt_twice, press_control_q])
async def test_quitting_in_the_middle_of_a_load_asks_first(
    environment: dict[str, str], stand_in: StandIn, quit_app: Callable[[Terminal], None]
) -> None:
    async with terminal((), environment) as opened:
        await opened.see(" ms ", QUICK)
        await begin_endless_load(opened, stand_in)
        quit_app(opened)
        await opened.see("Quit aitui?", f"{SLOW} is still loading.", "▸ n Stay")
        # A question takes no yes before it can have been read.
        await asyncio.sleep(0.5)
        opened.press("y")
        assert await opened.ends() == 0
        assert_given_back(opened)


async def test_the_end_comes_at_once_with_a_question_open(
    environment: dict[str, str], stand_in: StandIn
) -> None:
    async with stand_in.busy(QUICK), terminal((), environment) as opened:
        await opened.see("ready")
        opened.press("U")
        await opened.see("Unload the only model?")
        terminate(opened)
        assert await opened.ends() == 143
        assert_given_back(opened)


async def test_keys_load_and_unload_a_model(environment: dict[str, str], stand_in: StandIn) -> None:
    async with terminal((), environment) as opened:
        await opened.see(" ms ", QUICK)
        await put_cursor_on(opened, "quick")
        opened.press("l")
        await opened.told(f"{QUICK} is ready after")
        assert stand_in.running() == {QUICK: "ready"}
        await opened.see("u unload")
        opened.press("u")
        await opened.told(f"{QUICK} is unloaded")
        assert stand_in.running() == {}
        opened.press("q")
        assert await opened.ends() == 0
        assert_given_back(opened)


async def test_a_resize_is_followed_at_once(environment: dict[str, str]) -> None:
    async with terminal((), environment) as opened:
        await opened.see(" ms ", QUICK)
        opened.resize(120, 36)
        await opened.see("╭─ Models")
        for columns, rows in ((2, 2), (20, 5), (200, 50), (60, 20)):
            opened.resize(columns, rows)
            await asyncio.sleep(0)
        await opened.see("STATE", "? help")
        opened.press("q")
        assert await opened.ends() == 0
        assert_given_back(opened)


async def test_the_environment_does_not_say_how_large_the_terminal_is(
    environment: dict[str, str],
) -> None:
    async with terminal((), {**environment, "COLUMNS": "30", "LINES": "9"}) as opened:
        await opened.see(" ms ", "? help")
        assert "? help" in opened.screen.display[-1]


async def test_a_terminal_of_two_cells_is_lived_through(environment: dict[str, str]) -> None:
    async with terminal((), environment, size=(2, 2)) as opened:
        await opened.until(lambda: b"\x1b[?1049h" in opened.sent, "begun")
        opened.resize(80, 24)
        await opened.see(" ms ", QUICK)
        opened.press("q")
        assert await opened.ends() == 0
        assert_given_back(opened)


async def test_hostile_models_reach_the_terminal_as_text_alone(
    nobody: dict[str, str],
) -> None:
    async with (
        StandIn(catalogue_of()) as server,
        terminal(["--url", server.url], nobody, size=(120, 36)) as opened,
    ):
        await opened.see(" ms ", "00[@click=app.quit]x[/]")
        for _ in range(20):
            opened.press("jy")
        await opened.see("17trailing")
        opened.press("q")
        assert await opened.ends() == 0
        assert_given_back(opened)
    for payload in (
        *(b"\x1b]8;", b"\x1b]0;", b"\x1b[31mred", b"evil.invalid\x1b", b"\x00", b"\x08"),
        *("\x9b2J".encode(), b"\x9b2J", "\x9d0;".encode(), "\u202e".encode(), "\u2066".encode()),
    ):
        assert payload not in opened.sent, payload
    assert b"]52;c;aGVsbG8=" not in opened.sent


async def test_a_fault_of_aitui_ends_it_with_a_sentence(environment: dict[str, str]) -> None:
    async with terminal((), environment, program=("-c", BREAK_RENDERING)) as opened:
        assert await opened.ends() == 1
        said = " ".join(SEQUENCES.sub(b"", opened.last_words).decode().split())
        assert said.startswith("aitui has failed: ZeroDivisionError; the details are in")
        assert b"Traceback" not in opened.sent
        assert opened.left_on == opened.left_off == set()
        assert opened.settings == opened.before
    log = Path(environment["HOME"], ".local/state/aitui/crash.log")
    assert "inside aitui" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("end", [press_q, terminate, hang_up])
async def test_the_demo_leaves_nothing_behind(
    nobody: dict[str, str], end: Callable[[Terminal], None]
) -> None:
    async with terminal(["--demo"], nobody) as opened:
        await opened.see("demo", " ms ")
        assert any(Path(nobody["TMPDIR"]).iterdir())
        end(opened)
        await opened.ends()
        assert_given_back(opened)
    assert not any(Path(nobody["TMPDIR"]).iterdir())
    assert not Path(nobody["HOME"], ".local").exists()


async def test_without_two_certificates_it_opens_on_the_steps_to_set_up(
    nobody: dict[str, str],
) -> None:
    folder = Path(nobody["HOME"], ".pi/agent/certs")
    folder.mkdir(parents=True)
    (folder / "client.pem").touch()
    async with terminal((), nobody) as opened:
        await opened.see("aitui has not connected to anything yet", "✘ missing")
        opened.press("q")
        assert await opened.ends() == 0
        assert_given_back(opened)


async def test_where_there_is_no_terminal_it_says_what_to_use(nobody: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aitui"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=nobody,
        cwd=ROOT,
    )
    async with asyncio.timeout(PATIENCE):
        out, words = await process.communicate()
    assert process.returncode == 2
    assert out == b""
    assert b"aitui needs a terminal; for scripts: aitui status --json" in words
