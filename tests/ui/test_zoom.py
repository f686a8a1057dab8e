"""`z` gives one pane the whole screen; `o` opens the server's own page, or copies its address."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.release import ServerRelease
from aitui.ui.widgets.model_detail import ModelDetail
from ui.driven import Driven, driven
from ui.hand_made import SERVER, STILL, live, show_instead_of_servers
from ui.mixture import MIXTURE


@pytest.mark.parametrize("size", [(120, 36), (80, 24)])
async def test_z_zooms_the_pane_in_focus_and_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: tuple[int, int]
) -> None:
    show_instead_of_servers(monkeypatch, live(*MIXTURE))
    async with driven(SERVER, tmp_path, clock=STILL, size=size) as app:
        await app.see("ms")
        await app.settle()
        before = app.text
        detail = app.models.query_one(ModelDetail)
        detail.focus()
        await app.press("z")
        await app.until(lambda: detail.outer_size.width == size[0], "zoomed")
        assert detail.region.y == 1
        assert detail.region.bottom == app.app.screen.query_one("#keys").region.y
        assert "home" in app.strips[0].text
        await app.press("z")
        await app.until(lambda: detail.outer_size.height < size[1] - 2, "back")
        app.table.focus()
        await app.until(lambda: app.text == before, "as before")


RELEASES = [(ServerRelease(231), "/ui/#/models/a%2Fb"), (ServerRelease(218, 219), "/ui/")]


async def open_page(app: Driven, monkeypatch: pytest.MonkeyPatch, release: ServerRelease) -> None:
    model = replace(MIXTURE[0], id="a/b")
    monkeypatch.setattr(
        app.controllers.context.session.monitor, "snapshot", live(model, release=release)
    )
    app.app.snapshot = live(model, release=release)
    await app.settle()
    await app.press("o")


@pytest.mark.parametrize(("release", "path"), RELEASES)
async def test_over_ssh_the_address_of_the_page_is_copied(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, release: ServerRelease, path: str
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.2 5 10.0.0.1 22")
    monkeypatch.setenv("DISPLAY", ":0")
    show_instead_of_servers(monkeypatch, live(*MIXTURE))
    async with driven(SERVER, tmp_path, clock=STILL) as app:
        await app.see("ms")
        await open_page(app, monkeypatch, release)
        await app.told(f"Copied {SERVER.url}{path}")


async def test_on_a_desktop_the_page_opens_in_the_browser(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    show_instead_of_servers(monkeypatch, live(*MIXTURE))
    async with driven(SERVER, tmp_path, clock=STILL) as app:
        await app.see("ms")
        await open_page(app, monkeypatch, ServerRelease(231))
        await app.told("Opened")
        assert opened.read_text().strip() == f"{SERVER.url}/ui/#/models/a%2Fb"
