"""Where the config file is read on the server's machine, whom a load evicts is no guess."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.demo import unit as demo_unit
from aitui.demo.unit import CONFIG_PATH
from aitui.demo.world import DemoEnvironment, demo_world
from aitui.domain.models import Model, RunState
from aitui.domain.snapshot import Server, Snapshot
from aitui.paths import Paths
from aitui.services.config_watch import read_server_config
from aitui.services.host_admin import HostAdmin, open_administration
from aitui.store.journal import ChangeOutcome, JournalEntry
from ui.driven import REAL_CLOCK, Driven, driven

CONFIG = """\
startPort: 5800
models:
  big-70b: {cmd: "llama-server --port ${PORT} --load-delay 0.1"}
  other-30b: {cmd: "llama-server --port ${PORT} --load-delay 0.1"}
  small-3b: {cmd: "llama-server --port ${PORT} --load-delay 0.1", aliases: [tiny]}
  embed-1b: {cmd: "llama-server --port ${PORT} --load-delay 0.1", unlisted: true}
  kept-8b: {cmd: "llama-server --port ${PORT} --load-delay 0.1"}
groups:
  small ones: {swap: false, exclusive: false, members: [small-3b, embed-1b]}
  kept: {persistent: true, exclusive: false, members: [kept-8b]}
"""
LATER = 3600.0


@pytest.fixture
async def world() -> AsyncIterator[DemoEnvironment]:
    async with demo_world(config_text=CONFIG) as there:
        yield there


@pytest.fixture
def server(world: DemoEnvironment) -> Server:
    return Server(
        url=world.url,
        identity="demo",
        name="demo",
        ca=world.certificates.root_ca,
        client_cert=world.certificates.client_cert,
        client_key=world.certificates.client_key,
        ssh_host=world.ssh_host,
        ssh_home=world.ssh_setup.home,
    )


@pytest.fixture
async def app(server: Server, tmp_path: Path) -> AsyncIterator[Driven]:
    """The app, once it knows the rules."""
    async with driven(server, tmp_path, size=(120, 36)) as running:
        await until_the_rules_are_known(running)
        yield running


@pytest.fixture
async def admin(server: Server, tmp_path: Path) -> AsyncIterator[HostAdmin]:
    async with open_administration(server, Paths.below(tmp_path), REAL_CLOCK) as there:
        yield there


async def until_the_rules_are_known(app: Driven) -> None:
    await app.until(lambda: app.models.snapshot.swap_rules is not None, "known by which rules")


async def load(app: Driven, model_id: str) -> None:
    """Load what costs nobody anything."""
    app.go_to(model_id)
    await app.press("l")
    await app.told(f"{model_id} is ready after")


async def test_the_victims_are_named_for_certain_and_whoever_stays_is_not(
    app: Driven, world: DemoEnvironment
) -> None:
    for model_id in ("kept-8b", "big-70b", "small-3b"):
        await load(app, model_id)
    app.go_to("other-30b")
    await app.press("l")
    await app.see("Load other-30b?", "▌big-70b", "▌small-3b", "idle · unloads")
    assert "≈ evicts" not in app.text
    assert "a guess" not in app.text
    assert "▌kept-8b" not in app.text
    await app.answer("y")
    await app.told("other-30b is ready after")
    assert world.server.running() == {"kept-8b": "ready", "other-30b": "ready"}


async def test_a_model_whose_group_excludes_nobody_is_loaded_without_a_question(
    app: Driven, world: DemoEnvironment
) -> None:
    await load(app, "big-70b")
    await load(app, "embed-1b")
    assert not app.asking
    assert world.server.running() == {"big-70b": "ready", "embed-1b": "ready"}


async def test_a_chat_with_a_ready_model_asks_where_it_evicts_another(
    app: Driven, world: DemoEnvironment
) -> None:
    await load(app, "big-70b")
    await load(app, "small-3b")
    app.go_to("big-70b")
    await app.press("enter")
    await app.until(lambda: app.models.chat.prompt.has_focus, "ready for words")
    await app.press(*"hello", "enter")
    await app.see("Chat with big-70b?", "▌small-3b", "idle · unloads")
    await app.answer("y")
    await app.until(lambda: world.server.running() == {"big-70b": "ready"}, "evicted")


async def test_after_a_reload_by_somebody_else_nothing_is_certain_any_more(
    app: Driven, world: DemoEnvironment
) -> None:
    text = CONFIG.replace("exclusive: false", "exclusive: true")
    world.config_file.write_text(text)
    changed = time.time() + 60
    os.utime(world.config_file, (changed, changed))
    await world.server.reload(text)
    await app.until(lambda: app.models.snapshot.swap_rules is None, "forgotten")
    await load(app, "big-70b")
    app.go_to("small-3b")
    await app.press("l")
    await app.see("▌big-70b", "idle · ≈ unloads", "≈ a guess: aitui has not read")
    await app.press("n")


async def test_after_a_restart_it_is_certain_by_the_new_file(
    app: Driven, world: DemoEnvironment
) -> None:
    before = app.models.snapshot.swap_rules
    world.config_file.write_text(CONFIG.replace("exclusive: false", "exclusive: true"))
    await app.press("R")
    await app.answer("y")
    await app.until(
        lambda: app.models.snapshot.swap_rules not in (None, before), "certain by the new file"
    )


async def test_the_file_of_a_server_that_has_read_it_is_in_force(admin: HostAdmin) -> None:
    preset = await read_server_config(admin)
    assert preset.in_force
    assert preset.swap_rules is not None


async def test_a_file_that_was_changed_since_is_not(
    admin: HostAdmin, world: DemoEnvironment
) -> None:
    later = time.time() + 60
    await asyncio.to_thread(os.utime, world.config_file, (later, later))
    preset = await read_server_config(admin)
    assert preset.newer
    assert not preset.in_force


@pytest.fixture
def started_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let systemd say that the server started an hour ago, before every change of a test."""
    at = demo_unit._timestamp(time.time() - LATER)
    monkeypatch.setattr(demo_unit, "_timestamp", lambda _: at)


