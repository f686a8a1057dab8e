"""The check-up on screen: lines appear as they come, `y` copies, `r` looks again, Esc closes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aitui.domain.checks import (
    CheckResult,
    CheckStage,
    CheckStatus,
    inconclusive_check,
    passing_check,
)
from aitui.domain.snapshot import Clock, Server
from aitui.ui.controllers.palette import screen_commands
from aitui.ui.screens import models
from aitui.ui.screens.doctor import DoctorScreen, RunChecks
from ui.driven import Driven, driven
from ui.themed import Themed

FROZEN = Clock(lambda: 100.0, lambda: 1_800_000_000.0)
WRONG = CheckResult("TLS", CheckStatus.FAILED, "wrong CA [@click=app.quit]x[/]", "set ca", 4)


class Bench(Themed):
    """Nothing but the screen, with the styles that the app has from its first one."""

    CSS_PATH = Path(models.__file__).with_suffix(".tcss")

    def __init__(self, check_up: RunChecks) -> None:
        super().__init__()
        self._check_up = check_up
        self.animation_level = "none"

    def on_mount(self) -> None:
        self.push_screen(DoctorScreen(self._check_up, FROZEN, str))


async def checked(seen: Driven) -> None:
    """Wait until the check-up has ended; looking at the whole screen all the while would slow it."""

    def ended() -> bool:
        screen = seen.app.screen
        return isinstance(screen, DoctorScreen) and not screen._checks_running

    await seen.until(ended, "checked")


async def of_many_lines() -> AsyncGenerator[CheckResult | CheckStage, None]:
    """More than a screen holds, the last one a fault."""
    for number in range(40):
        yield passing_check(f"line {number}", "seen")
    yield WRONG


@pytest.fixture
async def opened(server: Server, tmp_path: Path) -> AsyncIterator[Driven]:
    """The app on a server that works, with the check-up opened by its key."""
    async with driven(server, tmp_path) as app:
        await app.see(" ms ")
        await app.press("D")
        yield app


async def test_it_looks_at_the_server_that_is_shown(opened: Driven, server: Server) -> None:
    await checked(opened)
    await opened.see("Checked · ", " 0 failed", f"setting url  {server.url}")


async def test_y_copies_the_whole_report(server: Server, tmp_path: Path) -> None:
    async with driven(server, tmp_path) as app:
        app.app.push_screen(DoctorScreen(of_many_lines, FROZEN, str))
        await checked(app)
        await app.press("y")
        await app.until(lambda: app.app.clipboard.startswith("✔ line 0: seen\n"), "copied")
        assert app.app.clipboard.endswith("✘ TLS: wrong CA [@click=app.quit]x[/]\n    → set ca")


async def test_the_keys_of_lists_move_it() -> None:
    async with Bench(of_many_lines).run_test(size=(80, 24)) as pilot:
        seen = Driven(pilot.app, pilot)  # type: ignore[arg-type]
        await checked(seen)
        await seen.see("✘ TLS")
        await seen.press("g")
        await seen.see("✔ line 0 ")
        await seen.press("G")
        await seen.see("✘ TLS")


async def test_esc_goes_back_to_the_models(opened: Driven) -> None:
    await opened.press("escape")
    await opened.until(lambda: opened.app.screen is opened.models, "back")


async def test_the_palette_offers_it(opened: Driven) -> None:
    titles = {command.title for command in screen_commands(opened.models)}
    assert "doctor: check everything" in titles


async def test_r_looks_again() -> None:
    answers = iter([passing_check("TCP", "accepts connections"), WRONG])

    async def found() -> AsyncGenerator[CheckResult | CheckStage, None]:
        yield next(answers)

    async with Bench(found).run_test(size=(80, 24)) as pilot:
        seen = Driven(pilot.app, pilot)  # type: ignore[arg-type]
        await seen.see("Checked · 1 passed, 0 failed", "✔ TCP")
        await seen.press("r")
        await seen.see("Checked · 0 passed, 1 failed", "✘ TLS")
        assert "✔ TCP" not in seen.text


async def test_the_first_fault_is_brought_into_sight() -> None:
    async with Bench(of_many_lines).run_test(size=(80, 24)) as pilot:
        seen = Driven(pilot.app, pilot)  # type: ignore[arg-type]
        await checked(seen)
        await seen.see("✘ TLS", "→ set ca")
        assert "✔ line 0 " not in seen.text


async def test_lines_appear_before_the_check_up_has_ended() -> None:
    go_on = asyncio.Event()

    async def slow() -> AsyncGenerator[CheckResult | CheckStage, None]:
        yield CheckStage("network", 3, 8)
        yield passing_check("TCP", "accepts connections")
        await go_on.wait()
        yield WRONG

    app = Bench(slow)
    async with app.run_test(size=(80, 24)) as pilot:
        seen = Driven(app, pilot)  # type: ignore[arg-type]
        await seen.see("Checking 3 of 8: network, 0 s · 1 passed", "✔ TCP  accepts connections")
        assert "✘ TLS" not in seen.text
        go_on.set()
        await seen.see("Checked · 1 passed, 1 failed, 0 open", "✘ TLS", "→ set ca")


async def test_closing_ends_the_check_up(server: Server, tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncGenerator[CheckResult | CheckStage, None]:
        try:
            yield CheckStage("network", 3, 8)
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with driven(server, tmp_path) as app:
        app.app.push_screen(DoctorScreen(endless, FROZEN, str))
        await app.see("Checking 3 of 8: network")
        await app.press("escape")
        async with asyncio.timeout(15):
            await ended.wait()


async def test_what_is_seen_is_text_and_no_markup() -> None:
    async def found() -> AsyncGenerator[CheckResult | CheckStage, None]:
        yield WRONG

    app = Bench(found)
    async with app.run_test(size=(80, 24)) as pilot:
        await Driven(app, pilot).see("wrong CA [@click=app.quit]x[/]")  # type: ignore[arg-type]


def test_the_screen_looks_so(snap_compare: Any) -> None:
    async def found() -> AsyncGenerator[CheckResult | CheckStage, None]:
        yield CheckStage("certificate files", 2, 8)
        yield passing_check(
            "certificate authority", "/home/me/certs/root-ca.pem: CN=Example Root CA"
        )
        yield passing_check(
            "client certificate dates",
            "valid until 2026-12-04 12:00 UTC, 12 days left",
            "renew it in time; a renewed file is used without a restart",
        )
        yield CheckStage("network", 3, 8)
        yield passing_check("TCP", "192.168.2.2 accepts connections")
        yield WRONG
        yield CheckStage("answers", 4, 8)
        yield inconclusive_check(
            "/health", "not tried: the certificate of ai.example.org isn't trusted"
        )
        yield CheckStage("terminal", 8, 8)
        yield inconclusive_check(
            "tmux set-clipboard",
            "external: copies go to tmux's buffer",
            "tmux set -s set-clipboard on",
        )

    assert snap_compare(Bench(found), terminal_size=(80, 24), run_before=_until_checked)


async def _until_checked(pilot: Any) -> None:
    await Driven(pilot.app, pilot).see("Checked · ")
