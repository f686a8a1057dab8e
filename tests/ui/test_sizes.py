"""Every view and every dialog at every size that a terminal can have: nothing ends the app."""

import asyncio
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.capture import Capture
from aitui.domain.snapshot import Server
from aitui.ui.screens.new_server import NewServerScreen
from stand_in import StandIn
from ui.activity.recorded import CHAT, show_record
from ui.chat.pane import CONFIG, FAST
from ui.driven import Driven, driven
from ui.hand_made import SERVER, STILL, show_instead_of_servers
from ui.test_dialog_frames import DIALOGS, FIELDS, SNAPSHOT
from ui.test_first_run import first_start, port_of
from undrawn_frames import Frames

SIZES = [(1, 1), (2, 1), (1, 60), (3, 3), (9, 4), (500, 1), (39, 9)]
LARGEST = (500, 200)
VIEWS = {
    "models": ("1",),
    "zoomed": ("1", "z"),
    "activity": ("1", "tab", "tab", "z"),
    "logs": ("2",),
    "config": ("5",),
    "hardware": ("4",),
    "filter": ("1", "slash", "a"),
    "menu of servers": ("S",),
    "keys": ("question_mark",),
    "doctor": ("D",),
}

RECORD_VIEWS = {
    ("3",): "4 today",
    ("b",): "By model",
    ("escape", "v"): "Residency",
    ("escape", "enter"): "[end]",
    ("tab",): '"content"',
}


async def become(app: Driven, size: tuple[int, int]) -> None:
    """Let the terminal have a size, and draw it."""
    await app.pilot.resize_terminal(*size)
    await app.until(lambda: app.app.size == size, "resized")
    await app.settle()
    assert len(app.strips) == size[1]
    assert app.app._exception is None, size
    assert app.app.is_running, size


async def resize(app: Driven, *more: tuple[int, int]) -> None:
    """Let the terminal have each of the sizes."""
    for size in (*SIZES, *more, (80, 24)):
        await become(app, size)


async def test_every_dialog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    show_instead_of_servers(monkeypatch, SNAPSHOT)
    async with driven(SERVER, tmp_path, size=(80, 24), clock=STILL) as app:
        for build in (DIALOGS | FIELDS).values():
            await app.app.push_screen(build())
            for size in (*SIZES, LARGEST, (80, 24)):
                await become(app, size)
                due = Frames.due
                await asyncio.sleep(0.5)  # of idle time, which passes at once
                assert Frames.due - due < 10, size
            await app.app.pop_screen()


async def test_every_view(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"# {'日本' * 200}\n{CONFIG}")
    async with StandIn(CONFIG) as there:
        where = Server(
            there.url, identity="sizes", name="sizes", ssh_host="local", preset_path=str(file)
        )
        async with driven(where, tmp_path) as app:
            await app.until(lambda: app.models.snapshot.models, "listed")
            for keys in VIEWS.values():
                await app.press(*keys)
                await resize(app, LARGEST)
                await app.press("escape", "escape")


async def test_every_view_of_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = json.dumps({"messages": [{"role": "user", "content": f"{'日本' * 200} [end]"}]})
    kept = Capture(4, CHAT, {"User-Agent": "pi/1"}, asked, {}, "reply " * 200)
    show_record(monkeypatch, SNAPSHOT, tmp_path, capture=kept)
    async with driven(SERVER, tmp_path, size=(80, 24), clock=STILL) as app:
        for keys, words in RECORD_VIEWS.items():
            await app.press(*keys)
            await app.see(words)
            await resize(app, LARGEST)
            await app.see(words)


async def test_what_is_before_a_server(server: Server, stand_in: StandIn, tmp_path: Path) -> None:
    async with first_start(tmp_path, (port_of(stand_in.url),)) as app:
        await app.press("a")
        await app.until(lambda: isinstance(app.app.screen, NewServerScreen), "asked")
        await resize(app)
        await app.press("escape")
        await resize(app, LARGEST)
    gone = tmp_path / "gone" / "client.pem"
    missing = (("client certificate", gone), ("client key", gone))
    here = replace(server, is_default=True, client_cert=gone, client_key=gone)
    async with driven(here, tmp_path / "other", missing=missing) as app:
        await app.see("✘ missing")
        await resize(app, LARGEST)


async def test_a_chat_with_a_reply(tmp_path: Path) -> None:
    async with StandIn(CONFIG) as there:
        where = Server(there.url, identity="sizes", name="sizes")
        async with driven(where, tmp_path) as app:
            await app.until(lambda: app.models.snapshot.models, "listed")
            app.go_to(FAST)
            await app.press("enter")
            await app.see("Ask")
            await app.press(*"hi", "enter")
            await app.see("hi", "tok/s")
            await resize(app, LARGEST)
            for cells in (1, 2, 3):
                # The pane has the whole width: its text wrapped by a width below one cell.
                await become(app, (cells, 24))
                await app.press(*"日x", "enter")
                await app.settle()
                assert app.app._exception is None, cells


async def test_what_is_written_meanwhile_goes_on_into_the_prompt(tmp_path: Path) -> None:
    async with StandIn(CONFIG) as there:
        where = Server(there.url, identity="sizes", name="sizes")
        async with driven(where, tmp_path) as app:
            await app.until(lambda: app.models.snapshot.models, "listed")
            app.go_to(FAST)
            await app.press("enter")
            await app.see("Ask")
            for size in (*SIZES, (80, 24)):
                await become(app, size)
                await app.press(*"xlq")
            assert app.models.chat.prompt.text == "xlq" * (len(SIZES) + 1)