@pytest.mark.usefixtures("started_long_ago")
async def test_a_reload_by_hand_is_seen_in_the_journal(
    admin: HostAdmin, world: DemoEnvironment
) -> None:
    before = time.time() - LATER + 60
    await asyncio.to_thread(os.utime, world.config_file, (before, before))
    await world.server.reload(world.config_file.read_text())
    preset = await read_server_config(admin)
    assert (preset.newer, preset.doubt, preset.in_force) == ("", "", True)
    await world.server.reload("models: [nonsense")
    refused = await read_server_config(admin)
    assert "rejected the new one" in refused.newer
    assert not refused.in_force


@pytest.mark.usefixtures("started_long_ago")
async def test_without_a_journal_it_is_not_known_and_no_alarm(
    admin: HostAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_unit.DemoUnit, "journal", lambda *_: [])
    preset = await read_server_config(admin)
    assert "it is unknown whether" in preset.doubt
    assert (preset.newer, preset.in_force) == ("", False)


@pytest.mark.usefixtures("started_long_ago")
async def test_a_change_that_another_aitui_verified_is_in_force(
    admin: HostAdmin, world: DemoEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_unit.DemoUnit, "journal", lambda *_: [])
    after = (await admin.config.read()).digest
    change = JournalEntry(
        "1", time.time(), "demo", admin.host.label, admin.config.path, "old", after
    )
    await admin.journal.begin(change)
    await admin.journal.end("1", ChangeOutcome.DONE)
    assert (await read_server_config(admin)).doubt
    await admin.journal.end("1", ChangeOutcome.DONE, read_at=time.time())
    preset = await read_server_config(admin)
    assert (preset.newer, preset.doubt, preset.in_force) == ("", "", True)


@pytest.mark.usefixtures("started_long_ago")
@pytest.mark.parametrize(
    ("command", "is_older"), [("llama-server -c 4096", True), ("llama-server -c 8192", False)]
)
async def test_what_runs_shows_which_file_was_read(
    admin: HostAdmin,
    world: DemoEnvironment,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    is_older: bool,
) -> None:
    monkeypatch.setattr(demo_unit.DemoUnit, "journal", lambda *_: [])
    text = CONFIG.replace('big-70b: {cmd: "llama-server', 'big-70b: {cmd: "llama-server -c 8192')
    await asyncio.to_thread(world.config_file.write_text, text)
    after = (await admin.config.read()).digest
    change = JournalEntry(
        *("1", time.time(), "demo", admin.host.label, admin.config.path, "old", after),
        *("big-70b", "--ctx-size", "4096", "8192"),
    )
    await admin.journal.begin(change)
    runs = Snapshot(models=(Model("big-70b", state=RunState.READY, command=command),))
    preset = await read_server_config(admin, runs)
    assert bool(preset.newer) == is_older
    assert (preset.doubt, preset.in_force) == ("", not is_older)


async def test_another_file_than_the_servers_is_not(
    world: DemoEnvironment, server: Server, tmp_path: Path
) -> None:
    other = world.config_file.with_name("other.yaml")
    other.write_text(CONFIG)
    path = CONFIG_PATH.replace("config.yaml", "other.yaml")
    elsewhere = replace(server, preset_path=path)
    async with open_administration(elsewhere, Paths.below(tmp_path), REAL_CLOCK) as there:
        preset = await read_server_config(there)
    assert not preset.newer
    assert not preset.in_force


async def test_a_file_that_the_server_would_refuse_has_no_rules(
    admin: HostAdmin, world: DemoEnvironment
) -> None:
    world.config_file.write_text(CONFIG + "logToStdout: nowhere\n")
    assert (await read_server_config(admin)).swap_rules is None
