"""Bell and notification for somebody who is elsewhere when a load ends."""

import asyncio
import re
from pathlib import Path
from queue import Queue
from types import SimpleNamespace

import pytest

from aitui.domain.snapshot import Server
from aitui.ui.terminal.notifications import notification_sequence
from aitui.ui.terminal.screen_diff import MAX_PENDING_WRITES
from catalogue import OUT_OF_MEMORY, PAIR_CHAT, QUICK, UNHURRIED
from e2e.pseudo_terminal.terminal import Terminal, surroundings, terminal
from stand_in import StandIn
from ui.driven import driven

OSC = re.compile(rb"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\\\)")


def called(shown: Terminal, words: str) -> bool:
    return f"\x07\x1b]9;aitui: {words}\x1b\\".encode() in shown.sent


def rang(shown: Terminal) -> bool:
    """Whether there was a bell, or a notification: BEL ends harmless sequences as well."""
    return b"\x07" in OSC.sub(b"", shown.sent) or b"\x1b]9;" in shown.sent


async def choose(shown: Terminal, model_id: str) -> None:
    shown.press("/")
    await shown.see("filter by id")
    shown.press(f"{model_id}\r")
    await shown.unsee(PAIR_CHAT)


async def test_nobody_is_called_by_a_terminal_that_takes_nothing(
    plain: StandIn, tmp_path: Path
) -> None:
    server = Server(url=plain.url, identity="plain", name="plain")
    async with driven(server, tmp_path) as running:
        written: list[str] = []
        waiting: Queue[str] = Queue()
        driver = running.app._driver
        assert driver is not None
        # The part of a terminal that a test without one doesn't have, as an editor leaves it.
        driver._writer_thread = SimpleNamespace(_queue=waiting)  # type: ignore[attr-defined]
        driver.write = written.append  # type: ignore[method-assign, assignment]
        running.app.app_focus = False
        running.app._notifier.notify_if_away("it is ready")
        assert len(written) == 1
        for _ in range(MAX_PENDING_WRITES + 1):
            waiting.put("a frame that was not taken yet")
        running.app._notifier.notify_if_away("it is ready")
        assert len(written) == 1


async def test_a_load_that_ends_in_another_window_rings(shown: Terminal) -> None:
    await choose(shown, UNHURRIED)
    shown.press("l")
    await shown.see("loading")
    shown.lose_focus()
    await shown.told(f"{UNHURRIED} is ready after")
    assert called(shown, f"{UNHURRIED} is ready")


async def test_a_load_that_fails_rings(shown: Terminal) -> None:
    await choose(shown, OUT_OF_MEMORY)
    shown.press("l")
    shown.lose_focus()
    await shown.told("could not be loaded")
    assert called(shown, f"{OUT_OF_MEMORY} could not be loaded")


async def test_a_load_that_ends_below_another_view_rings(shown: Terminal) -> None:
    await choose(shown, UNHURRIED)
    shown.press("l")
    await shown.see("loading")
    shown.press("2")
    await shown.see("both")
    await shown.told(f"{UNHURRIED} is ready after")
    assert called(shown, f"{UNHURRIED} is ready")


async def test_who_looks_at_it_is_left_in_peace(shown: Terminal) -> None:
    await choose(shown, QUICK)
    shown.press("l")
    await shown.told(f"{QUICK} is ready after")
    await asyncio.sleep(1)
    assert not rang(shown)


async def test_it_can_be_turned_off(plain: StandIn, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("notifications = false\n")
    arguments = ["--url", plain.url, "--config", str(config)]
    async with terminal(arguments, surroundings(tmp_path)) as shown:
        await shown.see(" ms ", QUICK)
        await choose(shown, UNHURRIED)
        shown.press("l")
        await shown.see("loading")
        shown.lose_focus()
        await shown.told(f"{UNHURRIED} is ready after")
        await asyncio.sleep(1)
        assert not rang(shown)


def test_inside_tmux_it_is_wrapped_to_be_passed_through() -> None:
    sent = notification_sequence("done", {"TERM": "tmux-256color", "TMUX": "/tmp/tmux,1,0"})
    assert sent == "\x07\x1bPtmux;\x1b\x1b]9;aitui: done\x1b\x1b\\\x1b\\"


@pytest.mark.parametrize("environment", [{"TERM": "linux"}, {}, {"TERM": "screen", "STY": "1.x"}])
def test_a_terminal_without_notifications_gets_the_bell_alone(environment: dict[str, str]) -> None:
    assert notification_sequence("done", environment) == "\x07"


def test_hostile_words_stay_within_the_notification() -> None:
    sent = notification_sequence("4;1\x1b\\\x07\x9c\x1b]52;c;eA==\x07 end\n", {"TERM": "xterm"})
    assert (
        sent.removeprefix("\x07")
        .removeprefix("\x1b]9;aitui: ")
        .removesuffix("\x1b\\")
        .isprintable()
    )
