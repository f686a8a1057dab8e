"""The first line: server, link, views, memory and rate, as far as there is room."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.hardware.sample import Gpu
from aitui.domain.hues import Hues
from aitui.domain.memory.footprint import FootprintOrigin
from aitui.domain.memory.hardware_state import HardwareState
from aitui.domain.memory.usage import GpuMemoryUsage, GpuShare, MemoryUsage
from aitui.domain.snapshot import ConnectionPhase, Snapshot
from aitui.ui.theme import theme_color
from ui.driven import Driven, driven
from ui.hand_made import SERVER, STILL, live, show_instead_of_servers
from ui.mixture import GIB, MIXTURE, READY


def with_memory(used: int, total: int = 96) -> Snapshot:
    """Half of what is used is that of the ready model."""
    gpu = Gpu(0, total_bytes=total * GIB, used_bytes=used * GIB)
    share = GpuShare(READY.id, used * GIB // 2, FootprintOrigin.MEASURED)
    usage = MemoryUsage((GpuMemoryUsage(gpu, (share,), used * GIB // 2),))
    snapshot = live(*MIXTURE, hardware=HardwareState(usage=usage), generation_rate=48.3)
    return replace(snapshot, version="v263", hues=Hues({READY.id: 2}))


async def header_at(width: int, snapshot: Snapshot, folder: Path, **server: object) -> str:
    async with driven(replace(SERVER, **server), folder, clock=STILL, size=(width, 24)) as app:
        await app.see("14 ms")
        app.app.snapshot = snapshot
        await app.settle()
        return app.strips[0].text


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (
            120,
            " home ● 14 ms  1 Models  2 Logs  3 Activity  4 Hardware  5 Config VRAM ━━━━━━━━──── 62/96 GB   48 tok/s   v263 ",
        ),
        (80, " home ● 14 ms  1 Models 2 Logs 3 Activity 4 Hardware 5 Config    ━━━━── 62/96G "),
        (60, " home ● 14 ms  1 Models 2 3 4 5   ━━━━── 62/96G "),
        (40, " home ● 14 ms  48 tok/s   ━━━━── 62/96G "),
    ],
)
async def test_what_is_needed_least_leaves_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, width: int, line: str
) -> None:
    show_instead_of_servers(monkeypatch, live(*MIXTURE))
    shown = await header_at(width, with_memory(62), tmp_path)
    assert len(shown) == width
    assert " ".join(shown.split()) == " ".join(line.split())


@pytest.mark.parametrize(
    ("days", "profile", "last"),
    [(12.5, "evening", "! cert 12 days"), (90.0, "evening", "profile evening"), (90.0, "", "v263")],
)
async def test_the_last_item_is_the_certificate_else_the_profile_else_the_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, days: float, profile: str, last: str
) -> None:
    show_instead_of_servers(monkeypatch, live(*MIXTURE))
    expires = STILL.wall() + days * 86400
    snapshot = replace(with_memory(62), certificate_expires_at=expires, profile=profile)
    assert (await header_at(120, snapshot, tmp_path)).endswith(f" {last} ")


async def test_a_narrow_terminal_has_certificate_and_profile_in_its_messages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    show_instead_of_servers(monkeypatch, live(*MIXTURE))
    expires = STILL.wall() + 12.5 * 86400
    async with driven(SERVER, tmp_path, clock=STILL, size=(80, 24)) as app:
        await app.see("14 ms")
        assert app.app.server is not None
        snapshot = replace(with_memory(62), certificate_expires_at=expires, profile="evening")
        app.app.post_snapshot(app.app.server, snapshot)
        await app.told("The client certificate expires soon")
        await app.told("The profile evening is active")
        assert "cert" not in app.strips[0].text
        assert "5 Config" in app.strips[0].text


@pytest.mark.parametrize(("used", "color"), [(62, "foreground"), (82, "warning"), (92, "error")])
async def test_the_figure_of_the_memory_warns_near_its_end_and_the_bar_keeps_its_hues(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, used: int, color: str
) -> None:
    show_instead_of_servers(monkeypatch, live(*MIXTURE))
    async with driven(SERVER, tmp_path, clock=STILL, size=(120, 36)) as app:
        await app.see("14 ms")
        app.app.snapshot = with_memory(used)
        await app.settle()
        inks = {text: style.color for text, style, _ in app.strips[0] if style}
        assert inks[str(used)] == theme_color(app.app, color)
        bars = [style.color for text, style, _ in app.strips[0] if style and "━" in text]
        assert bars == [theme_color(app.app, name) for name in ("m2", "other")]


async def chip(app: Driven) -> list[str]:
    await app.settle()
    accent = theme_color(app.app, "accent")
    return [text for text, style, _ in app.strips[0] if style and style.bgcolor == accent]


async def test_a_click_on_a_view_opens_it_and_the_open_one_is_marked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    show_instead_of_servers(monkeypatch, live(*MIXTURE))
    async with driven(SERVER, tmp_path, clock=STILL, size=(120, 36)) as app:
        await app.see("14 ms")
        assert await chip(app) == [" 1 Models "]
        await app.click("4 Hardware")
        await app.until(lambda: app.app.screen.name == "hardware", "opened")
        assert await chip(app) == [" 4 Hardware "]
        await app.click("1 Models")
        await app.until(lambda: app.app.screen is app.models, "back")
        assert await chip(app) == [" 1 Models "]


async def test_without_colors_the_open_view_is_reversed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    show_instead_of_servers(monkeypatch, live(*MIXTURE))
    async with driven(SERVER, tmp_path, clock=STILL, size=(120, 36)) as app:
        await app.see("14 ms")
        marked = [
            [text for text, style, _ in strip if style and style.reverse] for strip in app.strips
        ]
        # The second one is the title of the pane in focus.
        assert marked[:2] == [[" 1 Models "], [" Models "]]


@pytest.mark.parametrize(("width", "named"), [(119, False), (120, True)])
async def test_the_footer_names_the_restart_where_there_is_room_and_first_where_it_is_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, width: int, named: bool
) -> None:
    show_instead_of_servers(monkeypatch, live(*MIXTURE))
    server = replace(SERVER, ssh_host="box")
    async with driven(server, tmp_path, clock=STILL, size=(width, 36)) as app:
        await app.see("14 ms")
        await app.until(lambda: app.strips[-1].text.endswith("? help "), "the keys")
        assert ("R restart" in app.strips[-1].text) is named
        lost = replace(app.app.snapshot.connection, phase=ConnectionPhase.LOST)
        app.app.snapshot = replace(app.app.snapshot, connection=lost)
        await app.until(lambda: app.strips[-1].text.startswith(" R restart  F5 retry now"), "lost")


async def test_a_snapshot_that_comes_while_the_app_ends_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    show_instead_of_servers(monkeypatch, live(*MIXTURE))
    async with driven(SERVER, tmp_path, clock=STILL, size=(120, 36)) as app:
        body = app.models._body
        body._detach()  # as of a screen that was closed before its panes were mounted
        app.models._show_snapshot(with_memory(62))
        body._attach(app.models)
        assert not app.app.query("#memory")
